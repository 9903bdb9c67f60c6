#include "tests/kernels/blocked_case.h"

namespace {

using namespace aikd;
using namespace aikd::test;

// Whole and cut tiles on every side, one and several blocks of channels, more tiles than one round holds, the
// layers of iResNet.
const std::vector<Conv2dDims> kSizes = {
    {.n = 1, .h = 4, .w = 4, .c = 16, .k = 16, .r = 3, .s = 3, .pad = 1},
    {.n = 1, .h = 5, .w = 7, .c = 32, .k = 16, .r = 3, .s = 3, .pad = 1},
    {.n = 3, .h = 13, .w = 6, .c = 16, .k = 48, .r = 3, .s = 3, .pad = 1},
    {.n = 5, .h = 7, .w = 7, .c = 64, .k = 64, .r = 3, .s = 3, .pad = 1},
    {.n = 2, .h = 14, .w = 14, .c = 32, .k = 80, .r = 3, .s = 3, .pad = 1},
    {.n = 1, .h = 56, .w = 56, .c = 16, .k = 32, .r = 3, .s = 3, .pad = 1},
};

// Worst error, relative to the sum of the magnitudes of an output's terms. A corner has few terms of its own,
// but the rounding errors of its whole tile.
double worst_error(const std::vector<float>& y, const oracle::Sums& sums) {
  REQUIRE(y.size() == sums.value.size());
  double worst = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double error = std::fabs(static_cast<double>(y[i]) - sums.value[i]) / sums.magnitude[i];
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

// The same in the L2 norm, relative to that of the output.
double l2_error(const std::vector<float>& y, const oracle::Sums& sums) {
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double d = static_cast<double>(y[i]) - sums.value[i];
    error += d * d;
    norm += sums.value[i] * sums.value[i];
  }
  return std::sqrt(error / norm);
}

}  // namespace

TEST_CASE("winograd_conv is within its error of the oracle at all sizes and with every epilogue") {
  for_each_isa([&] {
    for (std::size_t i = 0; i < kSizes.size(); ++i) {
      CAPTURE(i);
      REQUIRE(kernels::winograd_fits(kSizes[i]));
      for (int variant = 0; variant < 5; ++variant) {
        CAPTURE(variant);
        if (i == 5 && variant != 3) continue;  // the large one once
        Case c = make_case(kSizes[i], Values::kReal);
        add_epilogue(c, variant, false);
        const double worst =
            worst_error(run_case(c, false, 1 + variant % 3, false, true), expected(c, false));
        CHECK_FALSE(!(worst <= 1e-5));
      }
    }
  });
}

TEST_CASE("winograd_conv takes the bias of each of the nine places, and may write over its residual") {
  for_each_isa([&] {
    for (const std::int64_t w : {4, 6, 9}) {
      const Conv2dDims d{.n = 2, .h = 5, .w = w, .c = 16, .k = 48, .r = 3, .s = 3, .pad = 1};
      CAPTURE(w);
      Case c = make_case(d, Values::kReal);
      c.bias_classes = kernels::kBorderClasses;
      c.bias = random_floats(9 * d.k, 9);
      add_epilogue(c, 3, false);
      const oracle::Sums sums = expected(c, false);
      const std::vector<float> y = run_case(c, false, 2, false, true);
      CHECK_FALSE(!(worst_error(y, sums) <= 1e-5));
      CHECK(run_case(c, false, 2, true, true) == y);
    }
  });
}

TEST_CASE("winograd_conv: an image's bits depend neither on the batch nor on the threads, and repeat") {
  for_each_isa([&] {
    const Conv2dDims d{.n = 9, .h = 14, .w = 14, .c = 48, .k = 48, .r = 3, .s = 3, .pad = 1};
    const Case all = make_case(d, Values::kReal);
    const std::vector<float> y = run_case(all, false, 1, false, true);
    for (const int threads : {1, 2, 3, 5}) CHECK(run_case(all, false, threads, false, true) == y);
    Case one = all;
    one.dims.n = 1;
    const std::size_t in = all.x.size() / 9, out = y.size() / 9;
    for (const std::size_t image : {std::size_t{0}, std::size_t{4}, std::size_t{8}}) {
      one.x.assign(all.x.begin() + static_cast<std::ptrdiff_t>(image * in),
                   all.x.begin() + static_cast<std::ptrdiff_t>((image + 1) * in));
      const std::vector<float> alone = run_case(one, false, 2, false, true);
      CHECK(std::equal(alone.begin(), alone.end(), y.begin() + static_cast<std::ptrdiff_t>(image * out)));
    }
  });
}

TEST_CASE("winograd_conv: the error of a layer of iResNet, in the L2 norm, is the one that is stated") {
  const Conv2dDims d{.n = 1, .h = 14, .w = 14, .c = 256, .k = 64, .r = 3, .s = 3, .pad = 1};
  const Case c = make_case(d, Values::kReal);
  const double error = l2_error(run_case(c, false, 2, false, true), expected(c, false));
  MESSAGE("256 channels at 14x14: relative error ", error);
  CHECK_FALSE(!(error <= 4e-6));
}

TEST_CASE("winograd_fits: what it cannot do is left to the direct kernel") {
  const Conv2dDims fits{.n = 1, .h = 14, .w = 14, .c = 16, .k = 16, .r = 3, .s = 3, .pad = 1};
  CHECK(kernels::winograd_fits(fits));
  const auto changed = [&](auto&& change) {
    Conv2dDims d = fits;
    change(d);
    return kernels::winograd_fits(d);
  };
  CHECK_FALSE(changed([](Conv2dDims& d) { d.stride = 2; }));
  CHECK_FALSE(changed([](Conv2dDims& d) { d.pad = 0; }));
  CHECK_FALSE(changed([](Conv2dDims& d) { d.r = d.s = 1, d.pad = 0; }));
  CHECK_FALSE(changed([](Conv2dDims& d) { d.c = 3; }));
  CHECK_FALSE(changed([](Conv2dDims& d) { d.k = 24; }));
  CHECK_FALSE(changed([](Conv2dDims& d) { d.h = 3; }));
}
