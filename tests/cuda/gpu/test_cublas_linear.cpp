// Fully connected layers through cuBLASLt against the definition in double.
#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/cuda/cublas_linear.h"
#include "tests/cuda/device_memory.h"
#include "tests/oracle/conv2d.h"

namespace aikd {
namespace {

using namespace kernels;
using namespace kernels::cuda;
using test::DeviceFloats;

struct Size {
  std::int64_t rows, in, out;
};
const std::vector<Size> kSizes = {{1, 1, 1},     {1, 16, 13},     {13, 49, 17},
                                  {15, 512, 64}, {64, 1568, 128}, {257, 64, 512}};

struct Types {
  Storage input, output;
  bool tf32;
};
const std::vector<Types> kTypes = {
    {Storage::kF32, Storage::kF32, false},   {Storage::kF32, Storage::kF32, true},
    {Storage::kF16, Storage::kF16, false},   {Storage::kF16, Storage::kF32, false},
    {Storage::kBF16, Storage::kBF16, false}, {Storage::kBF16, Storage::kF32, false}};

// a [m,k] times b, as sums with the absolute values of their terms: x weight^T, dy weight and dy^T x are all
// sums of terms a(i,l) b(l,j).
template <class A, class B>
oracle::Sums product(std::int64_t m, std::int64_t n, std::int64_t k, A&& a, B&& b) {
  oracle::Sums sums;
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0, magnitude = 0;
      for (std::int64_t l = 0; l < k; ++l) {
        const double term = double{a(i, l)} * double{b(l, j)};
        sum += term;
        magnitude += std::fabs(term);
      }
      sums.value.push_back(sum);
      sums.magnitude.push_back(magnitude);
    }
  }
  return sums;
}

// Of a sum of products relative to the sum of their absolute values: fp32 in whatever order (blocked sums
// grow slower than the bound k u), and TF32, which cuts both factors to 10 bits.
double sum_error(const Types& types) {
  return types.tf32 ? 0x1p-9 : 0x1p-20;
}

void check_close(const std::vector<float>& got, const std::vector<double>& expected,
                 const std::vector<double>& magnitude, const Types& types) {
  REQUIRE(got.size() == expected.size());
  int wrong = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::fabs(double{got[i]} - expected[i]);
    const double bound =
        sum_error(types) * magnitude[i] + 1.01 * test::half_ulp(types.output) * std::fabs(expected[i]) + 1e-7;
    if (!(error <= bound)) ++wrong;
  }
  CHECK(wrong == 0);
}

std::size_t at(std::int64_t row, std::int64_t column, std::int64_t columns) {
  return static_cast<std::size_t>(row * columns + column);
}

double gelu_tanh(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
}

#define AIKD_NEEDS_CUBLAS(ctx)                                                                        \
  do {                                                                                                \
    if ((ctx).libraries == nullptr) AIKD_SKIP("the context has no libraries");                        \
    if ((ctx).libraries->cublas_lt() == nullptr) AIKD_SKIP((ctx).libraries->cublas_lt_description()); \
  } while (false)

constexpr std::size_t kWorkspace = std::size_t{32} << 20;

}  // namespace

