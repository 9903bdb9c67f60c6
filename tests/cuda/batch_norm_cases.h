// Data for the tests of BatchNorm, alone and with PReLU, and what the oracle makes of them.
#pragma once

#include <algorithm>
#include <optional>

#include "tests/cuda/pointwise_cases.h"
#include "tests/oracle/activation.h"
#include "tests/oracle/batch_norm.h"
#include "tests/oracle/pointwise.h"

namespace aikd::test {

inline constexpr double kUlp = 0x1p-23;  // of 1, in fp32
inline constexpr float kEps = 1e-3F;
// For gradients. Runs of rows: one, two (the second of one row), many; blocks of channels: one and two.
inline constexpr Matrix kGradientMatrices[] = {{1, 13},   {17, 1},    {15, 17},   {49, 49},
                                               {257, 40}, {1500, 13}, {1200, 16}, {20, 264}};

// Values with the scale of their rounding errors.
struct NormExpected {
  std::vector<double> value, scale;  // y or dx, of all elements
  std::vector<double> dweight, dweight_scale, dbias, dbias_scale, dslope, dslope_scale;

  // A few fp32 operations per element; the sums behind a gradient are fp32 in runs of some tens of rows.
  std::string wrong_value(kernels::Storage storage, const std::vector<float>& got) const {
    return first_wrong(got, value, [&](std::size_t i) {
      return (storage == kernels::Storage::kF32 ? 0 : rounding(storage, value[i])) + 8 * kUlp * scale[i];
    });
  }
  static std::string wrong_sum(const std::vector<float>& got, const std::vector<double>& sum,
                               const std::vector<double>& magnitude) {
    return first_wrong(got, sum, [&](std::size_t c) { return 8 * kUlp * magnitude[c]; });
  }
  std::string wrong_weight(const std::vector<float>& got) const {
    return wrong_sum(got, dweight, dweight_scale);
  }
  std::string wrong_bias(const std::vector<float>& got) const { return wrong_sum(got, dbias, dbias_scale); }
  std::string wrong_slope(const std::vector<float>& got) const {
    return wrong_sum(got, dslope, dslope_scale);
  }
};

struct NormCase {
  Matrix size;
  bool affine;
  std::vector<float> x, dy, weight, bias, slope, mean, var;

  NormCase(kernels::Storage storage, const Matrix& m, bool with_parameters)
      : size(m),
        affine(with_parameters),
        x(random_normal(m.size(), 21)),
        dy(rounded(storage, random_normal(m.size(), 22))),
        weight(random_normal(m.channels, 23)),
        bias(random_normal(m.channels, 24)),
        slope(random_normal(m.channels, 25)) {
    // Channels of different means and scales.
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto c = static_cast<float>(i % weight.size() % 7);
      x[i] = x[i] * (0.5F + c) + 2 * c - 3;
    }
    x = rounded(storage, x);
    const auto s = oracle::statistics(m.rows, m.channels, x.data());
    mean.assign(s.mean.begin(), s.mean.end());
    var.assign(s.var.begin(), s.var.end());
  }

  // With the statistics as the kernel gets them, rounded to fp32.
  oracle::ChannelNorm norm(std::size_t c) const {
    return {static_cast<double>(mean[c]), static_cast<double>(var[c]),
            affine ? static_cast<double>(weight[c]) : 1.0, affine ? static_cast<double>(bias[c]) : 0.0,
            static_cast<double>(kEps)};
  }
  oracle::Column column(const std::vector<float>& from, std::size_t c) const {
    oracle::Column values;
    for (std::size_t i = c; i < from.size(); i += weight.size())
      values.push_back(static_cast<double>(from[i]));
    return values;
  }

  NormExpected forward(bool with_prelu = false) const {
    NormExpected e = empty();
    for (std::size_t c = 0; c < weight.size(); ++c) {
      const oracle::ChannelNorm n = norm(c);
      const oracle::Column y = oracle::normalise(column(x, c), n);
      const double a = with_prelu ? static_cast<double>(slope[c]) : 1.0;
      for (std::size_t i = 0; i < y.size(); ++i) {
        e.value[i * weight.size() + c] = oracle::prelu(y[i], a);
        e.scale[i * weight.size() + c] = (std::fabs(y[i]) + std::fabs(n.bias)) * std::max(1.0, std::fabs(a));
      }
    }
    return e;
  }

  NormExpected backward(bool frozen, bool with_prelu = false) const {
    NormExpected e = empty();
    const double rows = static_cast<double>(size.rows);
    for (std::size_t c = 0; c < weight.size(); ++c) {
      const oracle::ChannelNorm n = norm(c);
      const oracle::Column values = column(x, c), upstream = column(dy, c);
      oracle::Column dz = upstream;
      double dslope = 0, dslope_scale = 0;
      if (with_prelu) {
        const double a = static_cast<double>(slope[c]);
        const oracle::Column z = oracle::normalise(values, n);
        const auto g = oracle::prelu_backward(size.rows, 1, z.data(), &a, upstream.data());
        dz = g.dx;
        dslope = g.dslope[0];
        for (std::size_t i = 0; i < z.size(); ++i)
          dslope_scale += std::fabs(upstream[i]) * (std::fabs(z[i]) + std::fabs(n.bias));
      }
      const auto g = frozen ? oracle::frozen_backward(values, dz, n) : oracle::train_backward(values, dz, n);
      const double deviation = std::sqrt(n.var + n.eps), scale = std::fabs(n.weight) / deviation;
      double all = 0, all_normalised = 0;
      for (std::size_t i = 0; i < dz.size(); ++i) {
        all += std::fabs(dz[i]);
        all_normalised += std::fabs(dz[i] * (values[i] - n.mean) / deviation);
      }
      // The mean's own rounding shows in every xhat.
      const double shift = std::fabs(n.mean) / deviation;
      for (std::size_t i = 0; i < dz.size(); ++i) {
        e.value[i * weight.size() + c] = g.dx[i];
        e.scale[i * weight.size() + c] =
            scale *
            (std::fabs(dz[i]) + (frozen ? 0.0
                                        : all / rows + (std::fabs(values[i] - n.mean) / deviation + shift) *
                                                           (all_normalised + shift * all) / rows));
      }
      e.dweight.push_back(g.dweight);
      e.dweight_scale.push_back(all_normalised);
      e.dbias.push_back(g.dbias);
      e.dbias_scale.push_back(all);
      e.dslope.push_back(dslope);
      e.dslope_scale.push_back(dslope_scale);
    }
    return e;
  }

 private:
  NormExpected empty() const {
    NormExpected e;
    e.value.resize(x.size());
    e.scale.resize(x.size());
    return e;
  }
};

struct NormOnDevice {
  DeviceArray<float> mean, var, weight_values, bias_values, slope;
  bool affine;
  explicit NormOnDevice(const NormCase& c)
      : mean(c.mean),
        var(c.var),
        weight_values(c.weight),
        bias_values(c.bias),
        slope(c.slope),
        affine(c.affine) {}
  const float* weight() const { return affine ? weight_values.data() : nullptr; }
  const float* bias() const { return affine ? bias_values.data() : nullptr; }
};

}  // namespace aikd::test
