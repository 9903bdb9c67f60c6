#include "kernels/depthwise_conv2d.h"

#include "kernels/cpu/targets.h"
#include "kernels/isa.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/depthwise_conv2d.cpp"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Channels [c, c + lanes) of one output pixel.
template <class D>
void DepthwisePixel(D d, const Conv2dDims& dims, const float* image, const float* weight, const float* bias,
                    std::int64_t p, std::int64_t q, std::int64_t c, float* out) {
  auto acc = hn::Zero(d);
  for (std::int64_t r = 0; r < dims.r; ++r) {
    const std::int64_t row = p * dims.stride - dims.pad + r;
    if (row < 0 || row >= dims.h) continue;
    for (std::int64_t s = 0; s < dims.s; ++s) {
      const std::int64_t column = q * dims.stride - dims.pad + s;
      if (column < 0 || column >= dims.w) continue;
      acc = hn::MulAdd(hn::LoadU(d, image + (row * dims.w + column) * dims.c + c),
                       hn::LoadU(d, weight + (r * dims.s + s) * dims.c + c), acc);
    }
  }
  if (bias != nullptr) acc = hn::Add(acc, hn::LoadU(d, bias + c));
  hn::StoreU(acc, d, out + c);
}

void DepthwiseConv2d(const Context& ctx, const Conv2dDims& dims, const float* x, const float* weight,
                     const float* bias, float* y) {
  const hn::CappedTag<float, 16> d;
  const hn::CappedTag<float, 1> d1;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t P = dims.p(), Q = dims.q();
  parallel_for(ctx, dims.n * P, [&](std::ptrdiff_t task, int) {
    const std::int64_t n = task / P, p = task % P;
    const float* image = x + n * dims.h * dims.w * dims.c;
    for (std::int64_t q = 0; q < Q; ++q) {
      float* out = y + (task * Q + q) * dims.c;
      std::int64_t c = 0;
      for (; c + lanes <= dims.c; c += lanes) DepthwisePixel(d, dims, image, weight, bias, p, q, c, out);
      for (; c < dims.c; ++c) DepthwisePixel(d1, dims, image, weight, bias, p, q, c, out);
    }
  });
}

}  // namespace aikd::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aikd::kernels::cpu {
HWY_EXPORT(DepthwiseConv2d);

void depthwise_conv2d(const Context& ctx, const Conv2dDims& dims, const float* x, const float* weight,
                      const float* bias, float* y) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(DepthwiseConv2d)(ctx, dims, x, weight, bias, y);
}

}  // namespace aikd::kernels::cpu
#endif
