#include "kernels/conv2d.h"

#include "kernels/depthwise_conv2d.h"
#include "tests/kernels/kernel_test.h"
#include "tests/oracle/conv2d.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using kernels::Conv2dDims;

// Sizes around every tile and vector length, and the odd ones.
const std::vector<Conv2dDims> kSizes = {
    {.n = 1, .h = 1, .w = 1, .c = 1, .k = 1, .r = 1, .s = 1},
    {.n = 2, .h = 5, .w = 7, .c = 3, .k = 5, .r = 3, .s = 3, .pad = 1},
    {.n = 1, .h = 7, .w = 13, .c = 15, .k = 17, .r = 3, .s = 3, .stride = 2, .pad = 1},
    {.n = 3, .h = 6, .w = 6, .c = 17, .k = 33, .r = 1, .s = 1, .stride = 2},
    {.n = 1, .h = 9, .w = 8, .c = 4, .k = 32, .r = 5, .s = 3, .pad = 2},
    {.n = 1, .h = 3, .w = 2, .c = 2, .k = 16, .r = 7, .s = 5, .stride = 3, .pad = 3},
    {.n = 2, .h = 14, .w = 14, .c = 16, .k = 31, .r = 3, .s = 3, .pad = 1},
    {.n = 1, .h = 7, .w = 7, .c = 8, .k = 8, .r = 7, .s = 7},
};

oracle::ConvSize oracle_size(const Conv2dDims& d) {
  return {d.n, d.h, d.w, d.c, d.k, d.r, d.s, d.stride, d.pad};
}

struct Case {
  std::vector<float> x, weight, bias;
  std::size_t outputs;
};

Case make_case(const Conv2dDims& d, bool depthwise, bool integers) {
  const std::int64_t x = d.n * d.h * d.w * d.c, w = depthwise ? d.r * d.s * d.c : d.k * d.r * d.s * d.c;
  const std::int64_t k = depthwise ? d.c : d.k;
  const auto outputs = static_cast<std::size_t>(d.n * d.p() * d.q() * k);
  if (integers)
    return {random_integers(x, 8, 1), random_integers(w, 8, 2), random_integers(k, 8, 3), outputs};
  return {random_floats(x, 1), random_floats(w, 2), random_floats(k, 3), outputs};
}

std::vector<float> run_conv(const Conv2dDims& d, const Case& c, bool depthwise, bool with_bias, int threads) {
  Team team(threads, depthwise ? 0 : kernels::cpu::conv2d_workspace_bytes(d));
  Guarded x(c.x.size(), 1, c.x), w(c.weight.size(), 3, c.weight), b(c.bias.size(), 5, c.bias),
      y(c.outputs, 7);
  const float* bias = with_bias ? b.data() : nullptr;
  if (depthwise) {
    kernels::cpu::depthwise_conv2d(team.context(), d, x.data(), w.data(), bias, y.data());
  } else {
    kernels::cpu::conv2d(team.context(), d, x.data(), w.data(), bias, y.data());
  }
  CHECK(y.guards_intact());
  CHECK(team.guards_intact());
  return y.values();
}

void check_close(const std::vector<float>& y, const oracle::Sums& expected) {
  REQUIRE(y.size() == expected.value.size());
  int wrong = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double error = std::fabs(static_cast<double>(y[i]) - expected.value[i]);
    if (!(error <= 1e-6 * expected.magnitude[i])) ++wrong;
  }
  CHECK(wrong == 0);
}

void check_equal(const std::vector<float>& y, const oracle::Sums& expected) {
  REQUIRE(y.size() == expected.value.size());
  int wrong = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (!(static_cast<double>(y[i]) == expected.value[i])) ++wrong;
  }
  CHECK(wrong == 0);
}

oracle::Sums expected(const Conv2dDims& d, const Case& c, bool depthwise, bool with_bias) {
  const float* bias = with_bias ? c.bias.data() : nullptr;
  return depthwise ? oracle::depthwise_conv2d(oracle_size(d), c.x.data(), c.weight.data(), bias)
                   : oracle::conv2d(oracle_size(d), c.x.data(), c.weight.data(), bias);
}

void check_all_sizes(bool depthwise) {
  for_each_isa([&] {
    for (std::size_t i = 0; i < kSizes.size(); ++i) {
      CAPTURE(i);
      const Conv2dDims& d = kSizes[i];
      for (const bool with_bias : {false, true}) {
        const Case real = make_case(d, depthwise, false);
        check_close(run_conv(d, real, depthwise, with_bias, 1), expected(d, real, depthwise, with_bias));
        const Case integer = make_case(d, depthwise, true);
        check_equal(run_conv(d, integer, depthwise, with_bias, 2),
                    expected(d, integer, depthwise, with_bias));
      }
    }
  });
}

}  // namespace

TEST_CASE("conv2d equals the oracle at all sizes and is exact on integers") {
  check_all_sizes(false);
}

TEST_CASE("depthwise_conv2d equals the oracle at all sizes and is exact on integers") {
  check_all_sizes(true);
}

TEST_CASE("conv2d and depthwise_conv2d give the same bits with any threads and any batch") {
  for_each_isa([&] {
    for (const bool depthwise : {false, true}) {
      const Conv2dDims d{.n = 3, .h = 9, .w = 15, .c = 19, .k = 35, .r = 3, .s = 3, .pad = 1};
      const Case all = make_case(d, depthwise, false);
      const std::vector<float> y = run_conv(d, all, depthwise, true, 1);
      CHECK(same_bits(y, run_conv(d, all, depthwise, true, 1)));
      CHECK(same_bits(y, run_conv(d, all, depthwise, true, 3)));
      Conv2dDims one = d;
      one.n = 1;
      const std::size_t in = all.x.size() / 3, out = all.outputs / 3;
      for (std::size_t i = 0; i < 3; ++i) {
        Case single = all;
        single.x.assign(all.x.begin() + static_cast<std::ptrdiff_t>(i * in),
                        all.x.begin() + static_cast<std::ptrdiff_t>((i + 1) * in));
        single.outputs = out;
        const std::vector<float> part(y.begin() + static_cast<std::ptrdiff_t>(i * out),
                                      y.begin() + static_cast<std::ptrdiff_t>((i + 1) * out));
        CHECK(same_bits(part, run_conv(one, single, depthwise, true, 2)));
      }
    }
  });
}

TEST_CASE("conv2d skips taps outside the image instead of multiplying by zero") {
  // An infinite filter value at a tap that is outside for every output must not turn into NaN.
  for_each_isa([&] {
    const Conv2dDims d{.n = 1, .h = 1, .w = 1, .c = 2, .k = 3, .r = 3, .s = 3, .pad = 1};
    Case c = make_case(d, false, true);
    for (std::size_t i = 0; i < c.weight.size(); ++i) {
      if (i / 2 % 9 != 4) c.weight[i] = std::numeric_limits<float>::infinity();
    }
    check_equal(run_conv(d, c, false, true, 1), expected(d, c, false, true));
  });
}
