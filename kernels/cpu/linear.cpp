#include "kernels/linear.h"

#include <algorithm>

#include "kernels/cpu/targets.h"
#include "kernels/isa.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/linear.cpp"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;

std::int64_t LinearBlock() {
  return 2 * static_cast<std::int64_t>(hn::Lanes(D()));
}

// One dot product in four partial sums.
float Dot(std::int64_t count, const float* a, const float* b) {
  const D d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  V sums[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  std::int64_t j = 0;
  for (; j + 4 * lanes <= count; j += 4 * lanes) {
    AIKD_UNROLL
    for (int v = 0; v < 4; ++v)
      sums[v] = hn::MulAdd(hn::LoadU(d, a + j + v * lanes), hn::LoadU(d, b + j + v * lanes), sums[v]);
  }
  for (; j + lanes <= count; j += lanes)
    sums[0] = hn::MulAdd(hn::LoadU(d, a + j), hn::LoadU(d, b + j), sums[0]);
  float total = hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]))));
  for (; j < count; ++j) total += a[j] * b[j];
  return total;
}

void Linear(const Context& ctx, const LinearDims& dims, const float* x, const float* weight,
            const float* bias, float* y) {
  parallel_for(ctx, dims.out, [&](std::ptrdiff_t o, int) {
    for (std::int64_t i = 0; i < dims.rows; ++i)
      y[i * dims.out + o] =
          Dot(dims.in, x + i * dims.in, weight + o * dims.in) + (bias == nullptr ? 0.0F : bias[o]);
  });
}

// T rows times one block of outputs over inputs [0, count): y = (first ? bias : y) + sum.
template <int T>
void LinearTile(std::int64_t count, const float* x, std::int64_t x_stride, const float* w, const float* bias,
                bool first, float* y, std::int64_t y_stride) {
  const D d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  V acc[static_cast<std::size_t>(T)][2];
  AIKD_UNROLL
  for (int i = 0; i < T; ++i) acc[i][0] = acc[i][1] = hn::Zero(d);
  for (std::int64_t j = 0; j < count; ++j, w += 2 * lanes) {
    const V w0 = hn::LoadU(d, w), w1 = hn::LoadU(d, w + lanes);
    AIKD_UNROLL
    for (int i = 0; i < T; ++i) {
      const V value = hn::Set(d, x[i * x_stride + j]);
      acc[i][0] = hn::MulAdd(value, w0, acc[i][0]);
      acc[i][1] = hn::MulAdd(value, w1, acc[i][1]);
    }
  }
  for (int i = 0; i < T; ++i) {
    float* out = y + i * y_stride;
    const float* start = first ? bias : out;
    hn::StoreU(hn::Add(hn::LoadU(d, start), acc[i][0]), d, out);
    hn::StoreU(hn::Add(hn::LoadU(d, start + lanes), acc[i][1]), d, out + lanes);
  }
}

void PackedLinear(const Context& ctx, const LinearDims& dims, const float* x, std::int64_t x_stride,
                  const float* packed, const float* bias, float* y, std::int64_t y_stride) {
  // 512 inputs: a 64 KiB piece of the weights, kept in L2 while all rows use it; also the length of one
  // partial sum.
  constexpr std::int64_t kChunk = 512;
  constexpr int kRows = 6;
  const std::int64_t block = LinearBlock();
  parallel_for(ctx, (dims.out + block - 1) / block, [&](std::ptrdiff_t task, int) {
    const float* weights = packed + task * block * dims.in;
    const float* task_bias = bias + task * block;
    float* out = y + task * block;
    for (std::int64_t j = 0; j < dims.in; j += kChunk) {
      const std::int64_t count = std::min(kChunk, dims.in - j);
      std::int64_t i = 0;
      for (; i + kRows <= dims.rows; i += kRows)
        LinearTile<kRows>(count, x + i * x_stride + j, x_stride, weights + j * block, task_bias, j == 0,
                          out + i * y_stride, y_stride);
      for (; i + 2 <= dims.rows; i += 2)
        LinearTile<2>(count, x + i * x_stride + j, x_stride, weights + j * block, task_bias, j == 0,
                      out + i * y_stride, y_stride);
      for (; i < dims.rows; ++i)
        LinearTile<1>(count, x + i * x_stride + j, x_stride, weights + j * block, task_bias, j == 0,
                      out + i * y_stride, y_stride);
    }
  });
}

}  // namespace aikd::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aikd::kernels::cpu {
HWY_EXPORT(LinearBlock);
HWY_EXPORT(Linear);
HWY_EXPORT(PackedLinear);

void linear(const Context& ctx, const LinearDims& dims, const float* x, const float* weight,
            const float* bias, float* y) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(Linear)(ctx, dims, x, weight, bias, y);
}

std::int64_t linear_block() {
  select_isa_once();
  return HWY_DYNAMIC_DISPATCH(LinearBlock)();
}

std::int64_t linear_padded_outputs(std::int64_t out) {
  const std::int64_t block = linear_block();
  return (out + block - 1) / block * block;
}

std::size_t packed_linear_floats(std::int64_t in, std::int64_t out) {
  return static_cast<std::size_t>(linear_padded_outputs(out) * in);
}

void pack_linear(std::int64_t in, std::int64_t out, const float* weight, float* packed) {
  const std::int64_t block = linear_block();
  for (std::int64_t o0 = 0; o0 < out; o0 += block) {
    float* to = packed + o0 * in;
    for (std::int64_t j = 0; j < in; ++j) {
      for (std::int64_t b = 0; b < block; ++b)
        to[j * block + b] = o0 + b < out ? weight[(o0 + b) * in + j] : 0.0F;
    }
  }
}

void packed_linear(const Context& ctx, const LinearDims& dims, const float* x, std::int64_t x_stride,
                   const float* packed, const float* bias, float* y, std::int64_t y_stride) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(PackedLinear)(ctx, dims, x, x_stride, packed, bias, y, y_stride);
}

}  // namespace aikd::kernels::cpu
#endif
