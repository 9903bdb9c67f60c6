// Gradients of the activations in pointwise.h, from their definitions, in double (gelu in long double).
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace aikd::oracle {

struct PreluGradients {
  std::vector<double> dx, dslope;
  std::vector<double> dslope_magnitude;  // sum of the absolute values of its terms
};

// x, dy [rows, channels]. The derivative at 0 is that of the left side.
template <class T>
PreluGradients prelu_backward(std::int64_t rows, std::int64_t channels, const T* x, const T* slope,
                              const T* dy) {
  const auto size = static_cast<std::size_t>(channels);
  PreluGradients g{{}, std::vector<double>(size, 0.0), std::vector<double>(size, 0.0)};
  for (std::int64_t i = 0; i < rows * channels; ++i) {
    const auto c = static_cast<std::size_t>(i % channels);
    const double value = static_cast<double>(x[i]), upstream = static_cast<double>(dy[i]);
    const bool left = !(value > 0);
    g.dx.push_back(left ? static_cast<double>(slope[c]) * upstream : upstream);
    if (!left) continue;
    g.dslope[c] += upstream * value;
    g.dslope_magnitude[c] += std::fabs(upstream * value);
  }
  return g;
}

// 1 between the bounds, 0 at and beyond them: PyTorch's ReLU, ReLU6 and Hardtanh. NaN lies beyond no bound.
inline double clamp_derivative(double x, double lo, double hi) {
  return x <= lo || x >= hi ? 0.0 : 1.0;
}

// d/dx x Phi(x) = Phi(x) + x phi(x), and the sum of the absolute values of the two.
struct GeluDerivative {
  long double value, magnitude;
};
inline GeluDerivative gelu_derivative(long double x) {
  const long double pi = std::acos(-1.0L);
  const long double phi = std::erfc(-x / std::sqrt(2.0L)) / 2.0L;
  const long double density = std::exp(-x * x / 2.0L) / std::sqrt(2.0L * pi);
  return {phi + x * density, phi + std::fabs(x) * density};
}

}  // namespace aikd::oracle
