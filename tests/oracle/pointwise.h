// Elementwise functions from their definitions, in double (gelu in long double).
#pragma once

#include <cmath>

namespace aikd::oracle {

inline double batch_norm(double x, double weight, double bias, double mean, double var, double eps) {
  return (x - mean) / std::sqrt(var + eps) * weight + bias;
}

inline double prelu(double x, double slope) {
  return x > 0 ? x : slope * x;
}

inline double clamp(double x, double lo, double hi) {
  return std::isnan(x) ? x : std::fmin(std::fmax(x, lo), hi);
}

// Phi(x) is the normal distribution function; for negative x as the upper tail of -x, which keeps its digits.
inline long double gelu(long double x) {
  return x * (std::erfc(-x / std::sqrt(2.0L)) / 2.0L);
}

}  // namespace aikd::oracle
