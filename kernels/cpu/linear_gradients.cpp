// The gradients of kernels/linear.h (contract: kernels/gradients.h).
#include <algorithm>
#include <cstddef>

#include "kernels/cpu/targets.h"
#include "kernels/gradients.h"
#include "kernels/isa.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/linear_gradients.cpp"
#include <hwy/foreach_target.h>
//
#include "kernels/cpu/loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Columns of a task: of the data gradient long runs of every row of weights, which come from memory; of the
// weight gradient 2 KiB of every row of x, so that eight rows stay in L1.
constexpr std::int64_t kDataColumns = 2048, kColumns = 512;
constexpr std::int64_t kOutputs = 128;  // of a task of the weight gradient

// dx[i,j] += sum over o in [o0, o0 + kCount) of dy[i,o] weight[o,j], or = when o0 is 0. The weights come from
// memory once, for the first row, and from the nearest cache for the others.
template <std::int64_t kCount>
HWY_INLINE void DataOutputs(std::int64_t rows, std::int64_t in, std::int64_t out, std::int64_t o0,
                            std::int64_t j0, std::int64_t j1, const float* dy, const float* weight,
                            float* dx) {
  for (std::int64_t i = 0; i < rows; ++i) {
    const float* const g = dy + i * out + o0;
    ForVectors(j0, j1, [&](auto d, std::int64_t j) HWY_ATTR {
      float* const to = dx + i * in + j;
      auto sum = o0 == 0 ? hn::Zero(d) : hn::LoadU(d, to);
      AIKD_UNROLL
      for (std::int64_t k = 0; k < kCount; ++k)
        sum = hn::MulAdd(hn::Set(d, g[k]), hn::LoadU(d, weight + (o0 + k) * in + j), sum);
      hn::StoreU(sum, d, to);
    });
  }
}

void LinearData(const Context& ctx, std::int64_t rows, std::int64_t in, std::int64_t out, const float* dy,
                const float* weight, float* dx) {
  parallel_for(ctx, (in + kDataColumns - 1) / kDataColumns, [&](std::ptrdiff_t piece, int) {
    const std::int64_t j0 = piece * kDataColumns, j1 = std::min(in, j0 + kDataColumns);
    std::int64_t o = 0;
    for (; o + 8 <= out; o += 8) DataOutputs<8>(rows, in, out, o, j0, j1, dy, weight, dx);
    for (; o < out; ++o) DataOutputs<1>(rows, in, out, o, j0, j1, dy, weight, dx);
  });
}

// Rows [o0, o0 + kCount) of dweight, columns [j0, j1): x is read from the nearest cache.
template <std::int64_t kCount>
HWY_INLINE void WeightOutputs(std::int64_t rows, std::int64_t in, std::int64_t out, std::int64_t o0,
                              std::int64_t j0, std::int64_t j1, const float* dy, const float* x,
                              float* dweight) {
  ForVectors(j0, j1, [&](auto d, std::int64_t j) HWY_ATTR {
    hn::Vec<decltype(d)> sums[static_cast<std::size_t>(kCount)];
    AIKD_UNROLL
    for (std::int64_t k = 0; k < kCount; ++k) sums[k] = hn::Zero(d);
    for (std::int64_t i = 0; i < rows; ++i) {
      const auto v = hn::LoadU(d, x + i * in + j);
      AIKD_UNROLL
      for (std::int64_t k = 0; k < kCount; ++k)
        sums[k] = hn::MulAdd(hn::Set(d, dy[i * out + o0 + k]), v, sums[k]);
    }
    AIKD_UNROLL
    for (std::int64_t k = 0; k < kCount; ++k) hn::StoreU(sums[k], d, dweight + (o0 + k) * in + j);
  });
}

void LinearWeight(const Context& ctx, std::int64_t rows, std::int64_t in, std::int64_t out, const float* dy,
                  const float* x, float* dweight) {
  const std::int64_t pieces = (in + kColumns - 1) / kColumns, groups = (out + kOutputs - 1) / kOutputs;
  parallel_for(ctx, pieces * groups, [&](std::ptrdiff_t task, int) {
    const std::int64_t j0 = task / groups * kColumns, j1 = std::min(in, j0 + kColumns);
    const std::int64_t end = std::min(out, (task % groups + 1) * kOutputs);
    std::int64_t o = task % groups * kOutputs;
    for (; o + 8 <= end; o += 8) WeightOutputs<8>(rows, in, out, o, j0, j1, dy, x, dweight);
    for (; o < end; ++o) WeightOutputs<1>(rows, in, out, o, j0, j1, dy, x, dweight);
  });
}

}  // namespace aikd::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aikd::kernels::cpu {
HWY_EXPORT(LinearData);
HWY_EXPORT(LinearWeight);

void linear_data_gradient(const Context& ctx, std::int64_t rows, std::int64_t in, std::int64_t out,
                          const float* dy, const float* weight, float* dx) {
  select_isa_once();
  if (out == 0) std::fill_n(dx, rows * in, 0.0F);
  HWY_DYNAMIC_DISPATCH(LinearData)(ctx, rows, in, out, dy, weight, dx);
}

void linear_weight_gradient(const Context& ctx, std::int64_t rows, std::int64_t in, std::int64_t out,
                            const float* dy, const float* x, float* dweight) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(LinearWeight)(ctx, rows, in, out, dy, x, dweight);
}

}  // namespace aikd::kernels::cpu
#endif
