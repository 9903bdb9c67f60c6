// The hand-written convolution against the oracle: every path, tile and storage.
#include <limits>

#include "tests/cuda/conv2d_cases.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using kernels::Conv2dDims;
using kernels::Storage;
using kernels::cuda::FusedEpilogue;

// Channels decide the path: multiples of 8 (fp32 with TF32: 4) go to tensor cores, other multiples of 4 to
// vectors of the plain kernel, the rest to its scalars. Pixels and filters cross the tiles' borders of 16, 64
// and 128.
const Conv2dDims kSizes[] = {
    {.n = 1, .h = 1, .w = 1, .c = 1, .k = 1, .r = 1, .s = 1},
    {.n = 2, .h = 5, .w = 7, .c = 3, .k = 5, .r = 3, .s = 3, .pad = 1},
    {.n = 1, .h = 7, .w = 13, .c = 13, .k = 17, .r = 3, .s = 3, .stride = 2, .pad = 1},
    {.n = 3, .h = 6, .w = 6, .c = 17, .k = 33, .r = 1, .s = 1, .stride = 2},
    {.n = 2, .h = 9, .w = 9, .c = 4, .k = 68, .r = 3, .s = 3, .stride = 2, .pad = 1},
    {.n = 1, .h = 9, .w = 8, .c = 16, .k = 64, .r = 5, .s = 3, .pad = 2},
    {.n = 1, .h = 3, .w = 2, .c = 8, .k = 16, .r = 7, .s = 5, .stride = 3, .pad = 3},
    {.n = 2, .h = 9, .w = 8, .c = 16, .k = 31, .r = 3, .s = 3, .pad = 1},
    {.n = 1, .h = 7, .w = 7, .c = 8, .k = 8, .r = 7, .s = 7},
    {.n = 1, .h = 7, .w = 7, .c = 64, .k = 72, .r = 3, .s = 3, .pad = 1},
    {.n = 1, .h = 4, .w = 4, .c = 8, .k = 130, .r = 3, .s = 3, .pad = 1},
    {.n = 1, .h = 13, .w = 11, .c = 24, .k = 65, .r = 1, .s = 1},
    {.n = 1, .h = 12, .w = 9, .c = 40, .k = 12, .r = 3, .s = 3},
};

struct Operands {
  std::vector<float> x, weight;

  Operands(Storage storage, const Conv2dDims& d, bool integers)
      : x(operand(storage, d.n * d.h * d.w * d.c, integers, 1)),
        weight(operand(storage, d.k * d.r * d.s * d.c, integers, 2)) {}
};
std::size_t outputs(const Conv2dDims& d) {
  return static_cast<std::size_t>(d.n * d.p() * d.q() * d.k);
}

std::vector<float> run_conv(Storage storage, const Conv2dDims& d, const Operands& from, bool tf32 = false) {
  const DeviceFloats x(storage, from.x), weight(storage, from.weight), y(storage, outputs(d));
  DeviceTeam team;
  kernels::cuda::conv2d(team.context(), storage, d, x.data(), weight.data(), FusedEpilogue{}, y.data(), tf32);
  CHECK(x.guards_intact());
  CHECK(weight.guards_intact());
  CHECK(y.guards_intact());
  return y.download();
}

void check_size(Storage storage, const Conv2dDims& d, bool integers, bool tf32 = false) {
  // Values of 8 bits are values of TF32 as well.
  const Operands from(tf32 ? Storage::kBF16 : storage, d, integers);
  const std::vector<float> y = run_conv(storage, d, from, tf32);
  const oracle::Sums expected =
      oracle::conv2d<float>(oracle_size(d), from.x.data(), from.weight.data(), nullptr);
  CHECK(wrong_sums(storage, y, expected, integers, d.r * d.s * d.c) == 0);
  if (!integers) CHECK(same_bits(y, run_conv(storage, d, from, tf32)));
}

}  // namespace

TEST_CASE("conv2d: equals the oracle at all sizes, exactly on integers") {
  AIKD_NEEDS_DEVICE();
  for (const Storage storage : kStorages) {
    for (const Conv2dDims& d : kSizes) {
      CAPTURE(static_cast<int>(storage));
      CAPTURE(&d - kSizes);
      check_size(storage, d, true);
      check_size(storage, d, false);
    }
  }
}

