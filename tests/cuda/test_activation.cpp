// PReLU, clamp and GELU, forward and backward, against the oracles.
#include "kernels/activation.h"

#include <limits>

#include "tests/cuda/pointwise_cases.h"
#include "tests/oracle/activation.h"
#include "tests/oracle/pointwise.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using kernels::Storage;
namespace cuda = kernels::cuda;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr double kUlp = 0x1p-23;  // of 1, in fp32

// Normal values with the special ones in front, as far as there is room.
std::vector<float> with_specials(Storage storage, std::int64_t count, std::uint64_t seed,
                                 const std::vector<float>& specials) {
  std::vector<float> x = rounded(storage, random_normal(count, seed));
  for (std::size_t i = 0; i < specials.size() && i < x.size(); ++i) x[i] = rounded(storage, specials[i]);
  return x;
}

}  // namespace

TEST_CASE("activation oracle: gradients by central differences") {
  std::vector<double> x = doubles(random_normal(35, 1)), slope = doubles(random_normal(5, 2));
  const std::vector<double> dy = doubles(random_normal(35, 3));
  const auto loss = [&] {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) sum += dy[i] * oracle::prelu(x[i], slope[i % 5]);
    return sum;
  };
  const auto g = oracle::prelu_backward(7, 5, x.data(), slope.data(), dy.data());
  for (std::size_t i = 0; i < x.size(); ++i)
    CHECK(central_difference(x, i, loss) == doctest::Approx(g.dx[i]).epsilon(1e-7));
  for (std::size_t c = 0; c < slope.size(); ++c)
    CHECK(central_difference(slope, c, loss) == doctest::Approx(g.dslope[c]).epsilon(1e-7));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto clamped = [&] { return oracle::clamp(x[i], -0.7, 0.4); };
    CHECK(central_difference(x, i, clamped) ==
          doctest::Approx(oracle::clamp_derivative(x[i], -0.7, 0.4)).epsilon(1e-7));
    const auto smooth = [&] { return static_cast<double>(oracle::gelu(4 * x[i])); };
    CHECK(central_difference(x, i, smooth) ==
          doctest::Approx(4 * static_cast<double>(oracle::gelu_derivative(4 * x[i]).value)).epsilon(1e-7));
  }
}

TEST_CASE("cuda activation: prelu") {
  AIKD_NEEDS_DEVICE();
  DeviceTeam team;
  for (const Storage storage : kStorages) {
    for (const Matrix& m : kMatrices) {
      for (const bool shifted : {false, true}) {
        CAPTURE(kernels::name_of(storage));
        CAPTURE(m.rows);
        CAPTURE(m.channels);
        const std::vector<float> x = with_specials(storage, m.size(), 4, {0.0F, -0.0F, kNaN, -kInf, kInf}),
                                 slope = random_normal(m.channels, 5);
        std::vector<double> expected;
        for (std::size_t i = 0; i < x.size(); ++i)
          expected.push_back(
              oracle::prelu(static_cast<double>(x[i]), static_cast<double>(slope[i % slope.size()])));
        const Placed from(storage, x, shifted), y(storage, x.size(), shifted);
        const DeviceArray<float> a(slope);
        cuda::prelu(team.context(), storage, m.rows, m.channels, from.data(), a.data(), y.data());
        const std::vector<float> got = y.download();
        // The product is rounded to fp32, then to the storage.
        CHECK(first_wrong(got, expected, [&](std::size_t i) {
                return rounding(storage, expected[i]) * (1 + 0x1p-12) +
                       (storage == Storage::kF32 ? 0 : kUlp * std::fabs(expected[i]));
              }) == "");
        if (m.size() > 1) {
          CHECK(std::signbit(got[0]) == std::signbit(slope[0]));
          CHECK(std::signbit(got[1]) != std::signbit(slope[1 % slope.size()]));
        }
        cuda::prelu(team.context(), storage, m.rows, m.channels, from.data(), a.data(), from.data());
        CHECK(same_bits(from.download(), got));
        CHECK((from.intact() && y.intact() && a.guards_intact()));
      }
    }
  }
}