TEST_CASE("cublas_linear: forward with every epilogue, against the definition") {
  AIKD_NEEDS_DEVICE();
  test::DeviceTeam team(kWorkspace);
  AIKD_NEEDS_CUBLAS(team.context());
  int ran = 0;
  for (const Types& types : kTypes) {
    for (const Size& size : kSizes) {
      const auto x = test::rounded(types.input, test::random_normal(size.rows * size.in, 1));
      const auto weight = test::rounded(types.input, test::random_normal(size.out * size.in, 2));
      const auto bias = test::rounded(types.output, test::random_normal(size.out, 3));
      const DeviceFloats dx(types.input, x), dweight(types.input, weight), dbias(types.output, bias);
      const oracle::Sums sums =
          oracle::linear<float>(size.rows, size.in, size.out, x.data(), weight.data(), nullptr);
      for (const LinearEpilogue epilogue :
           {LinearEpilogue::kNone, LinearEpilogue::kBias, LinearEpilogue::kBiasGeluTanh}) {
        CAPTURE(name_of(types.input));
        CAPTURE(name_of(types.output));
        CAPTURE(types.tf32);
        CAPTURE(size.rows);
        CAPTURE(size.in);
        CAPTURE(size.out);
        CAPTURE(static_cast<int>(epilogue));
        const CublasLinearSpec spec{size.rows,    size.in,    size.out, types.input,
                                    types.output, types.tf32, epilogue};
        const DeviceFloats y(types.output, static_cast<std::size_t>(size.rows * size.out));
        if (!cublas_linear(team.context(), spec, dx.data(), dweight.data(), dbias.data(), y.data())) {
          // Whole vectors must have an algorithm; odd extents of 16-bit types, and the GELU, may be without.
          CHECK((size.in % 16 != 0 || size.out % 16 != 0 || epilogue == LinearEpilogue::kBiasGeluTanh));
          continue;
        }
        ++ran;
        std::vector<double> expected = sums.value, magnitude = sums.magnitude;
        for (std::size_t i = 0; i < expected.size(); ++i) {
          if (epilogue == LinearEpilogue::kNone) continue;
          const double b = bias[i % static_cast<std::size_t>(size.out)];
          expected[i] += b;
          magnitude[i] += std::fabs(b);
          // |gelu'| < 1.13; the device's tanh is good to about 2^-11 of the argument's scale.
          if (epilogue == LinearEpilogue::kBiasGeluTanh) {
            magnitude[i] = 1.13 * magnitude[i] + std::fabs(expected[i]) * 0x1p-11 / sum_error(types);
            expected[i] = gelu_tanh(expected[i]);
          }
        }
        const std::vector<float> got = y.download();
        check_close(got, expected, magnitude, types);
        CHECK(y.guards_intact());
        // Again, into other memory: the same bits.
        const DeviceFloats again(types.output, got.size());
        REQUIRE(cublas_linear(team.context(), spec, dx.data(), dweight.data(), dbias.data(), again.data()));
        CHECK(test::same_bits(got, again.download()));
      }
    }
  }
  CHECK(ran >= 40);
  CHECK(team.guards_intact());
}

TEST_CASE("cublas_linear: both gradients, against the definition") {
  AIKD_NEEDS_DEVICE();
  test::DeviceTeam team(kWorkspace);
  AIKD_NEEDS_CUBLAS(team.context());
  int ran = 0;
  for (const Types& types : kTypes) {
    for (const Size& size : kSizes) {
      const auto x = test::rounded(types.input, test::random_normal(size.rows * size.in, 4));
      const auto weight = test::rounded(types.input, test::random_normal(size.out * size.in, 5));
      const auto dy = test::rounded(types.input, test::random_normal(size.rows * size.out, 6));
      const DeviceFloats device_x(types.input, x), device_weight(types.input, weight),
          device_dy(types.input, dy);
      const CublasLinearSpec spec{size.rows, size.in, size.out, types.input, types.output, types.tf32};
      CAPTURE(name_of(types.input));
      CAPTURE(name_of(types.output));
      CAPTURE(types.tf32);
      CAPTURE(size.rows);
      CAPTURE(size.in);
      CAPTURE(size.out);
      const auto weight_at = [&](auto o, auto j) { return weight[at(o, j, size.in)]; };
      const auto dy_at = [&](auto i, auto o) { return dy[at(i, o, size.out)]; };
      const DeviceFloats dx(types.output, x.size()), again(types.output, x.size());
      const DeviceFloats dw(types.output, weight.size()), dw_again(types.output, weight.size());
      if (cublas_linear_data_gradient(team.context(), spec, device_dy.data(), device_weight.data(),
                                      dx.data())) {
        ++ran;
        const oracle::Sums sums = product(size.rows, size.in, size.out, dy_at, weight_at);
        check_close(dx.download(), sums.value, sums.magnitude, types);
        cublas_linear_data_gradient(team.context(), spec, device_dy.data(), device_weight.data(),
                                    again.data());
        CHECK(test::same_bits(dx.download(), again.download()));
        CHECK(dx.guards_intact());
      } else {
        CHECK((size.in % 16 != 0 || size.out % 16 != 0));
      }
      if (cublas_linear_weight_gradient(team.context(), spec, device_x.data(), device_dy.data(), dw.data())) {
        ++ran;
        const oracle::Sums sums = product(
            size.out, size.in, size.rows, [&](auto o, auto i) { return dy_at(i, o); },
            [&](auto i, auto j) { return x[at(i, j, size.in)]; });
        check_close(dw.download(), sums.value, sums.magnitude, types);
        cublas_linear_weight_gradient(team.context(), spec, device_x.data(), device_dy.data(),
                                      dw_again.data());
        CHECK(test::same_bits(dw.download(), dw_again.download()));
        CHECK(dw.guards_intact());
      } else {
        CHECK((size.in % 16 != 0 || size.out % 16 != 0));
      }
    }
  }
  CHECK(ran >= 40);
  CHECK(team.guards_intact());
}

