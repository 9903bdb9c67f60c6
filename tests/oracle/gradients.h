// Gradients of the elementwise ops, BatchNorm and the linear layer by the chain rule, in double, one step of
// the forward computation at a time. Where a result is a sum, the sum of its terms' absolute values comes
// with it: the scale of rounding errors.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/oracle/conv2d.h"

namespace aikd::oracle::gradient {

using Values = std::vector<double>;

inline std::size_t index(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

// Over the rows of [rows, channels].
inline Sums column_sums(std::int64_t rows, std::int64_t channels, const Values& x) {
  Sums y{Values(index(channels), 0.0), Values(index(channels), 0.0)};
  for (std::int64_t i = 0; i < rows * channels; ++i) {
    y.value[index(i % channels)] += x[index(i)];
    y.magnitude[index(i % channels)] += std::fabs(x[index(i)]);
  }
  return y;
}

struct Statistics {
  Values mean, var;
};
inline Statistics statistics(std::int64_t rows, std::int64_t channels, const Values& x) {
  Statistics s{column_sums(rows, channels, x).value, Values(index(channels), 0.0)};
  for (double& mean : s.mean) mean /= static_cast<double>(rows);
  for (std::int64_t i = 0; i < rows * channels; ++i) {
    const double apart = x[index(i)] - s.mean[index(i % channels)];
    s.var[index(i % channels)] += apart * apart / static_cast<double>(rows);
  }
  return s;
}

// y = (x - mean) / sqrt(var + eps) weight + bias
inline Values batch_norm(std::int64_t channels, const Values& x, const Statistics& s, const Values& weight,
                         const Values& bias, double eps) {
  Values y;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = i % index(channels);
    y.push_back((x[i] - s.mean[c]) / std::sqrt(s.var[c] + eps) * weight[c] + bias[c]);
  }
  return y;
}

struct BatchNorm {
  Sums dx, dweight, dbias;
};
// `batch`: mean and var are those of x, and what flows into them flows on: d mean / d x = 1 / rows,
// d var / d x = 2 (x - mean) / rows.
inline BatchNorm batch_norm_gradient(std::int64_t rows, std::int64_t channels, const Values& x,
                                     const Values& dy, const Statistics& s, const Values& weight, double eps,
                                     bool batch) {
  const double n = static_cast<double>(rows);
  Values scaled(dy), weighted(dy), to_mean(dy), to_var(dy);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = i % index(channels);
    const double deviation = std::sqrt(s.var[c] + eps), apart = x[i] - s.mean[c];
    weighted[i] = dy[i] * apart / deviation;
    scaled[i] = dy[i] * weight[c] / deviation;
    to_mean[i] = -scaled[i];
    to_var[i] = -dy[i] * weight[c] * apart / (2 * deviation * deviation * deviation);
  }
  BatchNorm g{{scaled, {}}, column_sums(rows, channels, weighted), column_sums(rows, channels, dy)};
  const Sums dmean = column_sums(rows, channels, to_mean), dvar = column_sums(rows, channels, to_var);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = i % index(channels);
    double magnitude = std::fabs(scaled[i]);
    if (batch) {
      const double apart = 2 * (x[i] - s.mean[c]) / n;
      g.dx.value[i] += dmean.value[c] / n + dvar.value[c] * apart;
      magnitude += dmean.magnitude[c] / n + dvar.magnitude[c] * std::fabs(apart);
    }
    g.dx.magnitude.push_back(magnitude);
  }
  return g;
}

struct Prelu {
  Values dx;
  Sums dslope;
};
inline Prelu prelu_gradient(std::int64_t rows, std::int64_t channels, const Values& x, const Values& slope,
                            const Values& dy) {
  Prelu g;
  Values terms;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const bool right = x[i] > 0;
    g.dx.push_back(right ? dy[i] : slope[i % index(channels)] * dy[i]);
    terms.push_back(right ? 0.0 : x[i] * dy[i]);
  }
  g.dslope = column_sums(rows, channels, terms);
  return g;
}

// At a bound PyTorch's ReLU, ReLU6 and Hardtanh have slope 0.
inline double clamp_slope(double x, double lo, double hi) {
  return x <= lo || x >= hi ? 0.0 : 1.0;
}

// d/dx x Phi(x), in long double.
inline long double gelu_slope(long double x) {
  const long double pi = std::acos(-1.0L);
  return std::erfc(-x / std::sqrt(2.0L)) / 2.0L + x * std::exp(-x * x / 2.0L) / std::sqrt(2.0L * pi);
}

// y[i,o] = sum over j of x[i,j] weight[o,j]: every product hands its share to both factors.
struct Linear {
  Sums dx, dweight;
};
inline Linear linear_gradient(std::int64_t rows, std::int64_t in, std::int64_t out, const Values& x,
                              const Values& weight, const Values& dy) {
  Linear g{{Values(x.size(), 0.0), Values(x.size(), 0.0)},
           {Values(weight.size(), 0.0), Values(weight.size(), 0.0)}};
  const auto add = [](Sums& sums, std::size_t at, double term) {
    sums.value[at] += term;
    sums.magnitude[at] += std::fabs(term);
  };
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t o = 0; o < out; ++o)
      for (std::int64_t j = 0; j < in; ++j) {
        const std::size_t a = index(i * in + j), b = index(o * in + j), y = index(i * out + o);
        add(g.dx, a, dy[y] * weight[b]);
        add(g.dweight, b, dy[y] * x[a]);
      }
  return g;
}

}  // namespace aikd::oracle::gradient
