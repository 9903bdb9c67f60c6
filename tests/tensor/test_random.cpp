#include <cmath>
#include <cstdint>

#include "tensor/random.h"
#include "tests/support/test.h"

TEST_CASE("splitmix64 gives the published sequence") {
  // Reference outputs of SplitMix64 seeded with 1234567: state advances by the golden constant, ours adds it
  // first.
  constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15U;
  const std::uint64_t expected[] = {6457827717110365317U, 3203168211198807973U, 9817491932198370423U,
                                    4593380528125082431U, 16408922859458223821U};
  std::uint64_t state = 1234567;
  for (const std::uint64_t e : expected) {
    CHECK(aikd::splitmix64(state) == e);
    state += kGolden;
  }
}

TEST_CASE("streams repeat and differ by seed with the right moments") {
  aikd::Random a(1), b(1), c(2);
  double sum = 0, squares = 0, normal_sum = 0, normal_squares = 0;
  constexpr int kDraws = 200000;
  int differing = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double u = a.uniform();
    REQUIRE(u == b.uniform());
    differing += u != c.uniform() ? 1 : 0;
    REQUIRE((u >= 0 && u < 1));
    sum += u;
    squares += u * u;
  }
  for (int i = 0; i < kDraws; ++i) {
    const double n = a.normal();
    normal_sum += n;
    normal_squares += n * n;
  }
  CHECK(differing > kDraws - 5);
  CHECK(std::abs(sum / kDraws - 0.5) < 0.003);
  CHECK(std::abs(squares / kDraws - 1.0 / 3) < 0.003);
  CHECK(std::abs(normal_sum / kDraws) < 0.01);
  CHECK(std::abs(normal_squares / kDraws - 1) < 0.015);
}