TEST_CASE("cublas_linear: small integers are exact") {
  AIKD_NEEDS_DEVICE();
  test::DeviceTeam team(kWorkspace);
  AIKD_NEEDS_CUBLAS(team.context());
  for (const Types& types : kTypes) {
    // 128 products of -1, 0 or 1: sums of at most 128 in size, which every type holds.
    const Size size{48, 128, 64};
    const auto x = test::random_integers(size.rows * size.in, 1, 7);
    const auto weight = test::random_integers(size.out * size.in, 1, 8);
    const DeviceFloats dx(types.input, x), dweight(types.input, weight);
    const DeviceFloats y(types.output, static_cast<std::size_t>(size.rows * size.out));
    const CublasLinearSpec spec{size.rows, size.in, size.out, types.input, types.output, types.tf32};
    REQUIRE(cublas_linear(team.context(), spec, dx.data(), dweight.data(), nullptr, y.data()));
    const oracle::Sums sums =
        oracle::linear<float>(size.rows, size.in, size.out, x.data(), weight.data(), nullptr);
    const std::vector<float> got = y.download();
    int wrong = 0;
    for (std::size_t i = 0; i < got.size(); ++i) wrong += double{got[i]} == sums.value[i] ? 0 : 1;
    CHECK(wrong == 0);
  }
}

TEST_CASE("cublas_linear: launches nothing when it cannot") {
  // Without libraries; with an extent of 0; with an epilogue on a gradient: false, whatever the machine.
  float memory[4] = {};
  const CublasLinearSpec spec{1, 1, 1};
  CHECK_FALSE(cublas_linear(Context{}, spec, memory, memory, nullptr, memory));
  CHECK_FALSE(cublas_linear_data_gradient(Context{}, spec, memory, memory, memory));
  CHECK_FALSE(cublas_linear_weight_gradient(Context{}, spec, memory, memory, memory));
  const std::unique_ptr<Libraries> libraries = load_libraries();
  REQUIRE(libraries != nullptr);
  Context ctx;
  ctx.libraries = libraries.get();
  CublasLinearSpec empty = spec;
  empty.rows = 0;
  CHECK_FALSE(cublas_linear(ctx, empty, memory, memory, nullptr, memory));
  CublasLinearSpec fused = spec;
  fused.epilogue = LinearEpilogue::kBias;
  CHECK_FALSE(cublas_linear_data_gradient(ctx, fused, memory, memory, memory));
  CHECK_FALSE(cublas_linear_weight_gradient(ctx, fused, memory, memory, memory));
  if (libraries->cublas_lt() == nullptr) {
    CHECK_FALSE(cublas_linear(ctx, spec, memory, memory, nullptr, memory));
    CHECK(libraries->cublas_lt_description().rfind("cuBLASLt absent: ", 0) == 0);
  }
}

}  // namespace aikd
