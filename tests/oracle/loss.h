// Losses of training and their gradients by their definitions, in double.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace aikd::oracle {

inline constexpr double kCosineEpsilon =
    1e-12;  // added to both squared lengths, as torch.nn.CosineEmbeddingLoss does

// 1 - cosine of two vectors, written so that nearly parallel ones keep their digits: with u and v the vectors
// divided by their lengths (epsilon included), u.u = 1 - eps/A and v.v = 1 - eps/B, so 1 - u.v = (|u - v|^2 +
// eps/A + eps/B) / 2.
inline double cosine_distance(const std::vector<double>& a, const std::vector<double>& b) {
  double length_a = kCosineEpsilon, length_b = kCosineEpsilon, difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    length_a += a[i] * a[i];
    length_b += b[i] * b[i];
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = a[i] / std::sqrt(length_a) - b[i] / std::sqrt(length_b);
    difference += d * d;
  }
  return (difference + kCosineEpsilon / length_a + kCosineEpsilon / length_b) / 2;
}

// Of cosine_distance by b.
inline std::vector<double> cosine_distance_gradient(const std::vector<double>& a,
                                                    const std::vector<double>& b) {
  double length_a = kCosineEpsilon, length_b = kCosineEpsilon, product = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    length_a += a[i] * a[i];
    length_b += b[i] * b[i];
    product += a[i] * b[i];
  }
  std::vector<double> gradient;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double numerator = a[i] * length_b - product * b[i];
    gradient.push_back(-numerator / (std::sqrt(length_a) * std::pow(length_b, 1.5)));
  }
  return gradient;
}

// One term of the mean, and its slope. beta = 0: |d|, with slope 0 at 0.
inline double smooth_l1(double d, double beta) {
  return std::abs(d) < beta ? d * d / (2 * beta) : std::abs(d) - beta / 2;
}
inline double smooth_l1_slope(double d, double beta) {
  if (std::abs(d) < beta) return d / beta;
  return d > 0 ? 1 : d < 0 ? -1 : 0;
}

}  // namespace aikd::oracle
