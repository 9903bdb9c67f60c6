#include "aikd/perturbation.h"

#include <cmath>
#include <limits>

#include "tensor/error.h"
#include "tests/aikd/model_fixtures.h"

using namespace aikd;
using aikd::test::contains;
using aikd::test::message_of;

namespace {

const Landmarks kFace{{{60, 70}, {100, 73}, {80, 95}, {65, 115}, {97, 118}}};

}  // namespace

TEST_CASE("perturbation: the stated numbers, on a copy") {
  // Random(splitmix64(splitmix64(splitmix64(5) ^ 2) ^ 9)) by an independent computation in Python.
  const Landmarks moved = perturb(kFace, {.pixels = 3, .seed = 5}, 2, 9);
  const double expected[10] = {62.6752602276011, 69.72364800288213, 102.12216551530003, 74.41948040388117,
                               79.6919580344835, 94.41120556962225, 64.24455619735186,  117.99886935892273,
                               95.7055810046042, 120.22618387992479};
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(std::abs(moved[i].x - expected[2 * i]) < 1e-12);
    CHECK(std::abs(moved[i].y - expected[2 * i + 1]) < 1e-12);
  }
  CHECK(perturb(kFace, {.pixels = 3, .seed = 5}, 2, 9) == moved);
  CHECK(perturb(kFace, {.pixels = 3, .seed = 6}, 2, 9) != moved);
  CHECK(perturb(kFace, {.pixels = 3, .seed = 5}, 3, 9) != moved);
  CHECK(perturb(kFace, {.pixels = 3, .seed = 5}, 2, 10) != moved);
}

TEST_CASE("perturbation: uniform in [-p, p], coordinates independent") {
  constexpr int kDraws = 20000;
  double sum[10] = {}, square[10] = {}, cross = 0, least = 0, most = 0;
  for (std::uint64_t item = 0; item < kDraws; ++item) {
    const Landmarks moved = perturb(kFace, {.pixels = 6}, 1, item);
    double d[10];
    for (std::size_t i = 0; i < 5; ++i) {
      d[2 * i] = moved[i].x - kFace[i].x;
      d[2 * i + 1] = moved[i].y - kFace[i].y;
    }
    for (int k = 0; k < 10; ++k) {
      sum[k] += d[k];
      square[k] += d[k] * d[k];
      least = std::min(least, d[k]);
      most = std::max(most, d[k]);
    }
    cross += d[0] * d[7];
  }
  // U[-6, 6] has mean 0 and variance 12; bounds of about 5 standard deviations of the estimates.
  for (int k = 0; k < 10; ++k) {
    CHECK(std::abs(sum[k] / kDraws) < 0.13);
    CHECK(std::abs(square[k] / kDraws - 12) < 0.4);
  }
  CHECK(std::abs(cross / kDraws) < 0.45);
  CHECK(least >= -6);
  CHECK(least < -5.99);
  CHECK(most <= 6);
  CHECK(most > 5.99);
}

TEST_CASE("perturbation: none gives the very same points, relative to the eyes' distance") {
  CHECK(perturb(kFace, {.pixels = 0, .seed = 1}, 4, 4) == kFace);
  const double eyes = std::sqrt(40.0 * 40 + 3 * 3);
  const Landmarks relative = perturb(kFace, {.pixels = 3, .relative = 0.1, .seed = 8}, 1, 2);
  CHECK(relative == perturb(kFace, {.pixels = 0.1 * eyes, .seed = 8}, 1, 2));
  CHECK(relative != perturb(kFace, {.pixels = 3, .seed = 8}, 1, 2));
}

TEST_CASE("perturbation: sizes that are refused") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_NOTHROW(check_perturbation({}));
  for (const double bad : {-1.0, nan, std::numeric_limits<double>::infinity()}) {
    CHECK_CONTAINS(message_of([&] { check_perturbation({.pixels = bad}); }),
                   "The perturbation of the landmarks must be a number of pixels from 0 up, got");
    CHECK_CONTAINS(message_of([&] { check_perturbation({.relative = bad}); }),
                   "The perturbation relative to the distance of the eyes must be a number from 0 up, got");
  }
}
