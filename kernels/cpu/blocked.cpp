#include "kernels/blocked.h"

#include <algorithm>

#include "kernels/blocked_conv.h"
#include "kernels/cpu/targets.h"
#include "kernels/isa.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/blocked.cpp"
#include <hwy/foreach_target.h>
//
#include "kernels/cpu/epilogue-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<float, 16>;

void BlockedPointwise(const Context& ctx, const BlockedDims& dims, const float* x, const float* scale,
                      const float* shift, const Epilogue& epilogue, float* y) {
  const D d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t blocks = blocks_of(dims.c), plane = dims.h * dims.w * kBlock;
  parallel_for(ctx, dims.n * blocks, [&](std::ptrdiff_t task, int) HWY_ATTR {
    const std::int64_t c0 = task % blocks * kBlock, begin = task * plane;
    const float* slope = Offset(epilogue.slope, c0);
    for (std::int64_t i = 0; i < plane; i += kBlock) {
      for (std::int64_t j = 0; j < kBlock; j += lanes) {
        auto v = hn::LoadU(d, x + begin + i + j);
        if (scale != nullptr) v = hn::MulAdd(v, hn::LoadU(d, scale + c0 + j), hn::LoadU(d, shift + c0 + j));
        hn::StoreU(ApplyEpilogue(d, epilogue, Offset(slope, j), Offset(epilogue.residual, begin + i + j), v),
                   d, y + begin + i + j);
      }
    }
  });
}

void BlockedDepthwise(const Context& ctx, const Conv2dDims& dims, const float* x, const float* weight,
                      const float* bias, const Epilogue& epilogue, float* y) {
  const D d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t blocks = blocks_of(dims.c), P = dims.p(), Q = dims.q();
  parallel_for(ctx, dims.n * blocks, [&](std::ptrdiff_t task, int) HWY_ATTR {
    const std::int64_t cb = task % blocks;
    const float* image = x + task * dims.h * dims.w * kBlock;
    const float* slope = Offset(epilogue.slope, cb * kBlock);
    const float* filter = weight + cb * dims.r * dims.s * kBlock;
    for (std::int64_t p = 0; p < P; ++p) {
      const std::int64_t y0 = p * dims.stride - dims.pad;
      const std::int64_t r0 = std::max<std::int64_t>(0, -y0), r1 = std::min(dims.r, dims.h - y0);
      for (std::int64_t q = 0; q < Q; ++q) {
        const std::int64_t x0 = q * dims.stride - dims.pad;
        const std::int64_t s0 = std::max<std::int64_t>(0, -x0), s1 = std::min(dims.s, dims.w - x0);
        const std::int64_t out = ((task * P + p) * Q + q) * kBlock;
        for (std::int64_t j = 0; j < kBlock; j += lanes) {
          auto acc = hn::LoadU(d, bias + cb * kBlock + j);
          for (std::int64_t r = r0; r < r1; ++r) {
            for (std::int64_t s = s0; s < s1; ++s)
              acc = hn::MulAdd(hn::LoadU(d, image + ((y0 + r) * dims.w + x0 + s) * kBlock + j),
                               hn::LoadU(d, filter + (r * dims.s + s) * kBlock + j), acc);
          }
          hn::StoreU(ApplyEpilogue(d, epilogue, Offset(slope, j), Offset(epilogue.residual, out + j), acc), d,
                     y + out + j);
        }
      }
    }
  });
}

}  // namespace aikd::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aikd::kernels::cpu {
HWY_EXPORT(BlockedPointwise);
HWY_EXPORT(BlockedDepthwise);

void blocked_pointwise(const Context& ctx, const BlockedDims& dims, const float* x, const float* scale,
                       const float* shift, const Epilogue& epilogue, float* y) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(BlockedPointwise)(ctx, dims, x, scale, shift, epilogue, y);
}

void blocked_depthwise(const Context& ctx, const Conv2dDims& dims, const float* x, const float* weight,
                       const float* bias, const Epilogue& epilogue, float* y) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(BlockedDepthwise)(ctx, dims, x, weight, bias, epilogue, y);
}

void flatten_blocked(const Context& ctx, const BlockedDims& dims, const float* x, float* y,
                     std::int64_t y_stride) {
  const std::int64_t pixels = dims.h * dims.w;
  parallel_for(ctx, dims.n, [&](std::ptrdiff_t n, int) {
    const float* image = x + n * dims.image_floats();
    float* out = y + n * y_stride;
    for (std::int64_t i = 0; i < pixels; ++i) {
      for (std::int64_t c = 0; c < dims.c; ++c)
        out[i * dims.c + c] = image[(c / kBlock * pixels + i) * kBlock + c % kBlock];
    }
    std::fill(out + pixels * dims.c, out + y_stride, 0.0F);
  });
}

}  // namespace aikd::kernels::cpu
#endif
