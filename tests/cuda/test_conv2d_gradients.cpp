// Gradients of the convolution against the oracle, whose own gradients are checked by central differences.
#include "tests/cuda/conv2d_cases.h"
#include "tests/oracle/conv2d_gradients.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using kernels::Conv2dDims;
using kernels::Storage;

// Both gradients change roles of c and k: both are odd, multiples of 4 and of 8 here, and cross the tiles' 64
// and 128.
const Conv2dDims kSizes[] = {
    {.n = 1, .h = 1, .w = 1, .c = 1, .k = 1, .r = 1, .s = 1},
    {.n = 2, .h = 5, .w = 7, .c = 3, .k = 5, .r = 3, .s = 3, .pad = 1},
    {.n = 1, .h = 7, .w = 13, .c = 13, .k = 17, .r = 3, .s = 3, .stride = 2, .pad = 1},
    {.n = 2, .h = 6, .w = 5, .c = 17, .k = 13, .r = 1, .s = 1, .stride = 2},
    {.n = 2, .h = 8, .w = 9, .c = 4, .k = 68, .r = 3, .s = 3, .stride = 2, .pad = 1},
    {.n = 1, .h = 6, .w = 5, .c = 64, .k = 16, .r = 5, .s = 3, .pad = 2},
    {.n = 1, .h = 4, .w = 3, .c = 8, .k = 16, .r = 7, .s = 5, .stride = 3, .pad = 3},
    {.n = 2, .h = 9, .w = 8, .c = 16, .k = 32, .r = 3, .s = 3, .pad = 1},
    {.n = 1, .h = 7, .w = 7, .c = 8, .k = 8, .r = 7, .s = 7},
    {.n = 1, .h = 8, .w = 8, .c = 16, .k = 72, .r = 3, .s = 3, .stride = 2, .pad = 1},
    {.n = 1, .h = 13, .w = 7, .c = 72, .k = 72, .r = 1, .s = 1},
    {.n = 1, .h = 17, .w = 17, .c = 8, .k = 8, .r = 3, .s = 3, .pad = 1},   // 289 pixels: two runs
    {.n = 3, .h = 13, .w = 17, .c = 3, .k = 12, .r = 3, .s = 3, .pad = 1},  // 663: three
};

struct Operands {
  std::vector<float> x, weight, dy;

  Operands(Storage storage, const Conv2dDims& d, bool integers)
      : x(operand(storage, d.n * d.h * d.w * d.c, integers, 1)),
        weight(operand(storage, d.k * d.r * d.s * d.c, integers, 2)),
        dy(operand(storage, d.n * d.p() * d.q() * d.k, integers, 3)) {}
};

std::vector<float> data_gradient(Storage storage, const Conv2dDims& d, const Operands& from) {
  const DeviceFloats dy(storage, from.dy), weight(storage, from.weight), dx(storage, from.x.size());
  DeviceTeam team(kernels::cuda::conv2d_data_gradient_workspace_bytes(storage, d));
  kernels::cuda::conv2d_data_gradient(team.context(), storage, d, dy.data(), weight.data(), dx.data());
  CHECK(dx.guards_intact());
  CHECK(team.guards_intact());
  return dx.download();
}

std::vector<float> filter_gradient(Storage storage, const Conv2dDims& d, const Operands& from) {
  const DeviceFloats x(storage, from.x), dy(storage, from.dy);
  const DeviceArray<float> dweight(from.weight.size());
  DeviceTeam team(kernels::cuda::conv2d_filter_gradient_workspace_bytes(d));
  kernels::cuda::conv2d_filter_gradient(team.context(), storage, d, x.data(), dy.data(), dweight.data());
  CHECK(dweight.guards_intact());
  CHECK(team.guards_intact());
  return dweight.download();
}

}  // namespace

TEST_CASE("conv2d_data_gradient: equals the oracle at all sizes, exactly on integers") {
  AIKD_NEEDS_DEVICE();
  for (const Storage storage : kStorages) {
    for (const Conv2dDims& d : kSizes) {
      for (const bool integers : {true, false}) {
        CAPTURE(static_cast<int>(storage));
        CAPTURE(&d - kSizes);
        CAPTURE(integers);
        const Operands from(storage, d, integers);
        const std::vector<float> dx = data_gradient(storage, d, from);
        const oracle::Sums expected =
            oracle::conv2d_data_gradient(oracle_size(d), from.dy.data(), from.weight.data());
        CHECK(wrong_sums(storage, dx, expected, integers, d.r * d.s * d.k) == 0);
        if (!integers) CHECK(same_bits(dx, data_gradient(storage, d, from)));
      }
    }
  }
}

