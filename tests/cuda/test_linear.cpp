// The hand-written linear layer and its gradients against the oracle.
#include "kernels/linear.h"

#include "tests/cuda/conv2d_cases.h"
#include "tests/oracle/conv2d_gradients.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using kernels::LinearDims;
using kernels::Storage;

// One part (in up to 256) and several; rows that cross 16 and 64; all widths of vectors.
const LinearDims kSizes[] = {
    {.rows = 1, .in = 1, .out = 1},    {.rows = 3, .in = 13, .out = 5},    {.rows = 1, .in = 256, .out = 64},
    {.rows = 1, .in = 520, .out = 70}, {.rows = 17, .in = 257, .out = 17}, {.rows = 65, .in = 260, .out = 12},
    {.rows = 5, .in = 1000, .out = 8}, {.rows = 70, .in = 72, .out = 72},
};

oracle::ConvSize as_convolution(const LinearDims& d) {
  return {.n = d.rows, .c = d.in, .k = d.out};
}

struct Operands {
  std::vector<float> x, weight, bias, dy;

  Operands(Storage storage, const LinearDims& d, bool integers)
      : x(operand(storage, d.rows * d.in, integers, 1)),
        weight(operand(storage, d.in * d.out, integers, 2)),
        bias(operand(Storage::kF32, d.out, integers, 3)),
        dy(operand(storage, d.rows * d.out, integers, 4)) {}
};

std::vector<float> forward(Storage storage, const LinearDims& d, const Operands& from, bool with_bias) {
  const DeviceFloats x(storage, from.x), weight(storage, from.weight), y(storage, from.dy.size());
  const DeviceArray<float> bias(from.bias);
  DeviceTeam team(kernels::cuda::linear_workspace_bytes(d));
  kernels::cuda::linear(team.context(), storage, d, x.data(), weight.data(),
                        with_bias ? bias.data() : nullptr, y.data());
  CHECK(y.guards_intact());
  CHECK(team.guards_intact());
  return y.download();
}

std::vector<float> data_gradient(Storage storage, const LinearDims& d, const Operands& from) {
  const DeviceFloats dy(storage, from.dy), weight(storage, from.weight), dx(storage, from.x.size());
  DeviceTeam team(kernels::cuda::linear_data_gradient_workspace_bytes(storage, d));
  kernels::cuda::linear_data_gradient(team.context(), storage, d, dy.data(), weight.data(), dx.data());
  CHECK(dx.guards_intact());
  CHECK(team.guards_intact());
  return dx.download();
}

std::vector<float> weight_gradient(Storage storage, const LinearDims& d, const Operands& from) {
  const DeviceFloats x(storage, from.x), dy(storage, from.dy);
  const DeviceArray<float> dweight(from.weight.size());
  DeviceTeam team(kernels::cuda::linear_weight_gradient_workspace_bytes(d));
  kernels::cuda::linear_weight_gradient(team.context(), storage, d, x.data(), dy.data(), dweight.data());
  CHECK(dweight.guards_intact());
  CHECK(team.guards_intact());
  return dweight.download();
}

// The first `rows` rows of `width`.
std::vector<float> first_rows(const std::vector<float>& values, std::int64_t rows, std::int64_t width) {
  return {values.begin(), values.begin() + rows * width};
}

}  // namespace

TEST_CASE("linear: equals the oracle at all sizes, exactly on integers") {
  AIKD_NEEDS_DEVICE();
  for (const Storage storage : kStorages) {
    for (const LinearDims& d : kSizes) {
      for (const bool integers : {true, false}) {
        for (const bool with_bias : {false, true}) {
          CAPTURE(static_cast<int>(storage));
          CAPTURE(&d - kSizes);
          CAPTURE(integers);
          CAPTURE(with_bias);
          const Operands from(storage, d, integers);
          const std::vector<float> y = forward(storage, d, from, with_bias);
          const oracle::Sums expected = oracle::linear<float>(
              d.rows, d.in, d.out, from.x.data(), from.weight.data(), with_bias ? from.bias.data() : nullptr);
          CHECK(wrong_sums(storage, y, expected, integers, d.in) == 0);
          if (!integers) CHECK(same_bits(y, forward(storage, d, from, with_bias)));
        }
      }
    }
  }
}

