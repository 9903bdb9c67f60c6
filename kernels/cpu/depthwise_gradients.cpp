// The depthwise gradients of kernels/conv2d_gradients.h.
#include <algorithm>

#include "kernels/conv2d_gradients.h"
#include "kernels/cpu/targets.h"
#include "kernels/isa.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/depthwise_gradients.cpp"
#include <hwy/foreach_target.h>
//
#include "kernels/cpu/loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Taps of one side that pixel `at` meets: first, first + stride, ... below end; tap t meets output (at + pad
// - t) / stride.
struct Taps {
  std::int64_t first, end;
};
Taps TapsOf(std::int64_t at, std::int64_t filter, std::int64_t outputs, const Conv2dDims& dims) {
  const std::int64_t top = at + dims.pad;  // of tap 0, in steps of 1 / stride outputs
  std::int64_t first = top % dims.stride;
  const std::int64_t over = (top - first) / dims.stride - (outputs - 1);
  if (over > 0) first += over * dims.stride;
  return {first, std::min(filter, top + 1)};
}

// A task is one row of dx. From one tap of a pixel to the next, `stride` on, the output is the one before.
void DepthwiseData(const Context& ctx, const Conv2dDims& dims, const float* dy, const float* weight,
                   float* dx) {
  const std::int64_t P = dims.p(), Q = dims.q(), C = dims.c, stride = dims.stride;
  parallel_for(ctx, dims.n * dims.h, [&](std::ptrdiff_t task, int) {
    const std::int64_t n = task / dims.h, h = task % dims.h;
    const Taps rows = TapsOf(h, dims.r, P, dims);
    const std::int64_t p = (h + dims.pad - rows.first) / stride;
    for (std::int64_t w = 0; w < dims.w; ++w) {
      const Taps columns = TapsOf(w, dims.s, Q, dims);
      const std::int64_t q = (w + dims.pad - columns.first) / stride;
      const float* const first_dy = dy + ((n * P + p) * Q + q) * C;
      const float* const first_tap = weight + (rows.first * dims.s + columns.first) * C;
      float* const out = dx + (task * dims.w + w) * C;
      ForVectors(0, C, [&](auto d, std::int64_t c) HWY_ATTR {
        auto sum = hn::Zero(d);
        const float* dy_row = first_dy + c;
        const float* tap_row = first_tap + c;
        for (std::int64_t r = rows.first; r < rows.end; r += stride) {
          const float* from = dy_row;
          const float* tap = tap_row;
          for (std::int64_t s = columns.first; s < columns.end; s += stride) {
            sum = hn::MulAdd(hn::LoadU(d, from), hn::LoadU(d, tap), sum);
            from -= C;
            tap += stride * C;
          }
          dy_row -= Q * C;
          tap_row += stride * dims.s * C;
        }
        hn::StoreU(sum, d, out + c);
      });
    }
  });
}

// Columns of one row of dy for kTaps neighbouring taps: sums[t] += dy[q] x[q stride + first + t].
template <std::size_t kTaps, class DTag, class VT>
HWY_INLINE void RowTaps(DTag d, std::int64_t begin, std::int64_t end, std::int64_t channels,
                        std::int64_t stride, std::int64_t first, const float* dy, const float* x,
                        VT (&sums)[kTaps]) {
  for (std::int64_t q = begin; q < end; ++q) {
    const VT g = hn::LoadU(d, dy + q * channels);
    AIKD_UNROLL
    for (std::size_t t = 0; t < kTaps; ++t)
      sums[t] = hn::MulAdd(
          g, hn::LoadU(d, x + (q * stride + first + static_cast<std::int64_t>(t)) * channels), sums[t]);
  }
}