TEST_CASE("conv2d: TF32 on tensor cores") {
  AIKD_NEEDS_DEVICE();
  for (const Conv2dDims& d : kSizes) {
    CAPTURE(&d - kSizes);
    check_size(Storage::kF32, d, true, true);
    check_size(Storage::kF32, d, false, true);
  }
  // Of values with more bits: each product may be off by 2^-10 of itself, and some is.
  const Conv2dDims d = kSizes[7];
  const Operands from(Storage::kF32, d, false);
  const std::vector<float> y = run_conv(Storage::kF32, d, from, true);
  const oracle::Sums expected =
      oracle::conv2d<float>(oracle_size(d), from.x.data(), from.weight.data(), nullptr);
  int wrong = 0;
  for (std::size_t i = 0; i < y.size(); ++i)
    if (!(std::fabs(static_cast<double>(y[i]) - expected.value[i]) <= 0x1.02p-10 * expected.magnitude[i]))
      ++wrong;
  CHECK(wrong == 0);
  if (emulated()) CHECK_FALSE(same_bits(y, run_conv(Storage::kF32, d, from)));
}

// 132 tiles of 128 pixels and a part of one more; few channels keep it small.
constexpr Conv2dDims kManyPixels{.n = 1, .h = 131, .w = 129, .c = 4, .k = 68, .r = 1, .s = 1};

TEST_CASE("conv2d: the large tile of the plain kernel, which many pixels call for") {
  AIKD_NEEDS_DEVICE();
  check_size(Storage::kF32, kManyPixels, true);
  if (!emulated()) check_size(Storage::kBF16, kManyPixels, true);
}

TEST_CASE("conv2d: the large and the middle tile of the tensor cores, which many pixels call for") {
  AIKD_NEEDS_DEVICE();
  Conv2dDims d = kManyPixels;
  d.c = 8;
  check_size(Storage::kF16, d, true);
  d.k = 60;
  check_size(Storage::kBF16, d, true);
  if (!emulated()) check_size(Storage::kF32, d, true, true);
}

TEST_CASE("conv2d: every epilogue") {
  AIKD_NEEDS_DEVICE();
  const Conv2dDims sizes[] = {
      {.n = 2, .h = 5, .w = 6, .c = 16, .k = 24, .r = 3, .s = 3, .pad = 1},
      {.n = 2, .h = 5, .w = 6, .c = 8, .k = 21, .r = 3, .s = 3, .stride = 2, .pad = 1},
      {.n = 1, .h = 7, .w = 6, .c = 3, .k = 13, .r = 3, .s = 3, .pad = 1},
      {.n = 1, .h = 9, .w = 9, .c = 4, .k = 68, .r = 3, .s = 3, .stride = 2, .pad = 1},
      {.n = 1, .h = 4, .w = 3, .c = 4, .k = 16, .r = 3, .s = 3, .pad = 1},
  };
  for (const Storage storage : kStorages) {
    for (const Conv2dDims& d : sizes) {
      CAPTURE(static_cast<int>(storage));
      CAPTURE(&d - sizes);
      const Operands from(storage, d, true);
      const DeviceFloats x(storage, from.x), weight(storage, from.weight);
      const oracle::Sums sums =
          oracle::conv2d<float>(oracle_size(d), from.x.data(), from.weight.data(), nullptr);
      DeviceTeam team;
      for (const bool tf32 : {false, true}) {
        if (tf32 && storage != Storage::kF32) continue;
        check_epilogues(storage, d, d.k, sums.value, [&](const FusedEpilogue& epilogue, void* y) {
          kernels::cuda::conv2d(team.context(), storage, d, x.data(), weight.data(), epilogue, y, tf32);
        });
      }
    }
  }
}

