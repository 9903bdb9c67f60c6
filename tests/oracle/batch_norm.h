// BatchNorm over the rows of [rows, channels] from its definition, and its gradients by the chain rule, in
// double.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace aikd::oracle {

struct Statistics {
  std::vector<double> mean, var;  // var: biased
};
template <class T>
Statistics statistics(std::int64_t rows, std::int64_t channels, const T* x) {
  Statistics s;
  for (std::int64_t c = 0; c < channels; ++c) {
    double sum = 0, squares = 0;
    for (std::int64_t i = 0; i < rows; ++i) sum += static_cast<double>(x[i * channels + c]);
    const double mean = sum / static_cast<double>(rows);
    for (std::int64_t i = 0; i < rows; ++i) {
      const double d = static_cast<double>(x[i * channels + c]) - mean;
      squares += d * d;
    }
    s.mean.push_back(mean);
    s.var.push_back(squares / static_cast<double>(rows));
  }
  return s;
}

// One column: values of one channel.
using Column = std::vector<double>;
struct ChannelNorm {
  double mean, var, weight, bias, eps;
};

inline Column normalise(const Column& x, const ChannelNorm& n) {
  Column y;
  for (const double value : x) y.push_back((value - n.mean) / std::sqrt(n.var + n.eps) * n.weight + n.bias);
  return y;
}

struct NormGradients {
  Column dx;
  double dweight = 0, dbias = 0;
};

// mean and var are constants.
inline NormGradients frozen_backward(const Column& x, const Column& dy, const ChannelNorm& n) {
  NormGradients g;
  const double deviation = std::sqrt(n.var + n.eps);
  for (std::size_t i = 0; i < x.size(); ++i) {
    g.dx.push_back(dy[i] * n.weight / deviation);
    g.dweight += dy[i] * (x[i] - n.mean) / deviation;
    g.dbias += dy[i];
  }
  return g;
}

// mean and var are those of x: what flows into them flows on, by d mean / d x = 1/n and
// d var / d x_i = 2 (x_i - mean) / n.
inline NormGradients train_backward(const Column& x, const Column& dy, const ChannelNorm& n) {
  NormGradients g = frozen_backward(x, dy, n);
  const double rows = static_cast<double>(x.size()), deviation = std::sqrt(n.var + n.eps);
  double dmean = 0, dvar = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    dmean -= dy[i] * n.weight / deviation;
    dvar -= dy[i] * n.weight * (x[i] - n.mean) / (2 * deviation * deviation * deviation);
  }
  for (std::size_t i = 0; i < x.size(); ++i) g.dx[i] += dmean / rows + dvar * 2 * (x[i] - n.mean) / rows;
  return g;
}

}  // namespace aikd::oracle
