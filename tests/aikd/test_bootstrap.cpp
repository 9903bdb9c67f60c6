#include "aikd/bootstrap.h"

#include <cmath>
#include <limits>

#include "tensor/random.h"
#include "tests/aikd/model_fixtures.h"

using namespace aikd;
using aikd::test::contains;
using aikd::test::message_of;

namespace {

double mean_of(const std::vector<double>& values, std::span<const std::size_t> draw) {
  double sum = 0;
  for (const std::size_t i : draw) sum += values[i];
  return sum / static_cast<double>(draw.size());
}

}  // namespace

TEST_CASE("bootstrap: groups keep the order of their first sample, unnamed samples stand alone") {
  const std::vector<std::string> names{"b", "", "a", "b", "", "a", "b"};
  CHECK(groups_of(names) == std::vector<std::vector<std::size_t>>{{0, 3, 6}, {1}, {2, 5}, {4}});
  CHECK(groups_of({}).empty());
}

TEST_CASE(
    "bootstrap: the interval of a mean is that of the central limit theorem, and as wide as the groups make "
    "it") {
  Random random(3);
  std::vector<double> values;
  for (int i = 0; i < 400; ++i) values.push_back(random.normal());
  std::vector<std::vector<std::size_t>> single, fours;
  for (std::size_t i = 0; i < 400; ++i) {
    single.push_back({i});
    if (i % 4 == 0) fours.push_back({i, i + 1, i + 2, i + 3});
  }
  const auto interval = [&](const std::vector<std::vector<std::size_t>>& groups, std::uint64_t seed) {
    return bootstrap_interval(
        groups, [&](std::span<const std::size_t> draw) { return mean_of(values, draw); }, 4000, 0.95, seed);
  };
  double mean = 0, variance = 0;
  for (const double v : values) mean += v / 400;
  for (const double v : values) variance += (v - mean) * (v - mean) / 399;
  const double error = std::sqrt(variance / 400);
  const Interval i = interval(single, 1);
  CHECK(std::abs(i.low - (mean - 1.96 * error)) < 0.15 * error);
  CHECK(std::abs(i.high - (mean + 1.96 * error)) < 0.15 * error);
  CHECK(interval(single, 1).low == i.low);
  CHECK(interval(single, 2).low != i.low);
  // Four copies of each value are no more than one: the interval of 100 groups is twice as wide as that of
  // 400.
  for (std::size_t j = 0; j < 400; ++j) values[j] = values[j / 4 * 4];
  const Interval copies = interval(fours, 1), taken_apart = interval(single, 1);
  CHECK((copies.high - copies.low) / (taken_apart.high - taken_apart.low) == doctest::Approx(2).epsilon(0.1));
}

TEST_CASE("bootstrap: draws without a number are left out, and wrong arguments are refused") {
  const std::vector<std::vector<std::size_t>> groups{{0}, {1}};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto of = [&](const std::vector<std::vector<std::size_t>>& g, int resamples, double level, bool all) {
    return bootstrap_interval(
        g, [&](std::span<const std::size_t> draw) { return all || draw[0] == draw[1] ? nan : 5.0; },
        resamples, level, 7);
  };
  CHECK(of(groups, 50, 0.9, false).low == 5);
  CHECK(of(groups, 50, 0.9, false).high == 5);
  CHECK(std::isnan(of(groups, 50, 0.9, true).low));
  CHECK(contains(message_of([&] { of({}, 50, 0.9, true); }), "something to draw from"));
  CHECK(contains(message_of([&] { of(groups, 1, 0.9, true); }), "at least 2 draws, got 1."));
  CHECK(contains(message_of([&] { of(groups, 50, 1, true); }), "between 0 and 1, got 1."));
}
