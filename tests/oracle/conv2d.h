// Convolution from its definition, in double. NHWC; filters K,R,S,C.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace aikd::oracle {

struct ConvSize {
  std::int64_t n = 1, h = 1, w = 1, c = 1, k = 1, r = 1, s = 1, stride = 1, pad = 0;
  std::int64_t p() const { return (h + 2 * pad - r) / stride + 1; }
  std::int64_t q() const { return (w + 2 * pad - s) / stride + 1; }
};

// Results with, for each, the sum of the absolute values of its terms: the scale of rounding errors.
struct Sums {
  std::vector<double> value, magnitude;
};

// y[n,p,q,k] = bias[k] + sum_{r,s,c} padded x[n, p stride + r - pad, q stride + s - pad, c] weight[k,r,s,c]
template <class T>
Sums conv2d(const ConvSize& size, const T* x, const T* weight, const T* bias) {
  Sums y;
  for (std::int64_t n = 0; n < size.n; ++n) {
    for (std::int64_t p = 0; p < size.p(); ++p) {
      for (std::int64_t q = 0; q < size.q(); ++q) {
        for (std::int64_t k = 0; k < size.k; ++k) {
          double sum = bias == nullptr ? 0.0 : static_cast<double>(bias[k]), magnitude = std::fabs(sum);
          for (std::int64_t r = 0; r < size.r; ++r) {
            for (std::int64_t s = 0; s < size.s; ++s) {
              const std::int64_t row = p * size.stride + r - size.pad,
                                 column = q * size.stride + s - size.pad;
              if (row < 0 || row >= size.h || column < 0 || column >= size.w) continue;
              for (std::int64_t c = 0; c < size.c; ++c) {
                const double term =
                    static_cast<double>(x[((n * size.h + row) * size.w + column) * size.c + c]) *
                    static_cast<double>(weight[((k * size.r + r) * size.s + s) * size.c + c]);
                sum += term;
                magnitude += std::fabs(term);
              }
            }
          }
          y.value.push_back(sum);
          y.magnitude.push_back(magnitude);
        }
      }
    }
  }
  return y;
}

// One filter per channel: weight [r,s,c], k is ignored. The same as a dense convolution whose filter k is
// zero but for channel k; written as that.
template <class T>
Sums depthwise_conv2d(ConvSize size, const T* x, const T* weight, const T* bias) {
  size.k = size.c;
  std::vector<T> dense(static_cast<std::size_t>(size.k * size.r * size.s * size.c), T(0));
  for (std::int64_t k = 0; k < size.k; ++k) {
    for (std::int64_t tap = 0; tap < size.r * size.s; ++tap)
      dense[static_cast<std::size_t>((k * size.r * size.s + tap) * size.c + k)] = weight[tap * size.c + k];
  }
  return conv2d(size, x, dense.data(), bias);
}

// y[i,o] = bias[o] + sum_j x[i,j] weight[o,j]
template <class T>
Sums linear(std::int64_t rows, std::int64_t in, std::int64_t out, const T* x, const T* weight,
            const T* bias) {
  return conv2d<T>({.n = rows, .c = in, .k = out}, x, weight, bias);
}

}  // namespace aikd::oracle
