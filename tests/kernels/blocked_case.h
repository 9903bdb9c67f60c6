// Convolutions on blocked tensors: cases, how they are run, what is expected.
#pragma once

#include <algorithm>

#include "kernels/blocked_conv.h"
#include "kernels/winograd.h"
#include "tests/kernels/kernel_test.h"
#include "tests/oracle/conv2d.h"
#include "tests/oracle/pointwise.h"

namespace aikd::test {

using kernels::Conv2dDims;
using kernels::kBlock;

inline std::size_t size(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

// NHWC -> blocked; lanes beyond the channels get `fill`.
inline std::vector<float> to_blocked(const std::vector<float>& x, std::int64_t n, std::int64_t pixels,
                                     std::int64_t c, float fill) {
  std::vector<float> out(size(n * pixels * kernels::padded_channels(c)), fill);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t p = 0; p < pixels; ++p) {
      for (std::int64_t ch = 0; ch < c; ++ch)
        out[size(((i * kernels::blocks_of(c) + ch / kBlock) * pixels + p) * kBlock + ch % kBlock)] =
            x[size((i * pixels + p) * c + ch)];
    }
  }
  return out;
}

// Blocked -> NHWC; `padding_zero`: whether every lane beyond the channels is 0.
inline std::vector<float> from_blocked(const std::vector<float>& x, std::int64_t n, std::int64_t pixels,
                                       std::int64_t c, bool& padding_zero) {
  std::vector<float> out(size(n * pixels * c));
  padding_zero = true;
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t ch = 0; ch < kernels::padded_channels(c); ++ch) {
      for (std::int64_t p = 0; p < pixels; ++p) {
        const float v =
            x[size(((i * kernels::blocks_of(c) + ch / kBlock) * pixels + p) * kBlock + ch % kBlock)];
        if (ch < c) {
          out[size((i * pixels + p) * c + ch)] = v;
        } else if (!(v == 0.0F)) {
          padding_zero = false;
        }
      }
    }
  }
  return out;
}

inline std::vector<float> padded(const std::vector<float>& values, std::int64_t channels) {
  const std::size_t step = size(kernels::padded_parameters(channels)), rows = values.size() / size(channels);
  std::vector<float> out(rows * step, 0.0F);
  for (std::size_t i = 0; i < values.size(); ++i)
    out[i / size(channels) * step + i % size(channels)] = values[i];
  return out;
}

// What one run is given, in plain NHWC order, and how it ends.
struct Case {
  Conv2dDims dims;
  std::vector<float> x, weight, bias, slope, residual;
  std::int64_t bias_classes = 1;
  bool residual_first = false, clamps = false;
};

enum class Values { kReal, kInteger };

inline Case make_case(const Conv2dDims& d, Values values, bool depthwise = false) {
  const std::int64_t k = depthwise ? d.c : d.k;
  const auto make = [&](std::int64_t count, std::uint64_t seed) {
    return values == Values::kReal ? random_floats(count, seed) : random_integers(count, 8, seed);
  };
  Case c;
  c.dims = d;
  c.x = make(d.n * d.h * d.w * d.c, 1);
  c.weight = make(depthwise ? d.r * d.s * d.c : d.k * d.r * d.s * d.c, 2);
  c.bias = make(k, 3);
  return c;
}

