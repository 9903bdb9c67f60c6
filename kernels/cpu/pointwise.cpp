// The elementwise kernels: batch_norm.h, activation.h, add.h.
#include <cmath>

#include "kernels/activation.h"
#include "kernels/add.h"
#include "kernels/batch_norm.h"
#include "kernels/cpu/targets.h"
#include "kernels/isa.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/pointwise.cpp"
#include <hwy/foreach_target.h>
//
#include "kernels/cpu/loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::int64_t kChunk = 4096;  // elements per task of the flat kernels

void BatchNorm(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x,
               const float* scale, const float* shift, float* y) {
  parallel_for(ctx, rows, [&](std::ptrdiff_t row, int) {
    const float* in = x + row * channels;
    float* out = y + row * channels;
    ForVectors(0, channels, [&](auto d, std::int64_t c) HWY_ATTR {
      hn::StoreU(hn::MulAdd(hn::LoadU(d, in + c), hn::LoadU(d, scale + c), hn::LoadU(d, shift + c)), d,
                 out + c);
    });
  });
}

void Prelu(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x, const float* slope,
           float* y) {
  parallel_for(ctx, rows, [&](std::ptrdiff_t row, int) {
    const float* in = x + row * channels;
    float* out = y + row * channels;
    ForVectors(0, channels, [&](auto d, std::int64_t c) HWY_ATTR {
      const auto v = hn::LoadU(d, in + c);
      hn::StoreU(hn::IfThenElse(hn::Gt(v, hn::Zero(d)), v, hn::Mul(v, hn::LoadU(d, slope + c))), d, out + c);
    });
  });
}

void Clamp(const Context& ctx, std::int64_t count, const float* x, float lo, float hi, float* y) {
  ForChunks(ctx, count, kChunk, [&](auto d, std::int64_t i) HWY_ATTR {
    const auto v = hn::LoadU(d, x + i), low = hn::Set(d, lo), high = hn::Set(d, hi);
    hn::StoreU(hn::IfThenElse(hn::Lt(v, low), low, hn::IfThenElse(hn::Gt(v, high), high, v)), d, y + i);
  });
}

void Add(const Context& ctx, std::int64_t count, const float* a, const float* b, float* y) {
  ForChunks(ctx, count, kChunk, [&](auto d, std::int64_t i) HWY_ATTR {
    hn::StoreU(hn::Add(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, y + i);
  });
}

}  // namespace aikd::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aikd::kernels {

BatchNormFactor batch_norm_factor(double weight, double bias, double mean, double var, double eps) {
  const double scale = weight / std::sqrt(var + eps);
  return {scale, bias - mean * scale};
}

namespace cpu {
HWY_EXPORT(BatchNorm);
HWY_EXPORT(Prelu);
HWY_EXPORT(Clamp);
HWY_EXPORT(Add);

void batch_norm(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x,
                const float* scale, const float* shift, float* y) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(BatchNorm)(ctx, rows, channels, x, scale, shift, y);
}

void prelu(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x, const float* slope,
           float* y) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(Prelu)(ctx, rows, channels, x, slope, y);
}

void clamp(const Context& ctx, std::int64_t count, const float* x, float lo, float hi, float* y) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(Clamp)(ctx, count, x, lo, hi, y);
}

void add(const Context& ctx, std::int64_t count, const float* a, const float* b, float* y) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(Add)(ctx, count, a, b, y);
}

// The head's hidden layer is a thousand values per image: the C library's erfc in double costs microseconds
// and is the same on every instruction set.
void gelu(const Context& ctx, std::int64_t count, const float* x, float* y) {
  constexpr double kInvSqrt2 = 0.70710678118654752440;
  constexpr std::int64_t kChunk = 256;
  parallel_for(ctx, (count + kChunk - 1) / kChunk, [&](std::ptrdiff_t task, int) {
    const std::int64_t begin = task * kChunk, end = begin + kChunk < count ? begin + kChunk : count;
    for (std::int64_t i = begin; i < end; ++i) {
      const double v = static_cast<double>(x[i]);
      // erfc overflows to 2 at +inf and 0 at -inf; -inf * 0 is NaN where the limit is -0.
      y[i] = std::isinf(v) && v < 0 ? -0.0F : static_cast<float>(0.5 * v * std::erfc(-v * kInvSqrt2));
    }
  });
}

}  // namespace cpu
}  // namespace aikd::kernels
#endif