TEST_CASE("linear: gradients equal the oracle at all sizes, exactly on integers") {
  AIKD_NEEDS_DEVICE();
  for (const Storage storage : kStorages) {
    for (const LinearDims& d : kSizes) {
      for (const bool integers : {true, false}) {
        CAPTURE(static_cast<int>(storage));
        CAPTURE(&d - kSizes);
        CAPTURE(integers);
        const Operands from(storage, d, integers);
        const std::vector<float> dx = data_gradient(storage, d, from);
        CHECK(wrong_sums(storage, dx,
                         oracle::conv2d_data_gradient(as_convolution(d), from.dy.data(), from.weight.data()),
                         integers, d.out) == 0);
        if (!integers) CHECK(same_bits(dx, data_gradient(storage, d, from)));
        const std::vector<float> dweight = weight_gradient(storage, d, from);
        CHECK(wrong_sums(Storage::kF32, dweight,
                         oracle::conv2d_filter_gradient(as_convolution(d), from.x.data(), from.dy.data()),
                         integers, d.rows) == 0);
        if (!integers) CHECK(same_bits(dweight, weight_gradient(storage, d, from)));
      }
    }
  }
}

namespace {

// Two parts. 33 tiles across: one row of tiles shares the parts among blocks, two rows of tiles (65 rows) do
// not.
void check_few_rows_among_many(Storage storage) {
  const LinearDims many{.rows = 65, .in = 264, .out = 32 * 64 + 5};
  CHECK(kernels::cuda::linear_workspace_bytes(many) == 0);
  const Operands all(storage, many, false);
  const std::vector<float> y = forward(storage, many, all, true);
  for (const std::int64_t rows : {1, 18}) {
    LinearDims few = many;
    few.rows = rows;
    CHECK(kernels::cuda::linear_workspace_bytes(few) == static_cast<std::size_t>(4 * 2 * rows * few.out));
    Operands part = all;
    part.x = first_rows(all.x, rows, few.in);
    part.dy = first_rows(all.dy, rows, few.out);
    CHECK(same_bits(first_rows(y, rows, few.out), forward(storage, few, part, true)));
  }
}

}  // namespace

TEST_CASE("linear: a row gives the same bits alone, in a few and among many") {
  AIKD_NEEDS_DEVICE();
  check_few_rows_among_many(Storage::kF32);
}

TEST_CASE("linear: a row gives the same bits alone, in a few and among many, on tensor cores") {
  AIKD_NEEDS_DEVICE();
  check_few_rows_among_many(Storage::kF16);
}

TEST_CASE("linear: one row with so many outputs that no parts are shared") {
  AIKD_NEEDS_DEVICE();
  const LinearDims d{.rows = 2, .in = 260, .out = 66 * 64};
  CHECK(kernels::cuda::linear_workspace_bytes(d) == 0);
  for (const Storage storage : {Storage::kF32, Storage::kBF16}) {
    const Operands from(storage, d, true);
    const oracle::Sums expected =
        oracle::linear<float>(d.rows, d.in, d.out, from.x.data(), from.weight.data(), from.bias.data());
    CHECK(wrong_sums(storage, forward(storage, d, from, true), expected, true, d.in) == 0);
  }
}

TEST_CASE("linear: no rows") {
  AIKD_NEEDS_DEVICE();
  const LinearDims d{.rows = 0, .in = 24, .out = 16};
  const Operands none(Storage::kF16, d, true);
  for (const Storage storage : kStorages) {
    CHECK(forward(storage, d, none, true).empty());
    CHECK(data_gradient(storage, d, none).empty());
    CHECK(weight_gradient(storage, d, none) == std::vector<float>(none.weight.size(), 0.0F));
  }
}