TEST_CASE("cuda activation: prelu backward") {
  AIKD_NEEDS_DEVICE();
  for (const Storage storage : kStorages) {
    for (const Matrix& m : kMatrices) {
      CAPTURE(kernels::name_of(storage));
      CAPTURE(m.rows);
      CAPTURE(m.channels);
      const std::vector<float> x = with_specials(storage, m.size(), 6, {0.0F, -0.0F}),
                               slope = random_normal(m.channels, 7),
                               dy = rounded(storage, random_normal(m.size(), 8));
      const auto expected = oracle::prelu_backward(m.rows, m.channels, x.data(), slope.data(), dy.data());
      DeviceTeam team(cuda::prelu_backward_workspace_bytes(m.rows, m.channels));
      const DeviceArray<float> a(slope);
      std::vector<float> first_dx, first_dslope;
      // At good and odd addresses, and with dx = dy: the same bits each time.
      for (const int run : {0, 1, 2, 3}) {
        const bool shifted = run == 1 || run == 3;
        const Placed from(storage, x, shifted), upstream(storage, dy, shifted),
            dx(storage, x.size(), shifted);
        const DeviceArray<float> dslope(slope.size());
        const Placed& to = run < 2 ? dx : upstream;
        cuda::prelu_backward(team.context(), storage, m.rows, m.channels, from.data(), a.data(),
                             upstream.data(), to.data(), dslope.data());
        if (run == 0) {
          first_dx = to.download();
          first_dslope = dslope.download();
        }
        CHECK(same_bits(to.download(), first_dx));
        CHECK(same_bits(dslope.download(), first_dslope));
        CHECK((from.intact() && upstream.intact() && dx.intact() && dslope.guards_intact() &&
               team.guards_intact()));
      }
      CHECK(first_wrong(first_dx, expected.dx, [&](std::size_t i) {
              return rounding(storage, expected.dx[i]) * (1 + 0x1p-12) +
                     (storage == Storage::kF32 ? 0 : kUlp * std::fabs(expected.dx[i]));
            }) == "");
      // Runs of at most a hundred fp32 additions.
      CHECK(first_wrong(first_dslope, expected.dslope,
                        [&](std::size_t c) { return 4 * kUlp * expected.dslope_magnitude[c]; }) == "");
    }
  }
}

TEST_CASE("cuda activation: prelu backward without rows, and without dx") {
  AIKD_NEEDS_DEVICE();
  DeviceTeam team(cuda::prelu_backward_workspace_bytes(5, 3));
  const DeviceArray<float> slope(random_normal(3, 9)), dslope(3);
  const Placed x(Storage::kF32, std::vector<float>(15, -2.0F)),
      dy(Storage::kF32, std::vector<float>(15, 3.0F));
  cuda::prelu_backward(team.context(), Storage::kF32, 0, 3, x.data(), slope.data(), dy.data(), dy.data(),
                       dslope.data());
  CHECK((dslope.download() == std::vector<float>(3, 0.0F)));
  cuda::prelu_backward(team.context(), Storage::kF32, 5, 3, x.data(), slope.data(), dy.data(), nullptr,
                       dslope.data());
  CHECK((dslope.download() == std::vector<float>(3, -30.0F)));
  CHECK((dy.download() == std::vector<float>(15, 3.0F)));
}

TEST_CASE("cuda activation: clamp and its gradient, exactly") {
  AIKD_NEEDS_DEVICE();
  DeviceTeam team;
  struct Bounds {
    float lo, hi;
  };
  for (const Storage storage : kStorages) {
    for (const Bounds b : {Bounds{0.0F, 6.0F}, Bounds{0.0F, kInf}, Bounds{-0.5F, 0.25F}}) {
      for (const std::int64_t count : {0, 1, 13, 49, 1000, 12544}) {
        for (const bool shifted : {false, true}) {
          CAPTURE(kernels::name_of(storage));
          CAPTURE(b.hi);
          CAPTURE(count);
          const std::vector<float> x = with_specials(storage, count, 10, {b.lo, b.hi, kNaN, -0.0F, -kInf}),
                                   dy = rounded(storage, random_normal(count, 11));
          std::vector<double> y, dx;
          for (std::size_t i = 0; i < x.size(); ++i) {
            const double value = static_cast<double>(x[i]), lo = static_cast<double>(b.lo),
                         hi = static_cast<double>(b.hi);
            y.push_back(oracle::clamp(value, lo, hi));
            dx.push_back(oracle::clamp_derivative(value, lo, hi) * static_cast<double>(dy[i]));
          }
          const Placed from(storage, x, shifted), upstream(storage, dy, shifted),
              to(storage, x.size(), shifted);
          const auto exactly = [](std::size_t) { return 0.0; };
          cuda::clamp(team.context(), storage, count, from.data(), b.lo, b.hi, to.data());
          CHECK(first_wrong(to.download(), y, exactly) == "");
          cuda::clamp_backward(team.context(), storage, count, from.data(), b.lo, b.hi, upstream.data(),
                               to.data());
          CHECK(first_wrong(to.download(), dx, exactly) == "");
          cuda::clamp_backward(team.context(), storage, count, from.data(), b.lo, b.hi, upstream.data(),
                               upstream.data());
          CHECK(first_wrong(upstream.download(), dx, exactly) == "");
          cuda::clamp(team.context(), storage, count, from.data(), b.lo, b.hi, from.data());
          CHECK(first_wrong(from.download(), y, exactly) == "");
          CHECK((from.intact() && upstream.intact() && to.intact()));
        }
      }
    }
  }
}

