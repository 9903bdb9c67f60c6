// The depthwise convolution and its gradients against the oracle.
#include "kernels/depthwise_conv2d.h"
#include "tests/cuda/conv2d_cases.h"
#include "tests/oracle/conv2d_gradients.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using kernels::Conv2dDims;
using kernels::Storage;
using kernels::cuda::FusedEpilogue;

const Conv2dDims kSizes[] = {
    {.n = 1, .h = 1, .w = 1, .c = 1, .r = 1, .s = 1},
    {.n = 2, .h = 5, .w = 7, .c = 3, .r = 3, .s = 3, .pad = 1},
    {.n = 1, .h = 7, .w = 13, .c = 16, .r = 3, .s = 3, .stride = 2, .pad = 1},
    {.n = 2, .h = 6, .w = 6, .c = 17, .r = 1, .s = 1, .stride = 2},
    {.n = 3, .h = 9, .w = 8, .c = 24, .r = 5, .s = 3, .pad = 2},
    {.n = 1, .h = 4, .w = 3, .c = 12, .r = 7, .s = 5, .stride = 3, .pad = 3},
    {.n = 2, .h = 7, .w = 7, .c = 40, .r = 7, .s = 7},
    {.n = 1, .h = 5, .w = 6, .c = 136, .r = 3, .s = 3, .pad = 1},
};

struct Operands {
  std::vector<float> x, weight, dy;

  Operands(Storage storage, const Conv2dDims& d, bool integers)
      : x(operand(storage, d.n * d.h * d.w * d.c, integers, 1)),
        weight(operand(Storage::kF32, d.r * d.s * d.c, integers, 2)),
        dy(operand(storage, d.n * d.p() * d.q() * d.c, integers, 3)) {}
};

std::vector<float> forward(Storage storage, const Conv2dDims& d, const Operands& from) {
  const DeviceFloats x(storage, from.x), y(storage, from.dy.size());
  const DeviceArray<float> weight(from.weight);
  DeviceTeam team;
  kernels::cuda::depthwise_conv2d(team.context(), storage, d, x.data(), weight.data(), FusedEpilogue{},
                                  y.data());
  CHECK(y.guards_intact());
  return y.download();
}

std::vector<float> data_gradient(Storage storage, const Conv2dDims& d, const Operands& from) {
  const DeviceFloats dy(storage, from.dy), dx(storage, from.x.size());
  const DeviceArray<float> weight(from.weight);
  DeviceTeam team;
  kernels::cuda::depthwise_conv2d_data_gradient(team.context(), storage, d, dy.data(), weight.data(),
                                                dx.data());
  CHECK(dx.guards_intact());
  return dx.download();
}

std::vector<float> filter_gradient(Storage storage, const Conv2dDims& d, const Operands& from) {
  const DeviceFloats x(storage, from.x), dy(storage, from.dy);
  const DeviceArray<float> dweight(from.weight.size());
  DeviceTeam team(kernels::cuda::depthwise_conv2d_filter_gradient_workspace_bytes(d));
  kernels::cuda::depthwise_conv2d_filter_gradient(team.context(), storage, d, x.data(), dy.data(),
                                                  dweight.data());
  CHECK(dweight.guards_intact());
  CHECK(team.guards_intact());
  return dweight.download();
}

template <class Kernel, class Oracle>
void check_all_sizes(const Kernel& kernel, const Oracle& expected_of, bool result_is_fp32, bool sums_pixels) {
  for (const Storage storage : kStorages) {
    for (const Conv2dDims& d : kSizes) {
      for (const bool integers : {true, false}) {
        CAPTURE(static_cast<int>(storage));
        CAPTURE(&d - kSizes);
        CAPTURE(integers);
        const Operands from(storage, d, integers);
        const std::vector<float> result = kernel(storage, d, from);
        CHECK(wrong_sums(result_is_fp32 ? Storage::kF32 : storage, result, expected_of(oracle_size(d), from),
                         integers, sums_pixels ? d.n * d.p() * d.q() : d.r * d.s) == 0);
        if (!integers) CHECK(same_bits(result, kernel(storage, d, from)));
      }
    }
  }
}

}  // namespace

TEST_CASE("depthwise_conv2d: equals the oracle at all sizes, exactly on integers") {
  AIKD_NEEDS_DEVICE();
  check_all_sizes(
      forward,
      [](const oracle::ConvSize& size, const Operands& from) {
        return oracle::depthwise_conv2d<float>(size, from.x.data(), from.weight.data(), nullptr);
      },
      false, false);
}

