// What follows a convolution's sums (kernels/epilogue.h), one element at a time, in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "tests/oracle/conv2d.h"
#include "tests/oracle/pointwise.h"

namespace aikd::oracle {

// 0: some tap of the filter at this output lies before the first row (column) of the image; 2: some lies
// behind the last one; 1: neither. 0 where both.
inline std::int64_t border_class_of_axis(std::int64_t place, std::int64_t stride, std::int64_t pad,
                                         std::int64_t taps, std::int64_t size) {
  bool before = false, behind = false;
  for (std::int64_t t = 0; t < taps; ++t) {
    before = before || place * stride + t - pad < 0;
    behind = behind || place * stride + t - pad >= size;
  }
  return before ? 0 : behind ? 2 : 1;
}
inline std::int64_t border_class(const ConvSize& size, std::int64_t p, std::int64_t q) {
  return 3 * border_class_of_axis(p, size.stride, size.pad, size.r, size.h) +
         border_class_of_axis(q, size.stride, size.pad, size.s, size.w);
}

struct EpilogueElement {
  double bias = 0, residual = 0;
  bool prelu = false, clamps = false, residual_first = false;
  double slope = 0, lo = 0, hi = 0, scale2 = 0, shift2 = 0;
};
struct EpilogueResult {
  double y, y2;
  double magnitude, magnitude2;  // of all that was added up
};
inline EpilogueResult epilogue(double sum, const EpilogueElement& e) {
  const auto activation = [&](double v) {
    if (e.prelu) return prelu(v, e.slope);
    return e.clamps ? clamp(v, e.lo, e.hi) : v;
  };
  const double v = sum + e.bias;
  const double y = e.residual_first ? activation(v + e.residual) : activation(v) + e.residual;
  const double magnitude = (std::fabs(sum) + std::fabs(e.bias) + std::fabs(e.residual)) *
                           (e.prelu ? std::max(1.0, std::fabs(e.slope)) : 1.0);
  return {y, y * e.scale2 + e.shift2, magnitude, magnitude * std::fabs(e.scale2) + std::fabs(e.shift2)};
}

}  // namespace aikd::oracle
