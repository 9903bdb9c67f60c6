#include <algorithm>

#include "kernels/blocked_conv.h"
#include "tests/kernels/kernel_test.h"
#include "tests/oracle/conv2d.h"
#include "tests/oracle/pointwise.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using kernels::Conv2dDims;
using kernels::kBlock;

std::size_t size(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

// NHWC -> blocked; lanes beyond the channels get `fill`.
std::vector<float> to_blocked(const std::vector<float>& x, std::int64_t n, std::int64_t pixels,
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
std::vector<float> from_blocked(const std::vector<float>& x, std::int64_t n, std::int64_t pixels,
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

std::vector<float> padded(const std::vector<float>& values, std::int64_t channels) {
  const std::size_t step = size(kernels::padded_parameters(channels)), rows = values.size() / size(channels);
  std::vector<float> out(rows * step, 0.0F);
  for (std::size_t i = 0; i < values.size(); ++i)
    out[i / size(channels) * step + i % size(channels)] = values[i];
  return out;
}

// Widths around every tile size and its combinations with borders; filters and strides of every kind.
const std::vector<Conv2dDims> kSizes = {
    {.n = 1, .h = 1, .w = 1, .c = 1, .k = 1, .r = 1, .s = 1},
    {.n = 1, .h = 1, .w = 49, .c = 40, .k = 48, .r = 1, .s = 1},
    {.n = 2, .h = 14, .w = 14, .c = 16, .k = 32, .r = 3, .s = 3, .pad = 1},
    {.n = 1, .h = 7, .w = 7, .c = 32, .k = 64, .r = 3, .s = 3, .pad = 1},
    {.n = 1, .h = 5, .w = 28, .c = 3, .k = 16, .r = 3, .s = 3, .pad = 1},
    {.n = 1, .h = 4, .w = 1, .c = 5, .k = 7, .r = 3, .s = 3, .pad = 1},
    {.n = 1, .h = 2, .w = 2, .c = 17, .k = 33, .r = 3, .s = 3, .pad = 1},
    {.n = 2, .h = 9, .w = 13, .c = 19, .k = 21, .r = 3, .s = 3, .pad = 1},
    {.n = 1, .h = 28, .w = 28, .c = 16, .k = 16, .r = 3, .s = 3, .stride = 2, .pad = 1},
    {.n = 1, .h = 15, .w = 15, .c = 20, .k = 32, .r = 3, .s = 3, .stride = 2, .pad = 1},
    {.n = 3, .h = 14, .w = 14, .c = 16, .k = 48, .r = 1, .s = 1, .stride = 2},
    {.n = 1, .h = 17, .w = 31, .c = 2, .k = 4, .r = 5, .s = 5, .pad = 2},
    {.n = 1, .h = 8, .w = 9, .c = 4, .k = 6, .r = 3, .s = 7, .stride = 3, .pad = 3},
    {.n = 1, .h = 11, .w = 12, .c = 33, .k = 10, .r = 2, .s = 4},
};

// What one run is given, in plain NHWC order, and how it ends.
struct Case {
  Conv2dDims dims;
  std::vector<float> x, weight, bias, slope, residual;
  std::int64_t bias_classes = 1;
  bool residual_first = false, clamps = false;
};

enum class Values { kReal, kInteger };

Case make_case(const Conv2dDims& d, Values values, bool depthwise = false) {
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

std::vector<float> run_case(const Case& c, bool depthwise, int threads, bool in_place = false) {
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
    kernels::cpu::blocked_conv(team.context(), conv, d.n, input.data(), weight.data(), bias.data(),
                               c.bias_classes, epilogue, out);
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
oracle::Sums expected(const Case& c, bool depthwise) {
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

void check(const std::vector<float>& y, const oracle::Sums& sums, double tolerance) {
  REQUIRE(y.size() == sums.value.size());
  int wrong = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (!(std::fabs(static_cast<double>(y[i]) - sums.value[i]) <= tolerance * sums.magnitude[i])) ++wrong;
  }
  CHECK(wrong == 0);
}

void add_epilogue(Case& c, int variant, bool depthwise) {
  const Conv2dDims& d = c.dims;
  const std::int64_t k = depthwise ? d.c : d.k;
  if (variant == 1 || variant == 3) c.slope = random_integers(k, 3, 5);
  if (variant == 2 || variant == 3 || variant == 4)
    c.residual = random_integers(d.n * d.p() * d.q() * k, 50, 6);
  if (variant == 4) c.clamps = true;
  c.residual_first = variant == 3;
}

void check_all_sizes(bool depthwise) {
  for_each_isa([&] {
    for (std::size_t i = 0; i < kSizes.size(); ++i) {
      CAPTURE(i);
      for (int variant = 0; variant < 5; ++variant) {
        CAPTURE(variant);
        Case integer = make_case(kSizes[i], Values::kInteger, depthwise);
        add_epilogue(integer, variant, depthwise);
        check(run_case(integer, depthwise, 1 + variant % 3), expected(integer, depthwise), 0.0);
      }
      const Case real = make_case(kSizes[i], Values::kReal, depthwise);
      check(run_case(real, depthwise, 1), expected(real, depthwise), 1e-6);
    }
  });
}

}  // namespace

TEST_CASE("blocked_conv equals the oracle at all sizes and with every epilogue") {
  check_all_sizes(false);
}

TEST_CASE("blocked_depthwise equals the oracle at all sizes and with every epilogue") {
  check_all_sizes(true);
}

TEST_CASE("blocked_conv takes the bias of each of the nine places") {
  for_each_isa([&] {
    for (const std::int64_t stride : {1, 2}) {
      for (const std::int64_t w : {2, 3, 7, 8, 14, 15, 29}) {
        const Conv2dDims d{
            .n = 2, .h = 6, .w = w, .c = 5, .k = 40, .r = 3, .s = 3, .stride = stride, .pad = 1};
        CAPTURE(w);
        REQUIRE(kernels::border_classes_suffice(d));
        Case c = make_case(d, Values::kInteger);
        c.bias_classes = kernels::kBorderClasses;
        c.bias = random_integers(9 * d.k, 100, 9);
        check(run_case(c, false, 2), expected(c, false), 0.0);
      }
    }
  });
}

TEST_CASE("blocked_conv may write over its residual") {
  for_each_isa([&] {
    const Conv2dDims d{.n = 2, .h = 7, .w = 14, .c = 16, .k = 48, .r = 3, .s = 3, .pad = 1};
    Case c = make_case(d, Values::kInteger);
    add_epilogue(c, 2, false);
    check(run_case(c, false, 2, true), expected(c, false), 0.0);
  });
}

TEST_CASE("blocked_conv gives the same bits with any threads and any batch") {
  for_each_isa([&] {
    const Conv2dDims d{.n = 3, .h = 14, .w = 14, .c = 48, .k = 80, .r = 3, .s = 3, .pad = 1};
    const Case all = make_case(d, Values::kReal);
    const std::vector<float> y = run_case(all, false, 1);
    for (const int threads : {1, 2, 3, 7}) CHECK(same_bits(y, run_case(all, false, threads)));
    const auto in = static_cast<std::ptrdiff_t>(all.x.size() / 3),
               out = static_cast<std::ptrdiff_t>(y.size() / 3);
    for (std::ptrdiff_t i = 0; i < 3; ++i) {
      Case one = all;
      one.dims.n = 1;
      one.x.assign(all.x.begin() + i * in, all.x.begin() + (i + 1) * in);
      const std::vector<float> part(y.begin() + i * out, y.begin() + (i + 1) * out);
      CHECK(same_bits(part, run_case(one, false, 2)));
    }
  });
}

TEST_CASE("blocked_conv skips taps outside the image instead of multiplying by zero") {
  for_each_isa([&] {
    const Conv2dDims d{.n = 1, .h = 1, .w = 1, .c = 3, .k = 5, .r = 3, .s = 3, .pad = 1};
    Case c = make_case(d, Values::kInteger);
    const oracle::Sums y = expected(c, false);
    for (std::size_t i = 0; i < c.weight.size(); ++i) {
      if (i / 3 % 9 != 4) c.weight[i] = std::numeric_limits<float>::infinity();
    }
    check(run_case(c, false, 1), y, 0.0);
  });
}

TEST_CASE("border_classes_suffice knows its limits") {
  Conv2dDims d{.n = 1, .h = 2, .w = 2, .c = 1, .k = 1, .r = 3, .s = 3, .pad = 1};
  CHECK(kernels::border_classes_suffice(d));
  d.h = 1;
  CHECK_FALSE(kernels::border_classes_suffice(d));
  d.h = 2;
  d.w = 1;
  CHECK_FALSE(kernels::border_classes_suffice(d));
  d.w = 2;
  d.pad = 2;
  CHECK_FALSE(kernels::border_classes_suffice(d));
  CHECK_FALSE(kernels::border_classes_suffice({.h = 8, .w = 8, .r = 5, .s = 5, .pad = 1}));
}

TEST_CASE("blocked_pointwise equals the definition with and without scale") {
  for_each_isa([&] {
    for (const std::int64_t c : {1, 15, 16, 17, 50}) {
      const std::int64_t pixels = 15, n = 2;
      const kernels::BlockedDims dims{.n = n, .c = c, .h = 3, .w = 5};
      const std::vector<float> x = random_integers(n * pixels * c, 50, 1),
                               r = random_integers(n * pixels * c, 50, 2);
      const std::vector<float> scale = random_integers(c, 5, 3), shift = random_integers(c, 5, 4);
      const std::vector<float> slope = random_integers(c, 3, 5);
      for (const bool scales : {false, true}) {
        Guarded in(size(n * dims.image_floats()), 0, to_blocked(x, n, pixels, c, 0.0F));
        Guarded res(in.size(), 0, to_blocked(r, n, pixels, c, 0.0F));
        Guarded sc(size(kernels::padded_parameters(c)), 0, padded(scale, c));
        Guarded sh(sc.size(), 0, padded(shift, c)), sl(sc.size(), 0, padded(slope, c));
        Team team(2);
        kernels::cpu::blocked_pointwise(team.context(), dims, in.data(), scales ? sc.data() : nullptr,
                                        sh.data(), {.slope = sl.data(), .residual = res.data()}, in.data());
        CHECK(in.guards_intact());
        bool padding_zero = false;
        const std::vector<float> y = from_blocked(in.values(), n, pixels, c, padding_zero);
        CHECK(padding_zero);
        int wrong = 0;
        for (std::size_t i = 0; i < y.size(); ++i) {
          const std::size_t ch = i % size(c);
          const double v = scales ? static_cast<double>(x[i]) * static_cast<double>(scale[ch]) +
                                        static_cast<double>(shift[ch])
                                  : static_cast<double>(x[i]);
          const double wanted = oracle::prelu(v, static_cast<double>(slope[ch])) + static_cast<double>(r[i]);
          if (!(static_cast<double>(y[i]) == wanted)) ++wrong;
        }
        CHECK(wrong == 0);
      }
    }
  });
}

TEST_CASE("flatten_blocked gives h w c order and zeros behind it") {
  const std::int64_t n = 2, h = 3, w = 2, c = 19, stride = 128;
  const std::vector<float> x = random_floats(n * h * w * c, 1);
  Guarded in(size(n * h * w * kernels::padded_channels(c)), 0, to_blocked(x, n, h * w, c, kNaN));
  Guarded y(size(n * stride));
  Team team(2);
  kernels::cpu::flatten_blocked(team.context(), {.n = n, .c = c, .h = h, .w = w}, in.data(), y.data(),
                                stride);
  CHECK(y.guards_intact());
  int wrong = 0;
  for (std::int64_t i = 0; i < n * stride; ++i) {
    const std::int64_t f = i % stride;
    const float wanted = f < h * w * c ? x[size(i / stride * h * w * c + f)] : 0.0F;
    if (!(y[size(i)] == wanted)) ++wrong;
  }
  CHECK(wrong == 0);
}