TEST_CASE("depthwise_conv2d_data_gradient: equals the oracle at all sizes, exactly on integers") {
  AIKD_NEEDS_DEVICE();
  check_all_sizes(
      data_gradient,
      [](const oracle::ConvSize& size, const Operands& from) {
        return oracle::depthwise_data_gradient(size, from.dy.data(), from.weight.data());
      },
      false, false);
}

TEST_CASE("depthwise_conv2d_filter_gradient: equals the oracle at all sizes, exactly on integers") {
  AIKD_NEEDS_DEVICE();
  check_all_sizes(
      filter_gradient,
      [](const oracle::ConvSize& size, const Operands& from) {
        return oracle::depthwise_filter_gradient(size, from.x.data(), from.dy.data());
      },
      true, true);
}

TEST_CASE("depthwise_conv2d: every epilogue") {
  AIKD_NEEDS_DEVICE();
  const Conv2dDims sizes[] = {
      {.n = 2, .h = 5, .w = 6, .c = 16, .r = 3, .s = 3, .pad = 1},
      {.n = 1, .h = 7, .w = 6, .c = 13, .r = 3, .s = 3, .stride = 2, .pad = 1},
  };
  for (const Storage storage : kStorages) {
    for (const Conv2dDims& d : sizes) {
      CAPTURE(static_cast<int>(storage));
      CAPTURE(&d - sizes);
      const Operands from(storage, d, true);
      const DeviceFloats x(storage, from.x);
      const DeviceArray<float> weight(from.weight);
      const oracle::Sums sums =
          oracle::depthwise_conv2d<float>(oracle_size(d), from.x.data(), from.weight.data(), nullptr);
      DeviceTeam team;
      check_epilogues(storage, d, d.c, sums.value, [&](const FusedEpilogue& epilogue, void* y) {
        kernels::cuda::depthwise_conv2d(team.context(), storage, d, x.data(), weight.data(), epilogue, y);
      });
    }
  }
}

TEST_CASE("depthwise_conv2d: an infinite filter value outside the image stays harmless, and so does a NaN") {
  AIKD_NEEDS_DEVICE();
  const Conv2dDims d{.n = 1, .h = 1, .w = 1, .c = 8, .r = 3, .s = 3, .pad = 1};
  for (const Storage storage : kStorages) {
    Operands from(storage, d, true);
    for (std::size_t i = 0; i < from.weight.size(); ++i)
      if (i / 8 != 4) from.weight[i] = i % 2 == 0 ? std::nanf("") : INFINITY;
    const oracle::Sums expected =
        oracle::depthwise_conv2d<float>(oracle_size(d), from.x.data(), from.weight.data(), nullptr);
    CHECK(wrong_sums(storage, forward(storage, d, from), expected, true, 0) == 0);
  }
}

TEST_CASE("depthwise_conv2d: pointers of any alignment, and an empty batch") {
  AIKD_NEEDS_DEVICE();
  const Conv2dDims d{.n = 1, .h = 5, .w = 5, .c = 8, .r = 3, .s = 3, .pad = 1};
  for (const Storage storage : kStorages) {
    const Operands from(storage, d, true);
    std::vector<float> shifted = from.x;
    shifted.insert(shifted.begin(), 1, 77.0F);
    const DeviceFloats x(storage, shifted), y(storage, from.dy.size());
    const DeviceArray<float> weight(from.weight);
    DeviceTeam team;
    kernels::cuda::depthwise_conv2d(team.context(), storage, d,
                                    static_cast<const unsigned char*>(x.data()) + bytes_of(storage),
                                    weight.data(), FusedEpilogue{}, y.data());
    const oracle::Sums expected =
        oracle::depthwise_conv2d<float>(oracle_size(d), from.x.data(), from.weight.data(), nullptr);
    CHECK(wrong_sums(storage, y.download(), expected, true, 0) == 0);
  }
  Conv2dDims none = d;
  none.n = 0;
  DeviceTeam team;
  kernels::cuda::depthwise_conv2d(team.context(), Storage::kF32, none, nullptr, nullptr, FusedEpilogue{},
                                  nullptr);
  CHECK(filter_gradient(Storage::kF32, none, Operands(Storage::kF32, none, true)) ==
        std::vector<float>(72, 0.0F));
}