TEST_CASE("conv2d_filter_gradient: equals the oracle at all sizes, exactly on integers") {
  AIKD_NEEDS_DEVICE();
  for (const Storage storage : kStorages) {
    for (const Conv2dDims& d : kSizes) {
      for (const bool integers : {true, false}) {
        CAPTURE(static_cast<int>(storage));
        CAPTURE(&d - kSizes);
        CAPTURE(integers);
        const Operands from(storage, d, integers);
        const std::vector<float> dweight = filter_gradient(storage, d, from);
        const oracle::Sums expected =
            oracle::conv2d_filter_gradient(oracle_size(d), from.x.data(), from.dy.data());
        CHECK(wrong_sums(Storage::kF32, dweight, expected, integers, d.n * d.p() * d.q()) == 0);
        if (!integers) CHECK(same_bits(dweight, filter_gradient(storage, d, from)));
      }
    }
  }
}

TEST_CASE("conv2d_data_gradient: an image gives the same bits in any batch") {
  AIKD_NEEDS_DEVICE();
  const Conv2dDims d{.n = 2, .h = 7, .w = 9, .c = 19, .k = 16, .r = 3, .s = 3, .stride = 2, .pad = 1};
  for (const Storage storage : kStorages) {
    const Operands all(storage, d, false);
    const std::vector<float> dx = data_gradient(storage, d, all);
    Conv2dDims one = d;
    one.n = 1;
    for (std::size_t i = 0; i < 2; ++i) {
      const auto half = [&](const std::vector<float>& values) {
        const auto size = static_cast<std::ptrdiff_t>(values.size() / 2),
                   at = static_cast<std::ptrdiff_t>(i) * size;
        return std::vector<float>(values.begin() + at, values.begin() + at + size);
      };
      Operands single = all;
      single.x = half(all.x);
      single.dy = half(all.dy);
      CHECK(same_bits(half(dx), data_gradient(storage, one, single)));
    }
  }
}

TEST_CASE("conv2d_filter_gradient: pixels whose inputs are NaN touch only the taps that see them") {
  AIKD_NEEDS_DEVICE();
  // With pad 1, tap (2, 2) of the filter never sees pixel (0, 0); zeros outside the image are no NaN times
  // zero.
  const Conv2dDims d{.n = 1, .h = 6, .w = 6, .c = 8, .k = 8, .r = 3, .s = 3, .pad = 1};
  for (const Storage storage : kStorages) {
    Operands from(storage, d, true);
    const std::vector<float> clean = filter_gradient(storage, d, from);
    from.x[3] = std::nanf("");  // pixel (0, 0), channel 3
    const std::vector<float> dweight = filter_gradient(storage, d, from);
    int wrong = 0;
    for (std::size_t i = 0; i < dweight.size(); ++i) {
      const std::size_t c = i % 8, s = i / 8 % 3, r = i / 24 % 3;
      const bool sees = c == 3 && r < 2 && s < 2;
      if (!(sees ? std::isnan(dweight[i]) : dweight[i] == clean[i])) ++wrong;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("conv2d_filter_gradient: an empty batch gives zeros") {
  AIKD_NEEDS_DEVICE();
  const Conv2dDims d{.n = 0, .h = 5, .w = 5, .c = 8, .k = 16, .r = 3, .s = 3, .pad = 1};
  const Operands none(Storage::kF16, d, true);
  for (const Storage storage : kStorages)
    CHECK(filter_gradient(storage, d, none) == std::vector<float>(none.weight.size(), 0.0F));
}

TEST_CASE("the oracle's gradients of the convolution agree with central differences of its sums") {
  const oracle::ConvSize size{.n = 2, .h = 5, .w = 4, .c = 2, .k = 3, .r = 3, .s = 2, .stride = 2, .pad = 1};
  const auto doubles = [](std::int64_t count, std::uint64_t seed) {
    const std::vector<float> values = random_normal(count, seed);
    return std::vector<double>(values.begin(), values.end());
  };
  std::vector<double> x = doubles(size.n * size.h * size.w * size.c, 1);
  std::vector<double> weight = doubles(size.k * size.r * size.s * size.c, 2);
  const std::vector<double> dy = doubles(size.n * size.p() * size.q() * size.k, 3);
  const auto loss = [&] {
    const oracle::Sums y = oracle::conv2d<double>(size, x.data(), weight.data(), nullptr);
    double sum = 0;
    for (std::size_t i = 0; i < dy.size(); ++i) sum += dy[i] * y.value[i];
    return sum;
  };
  const auto wrong = [&](std::vector<double>& values, const std::vector<double>& gradient) {
    int count = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      constexpr double kStep = 0x1p-10;
      const double before = values[i];
      values[i] = before + kStep;
      const double above = loss();
      values[i] = before - kStep;
      const double below = loss();
      values[i] = before;
      if (!(std::fabs((above - below) / (2 * kStep) - gradient[i]) <= 1e-9)) ++count;
    }
    return count;
  };
  CHECK(wrong(x, oracle::conv2d_data_gradient(size, dy.data(), weight.data()).value) == 0);
  CHECK(wrong(weight, oracle::conv2d_filter_gradient(size, x.data(), dy.data()).value) == 0);
}
