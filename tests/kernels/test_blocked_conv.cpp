#include "tests/kernels/blocked_case.h"

namespace {

using namespace aikd;
using namespace aikd::test;

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
