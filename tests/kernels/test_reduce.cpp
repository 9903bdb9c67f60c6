#include "kernels/reduce.h"

#include "kernels/normalise.h"
#include "tests/kernels/kernel_test.h"

using namespace aikd;
using namespace aikd::test;

TEST_CASE("sum_of_squares keeps the digits that float would lose") {
  // In float the ones would vanish beside 1e12.
  std::vector<float> x(101, 1.0F);
  x[0] = 1e6F;
  std::vector<double> y(2, std::numeric_limits<double>::quiet_NaN());
  Team team(2);
  std::vector<float> both = x;
  both.insert(both.end(), x.begin(), x.end());
  kernels::cpu::sum_of_squares(team.context(), 2, 101, both.data(), y.data());
  CHECK(y[0] == 1e12 + 100.0);
  CHECK(y[1] == 1e12 + 100.0);
}

TEST_CASE("channel_statistics is the mean and the biased variance even far from zero") {
  for (const std::int64_t channels : {1, 15, 16, 17, 40}) {
    const std::int64_t rows = 37;
    std::vector<float> x = random_floats(rows * channels, 3);
    for (float& v : x) v = v * 0.01F + 1000.0F;
    std::vector<double> mean(static_cast<std::size_t>(channels), std::nan("")), var(mean);
    Team team(3);
    kernels::cpu::channel_statistics(team.context(), rows, channels, x.data(), mean.data(), var.data());
    for (std::int64_t c = 0; c < channels; ++c) {
      long double sum = 0, squares = 0;
      for (std::int64_t i = 0; i < rows; ++i)
        sum += static_cast<long double>(x[static_cast<std::size_t>(i * channels + c)]);
      sum /= static_cast<long double>(rows);
      for (std::int64_t i = 0; i < rows; ++i) {
        const long double d = static_cast<long double>(x[static_cast<std::size_t>(i * channels + c)]) - sum;
        squares += d * d;
      }
      squares /= static_cast<long double>(rows);
      const auto index = static_cast<std::size_t>(c);
      CHECK_FALSE(!(std::fabs(mean[index] - static_cast<double>(sum)) <= 1e-12 * 1000.0));
      CHECK_FALSE(
          !(std::fabs(var[index] - static_cast<double>(squares)) <= 1e-9 * static_cast<double>(squares)));
    }
  }
}

TEST_CASE("normalise looks every byte up in its channel's table") {
  std::vector<float> table;
  for (int i = 0; i < 3 * 256; ++i) table.push_back(static_cast<float>(i) * 0.5F - 7.0F);
  for (const std::int64_t pixels : {1, 256, 1025}) {
    std::vector<std::uint8_t> x;
    for (std::int64_t i = 0; i < 3 * pixels; ++i) x.push_back(static_cast<std::uint8_t>(i * 7 + i / 256));
    for (const std::int64_t step : {3, 16}) {
      Guarded y(static_cast<std::size_t>(pixels * step), 1);
      Team team(2);
      kernels::cpu::normalise(team.context(), {table.data(), {2, 1, 0}}, pixels, x.data(), y.data(), step);
      CHECK(y.guards_intact());
      int wrong = 0;
      for (std::int64_t i = 0; i < pixels * step; ++i) {
        const std::int64_t c = i % step;
        const float wanted =
            c < 3
                ? table[static_cast<std::size_t>(c * 256 + x[static_cast<std::size_t>(i / step * 3 + 2 - c)])]
                : 0.0F;
        if (!(y[static_cast<std::size_t>(i)] == wanted)) ++wrong;
      }
      CHECK(wrong == 0);
    }
  }
}
