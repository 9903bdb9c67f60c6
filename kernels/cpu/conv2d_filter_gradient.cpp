// The filter gradient of kernels/conv2d_gradients.h. In registers: the sums of one tap for kColumns input
// channels times two vectors of output channels, while all pixels of an image pass by; per pixel two vectors
// of dy, kColumns broadcasts of x, twice as many multiply-adds.
#include <algorithm>

#include "kernels/conv2d_gradients.h"
#include "kernels/cpu/blocked_copy.h"
#include "kernels/cpu/targets.h"
#include "kernels/isa.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/conv2d_filter_gradient.cpp"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;

constexpr int kColumns = AIKD_REGISTERS == 32 ? 8 : 4;

// One tap (r, s) over all images.
struct TapJob {
  const Conv2dDims* dims;
  const float* x;                  // blocked, first image, block of the input channels
  const float* dy;                 // blocked, first image, first vector of output channels
  std::int64_t x_image, dy_image;  // floats from image to image
  std::int64_t dy_step;            // floats from the first vector to the second; 0: there is no second
  std::int64_t r, s;
};

// Outputs along one side whose tap lies inside the image.
struct Range {
  std::int64_t begin, end;
};
Range OutputsInside(std::int64_t tap, std::int64_t size, std::int64_t outputs, const Conv2dDims& dims) {
  const std::int64_t room = size - 1 + dims.pad - tap;
  return {std::max<std::int64_t>(0, (dims.pad - tap + dims.stride - 1) / dims.stride),
          room < 0 ? 0 : std::min(outputs, room / dims.stride + 1)};
}

// Input channels c, c + 1, ... of the block. sums: [kColumns][2 vectors]
HWY_NOINLINE void FilterTap(const TapJob& job, std::int64_t c, float* HWY_RESTRICT sums) {
  const D d;
  const auto lanes = static_cast<int>(hn::Lanes(d));
  const Conv2dDims& m = *job.dims;
  const std::int64_t Q = m.q();
  const Range rows = OutputsInside(job.r, m.h, m.p(), m), columns = OutputsInside(job.s, m.w, Q, m);
  std::fill_n(sums, 2 * kColumns * lanes, 0.0F);
  for (std::int64_t n = 0; n < m.n; ++n) {
    V acc[kColumns][2];
    AIKD_UNROLL
    for (int i = 0; i < kColumns; ++i) acc[i][0] = acc[i][1] = hn::Zero(d);
    for (std::int64_t p = rows.begin; p < rows.end; ++p) {
      const float* HWY_RESTRICT dy = job.dy + n * job.dy_image + (p * Q + columns.begin) * kBlock;
      const float* HWY_RESTRICT x =
          job.x + n * job.x_image +
          ((p * m.stride - m.pad + job.r) * m.w + columns.begin * m.stride - m.pad + job.s) * kBlock + c;
      for (std::int64_t q = columns.begin; q < columns.end; ++q, dy += kBlock, x += m.stride * kBlock) {
        const V d0 = hn::Load(d, dy), d1 = hn::Load(d, dy + job.dy_step);
        AIKD_UNROLL
        for (int i = 0; i < kColumns; ++i) {
          const V value = hn::Set(d, x[i]);
          acc[i][0] = hn::MulAdd(value, d0, acc[i][0]);
          acc[i][1] = hn::MulAdd(value, d1, acc[i][1]);
        }
      }
    }
    AIKD_UNROLL
    for (int i = 0; i < kColumns; ++i) {
      float* const to = sums + 2 * i * lanes;
      hn::StoreU(hn::Add(hn::LoadU(d, to), acc[i][0]), d, to);
      hn::StoreU(hn::Add(hn::LoadU(d, to + lanes), acc[i][1]), d, to + lanes);
    }
  }
}

// x, dy blocked. A task: two vectors of output channels, one block of 16 input channels, all taps.
void FilterGradient(const Context& ctx, const Conv2dDims& dims, const float* x, const float* dy,
                    float* dweight) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(D()));
  const std::int64_t pixels = dims.p() * dims.q(), padded_k = padded_channels(dims.k);
  const std::int64_t vectors = padded_k / lanes, pairs = (vectors + 1) / 2, c_blocks = blocks_of(dims.c);
  const auto dy_at = [&](std::int64_t k) { return k / kBlock * pixels * kBlock + k % kBlock; };
  parallel_for(ctx, pairs * c_blocks, [&](std::ptrdiff_t task, int) {
    const std::int64_t k0 = task / c_blocks * 2 * lanes, cb = task % c_blocks;
    const std::int64_t k1 = k0 + lanes < padded_k ? k0 + lanes : k0;
    const std::int64_t outputs = std::min(k1 == k0 ? lanes : 2 * lanes, dims.k - k0);
    TapJob job{.dims = &dims,
               .x = x + cb * dims.h * dims.w * kBlock,
               .dy = dy + dy_at(k0),
               .x_image = padded_channels(dims.c) * dims.h * dims.w,
               .dy_image = padded_k * pixels,
               .dy_step = dy_at(k1) - dy_at(k0),
               .r = 0,
               .s = 0};
    float sums[kColumns * 2 * 16];
    for (job.r = 0; job.r < dims.r; ++job.r) {
      for (job.s = 0; job.s < dims.s; ++job.s) {
        for (std::int64_t c = cb * kBlock; c < std::min(dims.c, (cb + 1) * kBlock); c += kColumns) {
          FilterTap(job, c - cb * kBlock, sums);
          const std::int64_t columns = std::min<std::int64_t>(kColumns, dims.c - c);
          for (std::int64_t j = 0; j < outputs; ++j) {
            float* const out = dweight + (((k0 + j) * dims.r + job.r) * dims.s + job.s) * dims.c + c;
            for (std::int64_t i = 0; i < columns; ++i) out[i] = sums[2 * i * lanes + j];
          }
        }
      }
    }
  });
}

}  // namespace aikd::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aikd::kernels::cpu {
HWY_EXPORT(FilterGradient);

std::size_t conv2d_filter_gradient_workspace_bytes(const Conv2dDims& dims) {
  return (blocked_floats(dims.n, dims.h * dims.w, dims.c) +
          blocked_floats(dims.n, dims.p() * dims.q(), dims.k)) *
         sizeof(float);
}

void conv2d_filter_gradient(const Context& ctx, const Conv2dDims& dims, const float* dy, const float* x,
                            float* dweight) {
  select_isa_once();
  Pieces pieces(ctx);
  float* const in = pieces.take(blocked_floats(dims.n, dims.h * dims.w, dims.c));
  float* const out = pieces.take(blocked_floats(dims.n, dims.p() * dims.q(), dims.k));
  to_blocked(ctx, dims.n, dims.c, same_pixels(dims.h, dims.w), x, in);
  to_blocked(ctx, dims.n, dims.k, same_pixels(dims.p(), dims.q()), dy, out);
  HWY_DYNAMIC_DISPATCH(FilterGradient)(ctx, dims, in, out, dweight);
}

}  // namespace aikd::kernels::cpu
#endif