// Of one row of dy [Q][C] and one of x [W][C], the sums over q of dy[q] x[q stride - pad + s] for taps s0 ...
// s0 + kTaps - 1, into sums [taps][C].
template <std::size_t kTaps>
void RowGradient(const Conv2dDims& dims, const float* dy, const float* x, std::int64_t s0, float* sums) {
  const std::int64_t Q = dims.q(), C = dims.c, stride = dims.stride;
  // Outputs at which all these taps are inside; at the others each is asked.
  const auto ceil_div = [](std::int64_t a, std::int64_t b) { return a <= 0 ? 0 : (a + b - 1) / b; };
  const std::int64_t last = s0 + static_cast<std::int64_t>(kTaps) - 1, room = dims.w - 1 + dims.pad - last;
  const std::int64_t begin = std::min(Q, ceil_div(dims.pad - s0, stride));
  const std::int64_t end = std::clamp<std::int64_t>(room < 0 ? 0 : room / stride + 1, begin, Q);
  ForVectors(0, C, [&](auto d, std::int64_t c) HWY_ATTR {
    hn::Vec<decltype(d)> acc[kTaps];
    AIKD_UNROLL
    for (std::size_t t = 0; t < kTaps; ++t)
      acc[t] = hn::LoadU(d, sums + (s0 + static_cast<std::int64_t>(t)) * C + c);
    const auto edge = [&](std::int64_t q) HWY_ATTR {
      const auto g = hn::LoadU(d, dy + q * C + c);
      for (std::size_t t = 0; t < kTaps; ++t) {
        const std::int64_t at = q * stride - dims.pad + s0 + static_cast<std::int64_t>(t);
        if (at >= 0 && at < dims.w) acc[t] = hn::MulAdd(g, hn::LoadU(d, x + at * C + c), acc[t]);
      }
    };
    for (std::int64_t q = 0; q < begin; ++q) edge(q);
    RowTaps<kTaps>(d, begin, end, C, stride, s0 - dims.pad, dy + c, x + c, acc);
    for (std::int64_t q = end; q < Q; ++q) edge(q);
    AIKD_UNROLL
    for (std::size_t t = 0; t < kTaps; ++t)
      hn::StoreU(acc[t], d, sums + (s0 + static_cast<std::int64_t>(t)) * C + c);
  });
}

// partial [n P][r s][C]: of every row of dy its share of every tap.
void DepthwiseFilter(const Context& ctx, const Conv2dDims& dims, const float* dy, const float* x,
                     float* dweight) {
  const std::int64_t P = dims.p(), Q = dims.q(), C = dims.c, taps = dims.r * dims.s;
  auto* const partial = static_cast<float*>(ctx.workspace);
  parallel_for(ctx, dims.n * P, [&](std::ptrdiff_t task, int) {
    const std::int64_t n = task / P, p = task % P;
    float* const sums = partial + task * taps * C;
    std::fill_n(sums, taps * C, 0.0F);
    for (std::int64_t r = 0; r < dims.r; ++r) {
      const std::int64_t h = p * dims.stride - dims.pad + r;
      if (h < 0 || h >= dims.h) continue;
      const float* const dy_row = dy + task * Q * C;
      const float* const x_row = x + (n * dims.h + h) * dims.w * C;
      std::int64_t s = 0;
      for (; s + 3 <= dims.s; s += 3) RowGradient<3>(dims, dy_row, x_row, s, sums + r * dims.s * C);
      for (; s < dims.s; ++s) RowGradient<1>(dims, dy_row, x_row, s, sums + r * dims.s * C);
    }
  });
  SumOfParts<1>(ctx, dims.n * P, taps * C, partial,
                [&](std::int64_t i, const double* sums) { dweight[i] = static_cast<float>(sums[0]); });
}

}  // namespace aikd::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aikd::kernels::cpu {
HWY_EXPORT(DepthwiseData);
HWY_EXPORT(DepthwiseFilter);

void depthwise_data_gradient(const Context& ctx, const Conv2dDims& dims, const float* dy, const float* weight,
                             float* dx) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(DepthwiseData)(ctx, dims, dy, weight, dx);
}

std::size_t depthwise_filter_gradient_workspace_bytes(const Conv2dDims& dims) {
  return static_cast<std::size_t>(dims.n * dims.p() * dims.r * dims.s * dims.c) * sizeof(float);
}

void depthwise_filter_gradient(const Context& ctx, const Conv2dDims& dims, const float* dy, const float* x,
                               float* dweight) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(DepthwiseFilter)(ctx, dims, dy, x, dweight);
}

}  // namespace aikd::kernels::cpu
#endif
