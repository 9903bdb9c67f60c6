#include "kernels/activation.h"
#include "kernels/add.h"
#include "kernels/batch_norm.h"
#include "tests/kernels/kernel_test.h"
#include "tests/oracle/pointwise.h"

namespace {

using namespace aikd;
using namespace aikd::test;

constexpr float kInf = std::numeric_limits<float>::infinity();

std::uint32_t bits(float value) {
  return std::bit_cast<std::uint32_t>(value);
}

// Distance in units of the last place of floats; NaN is infinitely far from everything.
double ulps(float value, long double exact) {
  const auto nearest = static_cast<float>(exact);
  if (bits(value) == bits(nearest)) return 0;
  if (std::isnan(value) || std::isnan(nearest)) return std::numeric_limits<double>::infinity();
  const float next = std::nextafter(std::fabs(nearest), kInf);
  return std::fabs(static_cast<double>(static_cast<long double>(value) - exact)) /
         static_cast<double>(next - std::fabs(nearest));
}

const std::vector<std::int64_t> kChannels = {1, 3, 4, 13, 15, 16, 17, 31, 33, 49};

}  // namespace

TEST_CASE("batch_norm equals the definition") {
  for_each_isa([] {
    for (const std::int64_t channels : kChannels) {
      const std::int64_t rows = 5;
      const auto count = static_cast<std::size_t>(rows * channels),
                 c_count = static_cast<std::size_t>(channels);
      const std::vector<float> x = random_floats(rows * channels, 1), weight = random_floats(channels, 2),
                               bias = random_floats(channels, 3), mean = random_floats(channels, 4),
                               spread = random_floats(channels, 5);
      Guarded in(count, 1, x), y(count, 2), scale(c_count, 3), shift(c_count, 1);
      std::vector<double> var;
      for (std::size_t c = 0; c < c_count; ++c) {
        var.push_back(static_cast<double>(spread[c]) * static_cast<double>(spread[c]) + 0.1);
        const kernels::BatchNormFactor f =
            kernels::batch_norm_factor(static_cast<double>(weight[c]), static_cast<double>(bias[c]),
                                       static_cast<double>(mean[c]), var[c], 1e-5);
        scale.data()[c] = static_cast<float>(f.scale);
        shift.data()[c] = static_cast<float>(f.shift);
      }
      Team team(2);
      kernels::cpu::batch_norm(team.context(), rows, channels, in.data(), scale.data(), shift.data(),
                               y.data());
      CHECK(y.guards_intact());
      int wrong = 0;
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t c = i % c_count;
        const double wanted =
            oracle::batch_norm(static_cast<double>(x[i]), static_cast<double>(weight[c]),
                               static_cast<double>(bias[c]), static_cast<double>(mean[c]), var[c], 1e-5);
        const double scale_of_terms =
            std::fabs(static_cast<double>(scale[c] * x[i])) + std::fabs(static_cast<double>(shift[c]));
        if (!(std::fabs(static_cast<double>(y[i]) - wanted) <= 2e-7 * scale_of_terms)) ++wrong;
      }
      CHECK(wrong == 0);
      kernels::cpu::batch_norm(team.context(), rows, channels, in.data(), scale.data(), shift.data(),
                               in.data());
      CHECK(same_bits(in.values(), y.values()));  // in place
    }
  });
}

TEST_CASE("prelu at zero and minus zero and beyond") {
  for_each_isa([] {
    for (const std::int64_t channels : kChannels) {
      const std::vector<float> special = {0.0F,  -0.0F, 1.5F,   -1.5F,   kInf,
                                          -kInf, kNaN,  1e-40F, -1e-40F, 3.25F};
      const std::int64_t rows = static_cast<std::int64_t>(special.size());
      const auto count = static_cast<std::size_t>(rows * channels);
      std::vector<float> x;
      for (std::size_t i = 0; i < count; ++i) x.push_back(special[(i * 7 + i / 3) % special.size()]);
      std::vector<float> slope = random_floats(channels, 2);
      slope[0] = -0.25F;  // a negative slope turns 0 into -0
      Guarded in(count, 1, x), sl(slope.size(), 2, slope), y(count, 3);
      Team team(3);
      kernels::cpu::prelu(team.context(), rows, channels, in.data(), sl.data(), y.data());
      CHECK(y.guards_intact());
      int wrong = 0;
      for (std::size_t i = 0; i < count; ++i) {
        const float s = slope[i % static_cast<std::size_t>(channels)];
        const float wanted = x[i] > 0.0F ? x[i] : s * x[i];
        if (!(std::isnan(wanted) ? std::isnan(y[i]) : bits(y[i]) == bits(wanted))) ++wrong;
      }
      CHECK(wrong == 0);
    }
  });
}

TEST_CASE("clamp keeps NaN and bounds everything else") {
  for_each_isa([] {
    for (const std::int64_t count : {1, 15, 16, 17, 4095, 4096, 4097, 10000}) {
      std::vector<float> x = random_floats(count, 1);
      for (float& v : x) v *= 10.0F;
      x[0] = kNaN;
      x.back() = count > 1 ? -kInf : kNaN;
      Guarded in(x.size(), 3, x), y(x.size(), 1);
      Team team(2);
      for (const float hi : {6.0F, kInf}) {
        kernels::cpu::clamp(team.context(), count, in.data(), 0.0F, hi, y.data());
        CHECK(y.guards_intact());
        int wrong = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
          const double wanted = oracle::clamp(static_cast<double>(x[i]), 0.0, static_cast<double>(hi));
          if (!(std::isnan(wanted) ? std::isnan(y[i]) : static_cast<double>(y[i]) == wanted)) ++wrong;
        }
        CHECK(wrong == 0);
      }
    }
  });
}

TEST_CASE("add is the rounded sum at every length") {
  for_each_isa([] {
    for (const std::int64_t count : {0, 1, 7, 16, 33, 4097}) {
      const std::vector<float> a = random_floats(count, 1), b = random_floats(count, 2);
      Guarded x(a.size(), 1, a), y(b.size(), 2, b);
      Team team(2);
      kernels::cpu::add(team.context(), count, x.data(), y.data(), y.data());
      CHECK(y.guards_intact());
      int wrong = 0;
      for (std::size_t i = 0; i < a.size(); ++i) {
        if (!(y[i] == a[i] + b[i])) ++wrong;
      }
      CHECK(wrong == 0);
    }
  });
}

TEST_CASE("gelu is within one unit of the last place") {
  std::vector<float> x = {0.0F, -0.0F, 1e-30F, -1e-30F, 5.0F, -5.0F, -9.0F, 12.0F, 3e38F, 1e-45F};
  for (int i = -14000; i <= 14000; ++i) x.push_back(static_cast<float>(i) * 1e-3F);
  Guarded in(x.size(), 1, x), y(x.size(), 2);
  Team team(3);
  kernels::cpu::gelu(team.context(), static_cast<std::int64_t>(x.size()), in.data(), y.data());
  CHECK(y.guards_intact());
  double worst = 0;
  int wrong = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double error = ulps(y[i], oracle::gelu(static_cast<long double>(x[i])));
    worst = std::max(worst, error);
    if (!(error <= 1.0)) ++wrong;
  }
  CAPTURE(worst);
  CHECK(wrong == 0);
}

TEST_CASE("gelu at infinity and NaN") {
  Guarded x(3, 0, {kInf, -kInf, kNaN}), y(3);
  Team team;
  kernels::cpu::gelu(team.context(), 3, x.data(), y.data());
  CHECK(y[0] == kInf);
  CHECK(y[1] == 0.0F);
  CHECK(std::isnan(y[2]));
}