TEST_CASE("conv2d: an image gives the same bits in any batch") {
  AIKD_NEEDS_DEVICE();
  for (const Storage storage : kStorages) {
    for (const std::int64_t c : {13, 20, 16}) {
      CAPTURE(static_cast<int>(storage));
      CAPTURE(c);
      const Conv2dDims d{.n = 3, .h = 9, .w = 7, .c = c, .k = 19, .r = 3, .s = 3, .pad = 1};
      const Operands all(storage, d, false);
      const std::vector<float> y = run_conv(storage, d, all);
      Conv2dDims one = d;
      one.n = 1;
      const std::size_t in = all.x.size() / 3, out = y.size() / 3;
      for (std::size_t i = 0; i < 3; ++i) {
        Operands single = all;
        single.x.assign(all.x.begin() + static_cast<std::ptrdiff_t>(i * in),
                        all.x.begin() + static_cast<std::ptrdiff_t>((i + 1) * in));
        const std::vector<float> part(y.begin() + static_cast<std::ptrdiff_t>(i * out),
                                      y.begin() + static_cast<std::ptrdiff_t>((i + 1) * out));
        CHECK(same_bits(part, run_conv(storage, one, single)));
      }
    }
  }
}

TEST_CASE("conv2d: a NaN in the input reaches the outputs that see it and no other") {
  AIKD_NEEDS_DEVICE();
  for (const Storage storage : kStorages) {
    for (const std::int64_t c : {3, 4, 8}) {
      const Conv2dDims d{.n = 1, .h = 6, .w = 6, .c = c, .k = 5, .r = 3, .s = 3, .pad = 1};
      Operands from(storage, d, true);
      const std::vector<float> clean = run_conv(storage, d, from);
      // Of pixel (3, 2): output (1, 3) would meet it if its sum ran on for one tap.
      from.x[static_cast<std::size_t>((3 * d.w + 2) * c)] = std::numeric_limits<float>::quiet_NaN();
      const std::vector<float> y = run_conv(storage, d, from);
      int wrong = 0;
      for (std::size_t i = 0; i < y.size(); ++i) {
        const std::size_t row = i / 5 / 6, column = i / 5 % 6;
        const bool sees = row >= 2 && row <= 4 && column >= 1 && column <= 3;
        if (!(sees ? std::isnan(y[i]) : y[i] == clean[i])) ++wrong;
      }
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("conv2d: pointers of any alignment") {
  AIKD_NEEDS_DEVICE();
  const Conv2dDims d{.n = 1, .h = 5, .w = 5, .c = 16, .k = 16, .r = 3, .s = 3, .pad = 1};
  for (const Storage storage : kStorages) {
    const Operands from(storage, d, true);
    const oracle::Sums expected =
        oracle::conv2d<float>(oracle_size(d), from.x.data(), from.weight.data(), nullptr);
    // One element too far: x and weight to the scalar kernel; y alone to scalar stores of the other kernels.
    for (const bool inputs : {false, true}) {
      std::vector<float> x_values = from.x, weight_values = from.weight;
      x_values.insert(x_values.begin(), 1, 77.0F);
      weight_values.insert(weight_values.begin(), 1, 77.0F);
      const DeviceFloats x(storage, inputs ? x_values : from.x),
          weight(storage, inputs ? weight_values : from.weight);
      const DeviceFloats y(storage, std::vector<float>(outputs(d) + 1, 55.0F));
      const auto shifted = [&](const DeviceFloats& array, bool shift) {
        return static_cast<unsigned char*>(array.data()) + (shift ? bytes_of(storage) : 0);
      };
      DeviceTeam team;
      kernels::cuda::conv2d(team.context(), storage, d, shifted(x, inputs), shifted(weight, inputs),
                            FusedEpilogue{}, shifted(y, true));
      std::vector<float> values = y.download();
      CHECK(values.front() == 55.0F);
      values.erase(values.begin());
      CHECK(wrong_sums(storage, values, expected, true, 0) == 0);
      CHECK(y.guards_intact());
    }
  }
}

TEST_CASE("conv2d: an empty batch launches nothing") {
  AIKD_NEEDS_DEVICE();
  const Conv2dDims d{.n = 0, .h = 5, .w = 5, .c = 16, .k = 16, .r = 3, .s = 3, .pad = 1};
  DeviceTeam team;
  kernels::cuda::conv2d(team.context(), Storage::kF32, d, nullptr, nullptr, FusedEpilogue{}, nullptr);
  kernels::cuda::conv2d_data_gradient(team.context(), Storage::kF16, d, nullptr, nullptr, nullptr);
}
