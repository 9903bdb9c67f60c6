// What the tests of cuDNN share: sizes, the gradients from their definition, the epilogues and their bounds
// of error.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/cudnn_conv.h"
#include "tests/cuda/device_memory.h"
#include "tests/oracle/conv2d.h"
#include "tests/oracle/pointwise.h"

namespace aikd::test::cudnn {

using namespace kernels;        // NOLINT(google-build-using-namespace): a header of tests only
using namespace kernels::cuda;  // NOLINT(google-build-using-namespace)
using oracle::ConvSize;
using oracle::Sums;

inline constexpr std::size_t kWorkspace = std::size_t{64} << 20;

#define AIKD_NEEDS_CUDNN(ctx)                                                                 \
  do {                                                                                        \
    if ((ctx).libraries == nullptr) AIKD_SKIP("the context has no libraries");                \
    if ((ctx).libraries->cudnn() == nullptr) AIKD_SKIP((ctx).libraries->cudnn_description()); \
  } while (false)

struct Arithmetic {
  Storage storage;
  bool tf32;
};
inline constexpr std::array<Arithmetic, 4> kArithmetics = {
    {{Storage::kF32, false}, {Storage::kF32, true}, {Storage::kF16, false}, {Storage::kBF16, false}}};

// 3x3, strides 1 and 2, 1x1, odd images, channels that are no multiple of 8, 5x5 without padding.
inline const std::vector<ConvSize> kSizes = {
    {.n = 2, .h = 14, .w = 14, .c = 64, .k = 64, .r = 3, .s = 3, .stride = 1, .pad = 1},
    {.n = 3, .h = 15, .w = 13, .c = 32, .k = 48, .r = 3, .s = 3, .stride = 2, .pad = 1},
    {.n = 2, .h = 14, .w = 14, .c = 64, .k = 32, .r = 1, .s = 1, .stride = 2, .pad = 0},
    {.n = 1, .h = 7, .w = 7, .c = 128, .k = 128, .r = 3, .s = 3, .stride = 1, .pad = 1},
    {.n = 2, .h = 17, .w = 17, .c = 3, .k = 64, .r = 3, .s = 3, .stride = 1, .pad = 1},
    {.n = 1, .h = 9, .w = 11, .c = 13, .k = 17, .r = 3, .s = 3, .stride = 1, .pad = 1},
    {.n = 1, .h = 12, .w = 12, .c = 16, .k = 16, .r = 5, .s = 5, .stride = 1, .pad = 0}};

inline Conv2dDims dims_of(const ConvSize& s) {
  return {
      .n = s.n, .h = s.h, .w = s.w, .c = s.c, .k = s.k, .r = s.r, .s = s.s, .stride = s.stride, .pad = s.pad};
}

// From the definition y[n,p,q,k] = sum x[n, p stride + r - pad, q stride + s - pad, c] weight[k,r,s,c]: each
// term with its three places. The gradients add the same terms elsewhere.
template <class Body>
void for_each_term(const ConvSize& z, Body&& body) {
  for (std::int64_t n = 0; n < z.n; ++n)
    for (std::int64_t p = 0; p < z.p(); ++p)
      for (std::int64_t q = 0; q < z.q(); ++q)
        for (std::int64_t k = 0; k < z.k; ++k)
          for (std::int64_t r = 0; r < z.r; ++r)
            for (std::int64_t s = 0; s < z.s; ++s) {
              const std::int64_t row = p * z.stride + r - z.pad, column = q * z.stride + s - z.pad;
              if (row < 0 || row >= z.h || column < 0 || column >= z.w) continue;
              for (std::int64_t c = 0; c < z.c; ++c)
                body(static_cast<std::size_t>(((n * z.h + row) * z.w + column) * z.c + c),
                     static_cast<std::size_t>(((k * z.r + r) * z.s + s) * z.c + c),
                     static_cast<std::size_t>(((n * z.p() + p) * z.q() + q) * z.k + k));
            }
}

inline void add(Sums& sums, std::size_t place, double term) {
  sums.value[place] += term;
  sums.magnitude[place] += std::fabs(term);
}
inline Sums zeros(std::size_t count) {
  return {std::vector<double>(count, 0.0), std::vector<double>(count, 0.0)};
}
// dx[..] = sum over the terms that x[..] is in, of dy weight; dweight[..] likewise, of dy x.
inline Sums data_gradient(const ConvSize& z, const std::vector<float>& dy, const std::vector<float>& weight) {
  Sums dx = zeros(static_cast<std::size_t>(z.n * z.h * z.w * z.c));
  for_each_term(z, [&](auto x, auto w, auto y) { add(dx, x, double{dy[y]} * double{weight[w]}); });
  return dx;
}
inline Sums filter_gradient(const ConvSize& z, const std::vector<float>& x_values,
                            const std::vector<float>& dy) {
  Sums dw = zeros(static_cast<std::size_t>(z.k * z.r * z.s * z.c));
  for_each_term(z, [&](auto x, auto w, auto y) { add(dw, w, double{dy[y]} * double{x_values[x]}); });
  return dw;
}

// Of a sum of products relative to the sum of their absolute values: fp32 in whatever order (with room for
// the 4x4 Winograd tile), or factors cut to 10 bits.
inline double sum_error(const Arithmetic& a) {
  return a.tf32 ? 0x1p-9 : 0x1p-19;
}

inline int count_wrong(const std::vector<float>& got, const std::vector<double>& expected,
                       const std::vector<double>& bound) {
  if (got.size() != expected.size()) return -1;
  int wrong = 0;
  for (std::size_t i = 0; i < got.size(); ++i)
    wrong += std::fabs(double{got[i]} - expected[i]) <= bound[i] ? 0 : 1;
  return wrong;
}

inline int count_wrong(const std::vector<float>& got, const Sums& sums, const Arithmetic& a) {
  std::vector<double> bound;
  for (std::size_t i = 0; i < sums.value.size(); ++i)
    bound.push_back(sum_error(a) * sums.magnitude[i] + 1.01 * half_ulp(a.storage) * std::fabs(sums.value[i]) +
                    1e-7);
  return count_wrong(got, sums.value, bound);
}

struct Epilogue {
  const char* name;
  bool bias = false, prelu = false, clamps = false, residual = false, residual_first = false,
       second_output = false;
};
inline constexpr std::array<Epilogue, 9> kEpilogues = {
    {{"none"},
     {"bias", true},
     {"bias, PReLU", true, true},
     {"bias, clamp", true, false, true},
     {"bias, residual", true, false, false, true},
     {"bias, residual, y2", true, false, false, true, false, true},
     {"bias, PReLU, y2", true, true, false, false, false, true},
     {"bias, residual, PReLU", true, true, false, true, true},
     {"bias, PReLU, residual", true, true, false, true}}};

inline CudnnConvSpec spec_of(const ConvSize& size, const Arithmetic& a, const Epilogue& e = {}) {
  CudnnConvSpec spec;
  spec.dims = dims_of(size);
  spec.storage = a.storage;
  spec.tf32 = a.tf32;
  spec.bias = e.bias;
  spec.prelu = e.prelu;
  spec.clamps = e.clamps;
  spec.lo = 0;
  spec.hi = e.clamps ? 6.0F : 0.0F;
  spec.residual = e.residual;
  spec.residual_first = e.residual_first;
  spec.second_output = e.second_output;
  return spec;
}

// What y and y2 should be, and how far off they may be.
struct Expected {
  std::vector<double> y, y_bound, y2, y2_bound;
};
inline Expected expect(const Sums& sums, const CudnnConvSpec& spec, const Arithmetic& a,
                       const std::vector<float>& slope, const std::vector<float>& residual,
                       const std::vector<float>& scale2, const std::vector<float>& shift2) {
  Expected e;
  const double ulp = 1.01 * half_ulp(a.storage);
  for (std::size_t i = 0; i < sums.value.size(); ++i) {
    const std::size_t k = i % static_cast<std::size_t>(spec.dims.k);
    double y = sums.value[i], bound = sum_error(a) * sums.magnitude[i] + 1e-7;
    if (spec.residual && spec.residual_first) y += double{residual[i]};
    if (spec.prelu) {
      y = oracle::prelu(y, double{slope[k]});
      bound *= std::max(1.0, std::fabs(double{slope[k]}));
    }
    if (spec.clamps) y = oracle::clamp(y, double{spec.lo}, double{spec.hi});
    if (spec.residual && !spec.residual_first) y += double{residual[i]};
    bound += 0x1p-22 * (std::fabs(y) + (spec.residual ? std::fabs(double{residual[i]}) : 0.0));
    e.y.push_back(y);
    e.y_bound.push_back(bound + ulp * std::fabs(y));
    // y2 may be computed of y before or after it is rounded to the storage type.
    const double scaled = y * double{scale2[k]}, y2 = scaled + double{shift2[k]};
    e.y2.push_back(y2);
    e.y2_bound.push_back(std::fabs(double{scale2[k]}) * e.y_bound.back() + ulp * std::fabs(y2) +
                         0x1p-22 * (std::fabs(scaled) + std::fabs(double{shift2[k]})) + 1e-7);
  }
  return e;
}

// The memory of one convolution on the device.
struct Operands {
  Operands(const ConvSize& size, Storage storage, std::vector<float> x_values,
           std::vector<float> weight_values, std::vector<float> dy_values = {})
      : x(rounded(storage, std::move(x_values))),
        weight(rounded(storage, std::move(weight_values))),
        dy(rounded(storage, std::move(dy_values))),
        device_x(storage, x),
        device_weight(storage, weight),
        device_dy(storage, dy),
        outputs(static_cast<std::size_t>(size.n * size.p() * size.q() * size.k)) {}
  std::vector<float> x, weight, dy;
  DeviceFloats device_x, device_weight, device_dy;
  std::size_t outputs;
};
inline std::int64_t inputs_of(const ConvSize& z) {
  return z.n * z.h * z.w * z.c;
}
inline std::int64_t weights_of(const ConvSize& z) {
  return z.k * z.r * z.s * z.c;
}
inline std::int64_t outputs_of(const ConvSize& z) {
  return z.n * z.p() * z.q() * z.k;
}

}  // namespace aikd::test::cudnn