// The gradient at the bounds: none, as PyTorch's relu, relu6 and hardtanh.
TEST_CASE("cuda activation: the gradient of clamp at its bounds is zero, and passes NaN") {
  AIKD_NEEDS_DEVICE();
  const Placed x(Storage::kF32, std::vector<float>{0.0F, 6.0F, 3.0F, -1.0F, 7.0F, kNaN, -0.0F}),
      dy(Storage::kF32, std::vector<float>(7, 2.5F)), dx(Storage::kF32, 7);
  cuda::clamp_backward(DeviceTeam().context(), Storage::kF32, 7, x.data(), 0.0F, 6.0F, dy.data(), dx.data());
  CHECK((dx.download() == std::vector<float>{0.0F, 0.0F, 2.5F, 0.0F, 0.0F, 2.5F, 0.0F}));
}

namespace {

// From where GELU is smaller than any fp32 number to where it is x, and both zeros of interest: of x, and of
// the derivative (near -0.7518).
std::vector<float> gelu_inputs() {
  std::vector<float> x = {0.0F, -0.0F, kInf, -kInf, kNaN, -0.751791524693564F, 1e-30F, -1e-30F, 1e-42F};
  for (int i = -2000; i <= 2000; ++i) x.push_back(static_cast<float>(i) * 0.0090123F);
  return x;
}

}  // namespace

TEST_CASE("cuda activation: gelu keeps its digits in the lower tail") {
  AIKD_NEEDS_DEVICE();
  DeviceTeam team;
  for (const Storage storage : kStorages) {
    for (const bool shifted : {false, true}) {
      CAPTURE(kernels::name_of(storage));
      const std::vector<float> x = rounded(storage, gelu_inputs());
      const auto count = static_cast<std::int64_t>(x.size());
      std::vector<double> expected;
      for (const float value : x)
        expected.push_back(std::isinf(value) ? std::fmax(static_cast<double>(value), 0.0)
                                             : static_cast<double>(oracle::gelu(value)));
      const Placed from(storage, x, shifted), y(storage, x.size(), shifted);
      cuda::gelu(team.context(), storage, count, from.data(), y.data());
      const std::vector<float> got = y.download();
      // CUDA's erfcf is within 4 units in the last place; two more roundings, and the correction's. What is
      // subnormal in fp32 is exact to some of its units, times the factor x/2.
      CHECK(first_wrong(got, expected, [&](std::size_t i) {
              return rounding(storage, expected[i]) + 6 * kUlp * std::fabs(expected[i]) + 64 * 0x1p-149;
            }) == "");
      cuda::gelu(team.context(), storage, count, from.data(), from.data());
      CHECK(same_bits(from.download(), got));
      CHECK((from.intact() && y.intact()));
    }
  }
}

TEST_CASE("cuda activation: gelu backward") {
  AIKD_NEEDS_DEVICE();
  DeviceTeam team;
  for (const Storage storage : kStorages) {
    for (const bool shifted : {false, true}) {
      CAPTURE(kernels::name_of(storage));
      const std::vector<float> x = rounded(storage, gelu_inputs());
      const auto count = static_cast<std::int64_t>(x.size());
      const std::vector<float> dy = rounded(storage, random_normal(count, 12));
      std::vector<double> expected, magnitude;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const auto d = oracle::gelu_derivative(x[i]);
        const double upstream = static_cast<double>(dy[i]);
        expected.push_back(std::isinf(x[i]) ? (x[i] > 0 ? upstream : 0.0)
                                            : static_cast<double>(d.value) * upstream);
        magnitude.push_back(std::isinf(x[i]) ? 1.0 : static_cast<double>(d.magnitude) * std::fabs(upstream));
      }
      const Placed from(storage, x, shifted), upstream(storage, dy, shifted), dx(storage, x.size(), shifted);
      cuda::gelu_backward(team.context(), storage, count, from.data(), upstream.data(), dx.data());
      const std::vector<float> got = dx.download();
      CHECK(first_wrong(got, expected, [&](std::size_t i) {
              return rounding(storage, expected[i]) + 6 * kUlp * magnitude[i] + 64 * 0x1p-149;
            }) == "");
      cuda::gelu_backward(team.context(), storage, count, from.data(), upstream.data(), upstream.data());
      CHECK(same_bits(upstream.download(), got));
      CHECK((from.intact() && upstream.intact() && dx.intact()));
    }
  }
}