inline std::vector<float> run_case(const Case& c, bool depthwise, int threads, bool in_place = false,
                                   bool winograd = false) {
  const Conv2dDims& d = c.dims;
  const std::int64_t k = depthwise ? d.c : d.k, pixels = d.p() * d.q();
  const std::vector<float> x = to_blocked(c.x, d.n, d.h * d.w, d.c, depthwise ? 0.0F : kNaN);
  const std::vector<float> bias_values = padded(c.bias, k), slope_values = padded(c.slope, k);
  Guarded input(x.size(), 0, x), bias(bias_values.size(), 0, bias_values);
  Guarded slope(slope_values.size(), 0, slope_values);
  Guarded y(size(d.n * kernels::padded_channels(k) * pixels));
  Guarded residual(y.size(), 0,
                   c.residual.empty() ? c.residual : to_blocked(c.residual, d.n, pixels, k, 0.0F));
  kernels::Epilogue epilogue{.residual_first = c.residual_first, .clamps = c.clamps, .lo = -1.5F, .hi = 4.0F};
  if (!c.slope.empty()) epilogue.slope = slope.data();
  if (!c.residual.empty()) epilogue.residual = residual.data();
  float* out = in_place ? residual.data() : y.data();
  Team team(threads);
  if (depthwise) {
    const std::int64_t taps = d.r * d.s;
    Guarded weight(size(kernels::padded_channels(k) * taps), 0, to_blocked(c.weight, 1, taps, k, 0.0F));
    kernels::cpu::blocked_depthwise(team.context(), d, input.data(), weight.data(), bias.data(), epilogue,
                                    out);
  } else {
    const kernels::BlockedConv conv = kernels::cpu::prepare_blocked_conv(d);
    Guarded weight(kernels::cpu::packed_filter_floats(conv));
    kernels::cpu::pack_filters(conv, c.weight.data(), weight.data());
    CHECK(weight.guards_intact());
    if (winograd) {
      Guarded workspace(kernels::cpu::winograd_workspace_bytes(d, d.n, threads) / sizeof(float));
      kernels::Context ctx = team.context();
      ctx.workspace = workspace.data();
      kernels::cpu::winograd_conv(ctx, d, d.n, input.data(), weight.data(), bias.data(), c.bias_classes,
                                  epilogue, out);
      CHECK(workspace.guards_intact());
    } else {
      kernels::cpu::blocked_conv(team.context(), conv, d.n, input.data(), weight.data(), bias.data(),
                                 c.bias_classes, epilogue, out);
    }
  }
  CHECK(y.guards_intact());
  CHECK(residual.guards_intact());
  bool padding_zero = false;
  std::vector<float> result =
      from_blocked(in_place ? residual.values() : y.values(), d.n, pixels, k, padding_zero);
  CHECK(padding_zero);
  return result;
}

// The definition: bias of the output's place, then the epilogue.
inline oracle::Sums expected(const Case& c, bool depthwise) {
  const Conv2dDims& d = c.dims;
  const oracle::ConvSize s{d.n, d.h, d.w, d.c, d.k, d.r, d.s, d.stride, d.pad};
  oracle::Sums sums = depthwise ? oracle::depthwise_conv2d<float>(s, c.x.data(), c.weight.data(), nullptr)
                                : oracle::conv2d<float>(s, c.x.data(), c.weight.data(), nullptr);
  const std::int64_t k = depthwise ? d.c : d.k;
  const auto place = [&](std::int64_t out, std::int64_t taps, std::int64_t extent) {
    const std::int64_t begin = out * d.stride - d.pad;
    return begin < 0 ? 0 : begin + taps > extent ? 2 : 1;
  };
  for (std::size_t i = 0; i < sums.value.size(); ++i) {
    const auto index = static_cast<std::int64_t>(i);
    const std::int64_t channel = index % k, q = index / k % d.q(), p = index / k / d.q() % d.p();
    const std::int64_t cls = c.bias_classes == 1 ? 0 : 3 * place(p, d.r, d.h) + place(q, d.s, d.w);
    double& v = sums.value[i];
    const auto bias = static_cast<double>(c.bias[size(cls * k + channel)]);
    const double extra = c.residual.empty() ? 0.0 : static_cast<double>(c.residual[i]);
    v += bias;
    sums.magnitude[i] += std::fabs(bias) + std::fabs(extra);
    if (c.residual_first) v += extra;
    if (!c.slope.empty()) v = oracle::prelu(v, static_cast<double>(c.slope[size(channel)]));
    if (c.clamps) v = oracle::clamp(v, -1.5, 4.0);
    if (!c.residual_first) v += extra;
  }
  return sums;
}

inline void check(const std::vector<float>& y, const oracle::Sums& sums, double tolerance) {
  REQUIRE(y.size() == sums.value.size());
  int wrong = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (!(std::fabs(static_cast<double>(y[i]) - sums.value[i]) <= tolerance * sums.magnitude[i])) ++wrong;
  }
  CHECK(wrong == 0);
}

inline void add_epilogue(Case& c, int variant, bool depthwise) {
  const Conv2dDims& d = c.dims;
  const std::int64_t k = depthwise ? d.c : d.k;
  if (variant == 1 || variant == 3) c.slope = random_integers(k, 3, 5);
  if (variant == 2 || variant == 3 || variant == 4)
    c.residual = random_integers(d.n * d.p() * d.q() * k, 50, 6);
  if (variant == 4) c.clamps = true;
  c.residual_first = variant == 3;
}

}  // namespace aikd::test
