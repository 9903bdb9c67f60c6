#include "kernels/conv2d.h"

#include "kernels/cpu/targets.h"
#include "kernels/isa.h"
//
#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/conv2d.cpp"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<float, 16>;

constexpr std::int64_t kVectors = 2;  // of output channels per tile
constexpr int kPixels = 6;            // 12 accumulators: fits in 16 registers with 2 filters and 1 broadcast

std::int64_t Conv2dBlock() {
  return kVectors * static_cast<std::int64_t>(hn::Lanes(D()));
}

// Filters [k,r,s,c] -> packed [k/B][r,s,c][B], zeros beyond k.
void PackFilters(const Context& ctx, const Conv2dDims& dims, const float* weight, float* packed) {
  const std::int64_t block = Conv2dBlock(), depth = dims.r * dims.s * dims.c;
  parallel_for(ctx, (dims.k + block - 1) / block, [&](std::ptrdiff_t kb, int) {
    float* out = packed + kb * depth * block;
    const std::int64_t k0 = kb * block, kn = std::min(block, dims.k - k0);
    for (std::int64_t d = 0; d < depth; ++d) {
      for (std::int64_t k = 0; k < block; ++k)
        out[d * block + k] = k < kn ? weight[(k0 + k) * depth + d] : 0.0F;
    }
  });
}

// One tile: T pixels of row p from column q on, one block of output channels; sums go to out [T][B].
template <int T>
void Tile(const Conv2dDims& dims, const float* image, const float* packed, std::int64_t p, std::int64_t q,
          float* out) {
  const D d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  using V = hn::Vec<D>;
  constexpr auto kT = static_cast<std::size_t>(T);
  V acc[kT][kVectors];
  AIKD_UNROLL
  for (int i = 0; i < T; ++i) acc[i][0] = acc[i][1] = hn::Zero(d);
  for (std::int64_t r = 0; r < dims.r; ++r) {
    const std::int64_t row = p * dims.stride - dims.pad + r;
    for (std::int64_t s = 0; s < dims.s; ++s) {
      const float* x[kT];
      bool inside[kT];
      bool all = row >= 0 && row < dims.h;
      for (int i = 0; i < T; ++i) {
        const std::int64_t column = (q + i) * dims.stride - dims.pad + s;
        const bool in = row >= 0 && row < dims.h && column >= 0 && column < dims.w;
        x[i] = in ? image + (row * dims.w + column) * dims.c : nullptr;
        inside[i] = in;
        all = all && in;
      }
      const float* w = packed + (r * dims.s + s) * dims.c * kVectors * lanes;
      for (std::int64_t c = 0; c < dims.c; ++c, w += kVectors * lanes) {
        const V w0 = hn::LoadU(d, w), w1 = hn::LoadU(d, w + lanes);
        if (all) {
          AIKD_UNROLL
          for (int i = 0; i < T; ++i) {
            const V value = hn::Set(d, x[i][c]);
            acc[i][0] = hn::MulAdd(value, w0, acc[i][0]);
            acc[i][1] = hn::MulAdd(value, w1, acc[i][1]);
          }
        } else {
          AIKD_UNROLL
          for (int i = 0; i < T; ++i) {
            if (!inside[i]) continue;  // skipped, not multiplied: 0 * infinity would be NaN
            const V value = hn::Set(d, x[i][c]);
            acc[i][0] = hn::MulAdd(value, w0, acc[i][0]);
            acc[i][1] = hn::MulAdd(value, w1, acc[i][1]);
          }
        }
      }
    }
  }
  AIKD_UNROLL
  for (int i = 0; i < T; ++i) {
    hn::StoreU(acc[i][0], d, out + i * kVectors * lanes);
    hn::StoreU(acc[i][1], d, out + (i * kVectors + 1) * lanes);
  }
}

void Conv2d(const Context& ctx, const Conv2dDims& dims, const float* x, const float* weight,
            const float* bias, float* y) {
  const std::int64_t block = Conv2dBlock(), depth = dims.r * dims.s * dims.c, P = dims.p(), Q = dims.q();
  auto* packed = static_cast<float*>(ctx.workspace);
  PackFilters(ctx, dims, weight, packed);
  const std::int64_t k_blocks = (dims.k + block - 1) / block;
  // Filters outermost: one block of them stays in cache for all rows of all images.
  parallel_for(ctx, k_blocks * dims.n * P, [&](std::ptrdiff_t task, int) {
    const std::int64_t p = task % P, n = task / P % dims.n, k0 = task / P / dims.n * block;
    const std::int64_t kn = std::min(block, dims.k - k0);
    const float* image = x + n * dims.h * dims.w * dims.c;
    float sums[kPixels * kVectors * 16];
    std::int64_t q = 0;
    while (q < Q) {
      int count = 1;
      if (q + kPixels <= Q) {
        count = kPixels;
        Tile<kPixels>(dims, image, packed + k0 * depth, p, q, sums);
      } else {
        Tile<1>(dims, image, packed + k0 * depth, p, q, sums);
      }
      for (int i = 0; i < count; ++i, ++q) {
        float* out = y + ((n * P + p) * Q + q) * dims.k + k0;
        for (std::int64_t k = 0; k < kn; ++k)
          out[k] = sums[i * block + k] + (bias == nullptr ? 0.0F : bias[k0 + k]);
      }
    }
  });
}

}  // namespace aikd::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aikd::kernels::cpu {
HWY_EXPORT(Conv2dBlock);
HWY_EXPORT(Conv2d);

std::size_t conv2d_workspace_bytes(const Conv2dDims& dims) {
  select_isa_once();
  const std::int64_t block = HWY_DYNAMIC_DISPATCH(Conv2dBlock)();
  return static_cast<std::size_t>((dims.k + block - 1) / block * block * dims.r * dims.s * dims.c) *
         sizeof(float);
}

void conv2d(const Context& ctx, const Conv2dDims& dims, const float* x, const float* weight,
            const float* bias, float* y) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(Conv2d)(ctx, dims, x, weight, bias, y);
}

}  // namespace aikd::kernels::cpu
#endif
