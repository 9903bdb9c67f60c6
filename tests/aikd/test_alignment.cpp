#include "aikd/alignment.h"

#include <cmath>
#include <limits>

#include "tensor/error.h"
#include "tests/oracle/test_images.h"
#include "tests/support/test.h"

using namespace aikd;

namespace {

Landmarks from_json(const nlohmann::json& points) {
  Landmarks landmarks;
  for (std::size_t i = 0; i < 5; ++i) landmarks[i] = {points[i][0], points[i][1]};
  return landmarks;
}

Point apply(const Affine& m, const Point& p) {
  return {m.a * p.x + m.b * p.y + m.c, m.d * p.x + m.e * p.y + m.f};
}

}  // namespace

TEST_CASE("umeyama gives the matrices of scikit-image") {
  const nlohmann::json golden = test::read_golden("alignment.json");
  REQUIRE(golden["cases"].size() >= 50);
  for (const auto& c : golden["cases"]) {
    const std::string name = c["name"];
    INFO(name);
    const Landmarks source = from_json(c["source"]), target = from_json(c["target"]);
    const Affine m = umeyama(source, target);
    const double got[6] = {m.a, m.b, m.c, m.d, m.e, m.f};
    // Entries of the linear part relative to the scale, of the offset relative to the coordinates that make
    // it.
    const double scale = std::hypot(m.a, m.d);
    double size = 1;
    for (const Point& p : source) size = std::max({size, std::abs(p.x) * scale, std::abs(p.y) * scale});
    for (const Point& p : target) size = std::max({size, std::abs(p.x), std::abs(p.y)});
    for (std::size_t i = 0; i < 6; ++i) {
      INFO("entry ", i);
      const double error = std::abs(got[i] - c["matrix"][i].get<double>());
      // Far away points (1e6) lose the digits that their own coordinates do not have.
      const double digits = name == "far away" ? 1e-9 : 1e-12;
      CHECK(!(error > digits * (i % 3 == 2 ? size : scale)));
    }
  }
}

TEST_CASE("umeyama recovers a similarity exactly enough") {
  Landmarks source;
  const double angle = 0.7, scale = 0.42;
  const Affine truth{scale * std::cos(angle), -scale * std::sin(angle), 12,
                     scale * std::sin(angle), scale * std::cos(angle),  -7};
  Landmarks target;
  for (std::size_t i = 0; i < 5; ++i) {
    source[i] = {kReferenceLandmarks[i].x * 2 + static_cast<double>(i * i), kReferenceLandmarks[i].y};
    target[i] = apply(truth, source[i]);
  }
  const Affine m = umeyama(source, target);
  for (std::size_t i = 0; i < 5; ++i) {
    const Point p = apply(m, source[i]);
    CHECK(!(std::hypot(p.x - target[i].x, p.y - target[i].y) > 1e-11));
  }
}

TEST_CASE("umeyama never mirrors") {
  Landmarks mirrored = kReferenceLandmarks;
  for (Point& p : mirrored) p.x = 112 - p.x;
  const Affine m = umeyama(mirrored);
  CHECK(m.a * m.e - m.b * m.d > 0);
  CHECK(m.a == doctest::Approx(m.e));
  CHECK(m.b == doctest::Approx(-m.d));
}

TEST_CASE("umeyama refuses points that coincide") {
  Landmarks points;
  points.fill({31.7, 40.1});
  CHECK_THROWS_WITH_AS(umeyama(points),
                       "The five landmarks coincide at (31.7, 40.1), so no face position follows from them.",
                       Error);
  points.fill({0, 0});
  CHECK_THROWS_AS(umeyama(points), Error);
  points.fill({1e9, -1e9});
  CHECK_THROWS_AS(umeyama(points), Error);
}

TEST_CASE("umeyama refuses a target without extent") {
  Landmarks target;
  target.fill({5, 5});
  CHECK_THROWS_WITH_AS(umeyama(kReferenceLandmarks, target), doctest::Contains("do not resemble a face"),
                       Error);
}

TEST_CASE("umeyama refuses coordinates that are not finite") {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    Landmarks points = kReferenceLandmarks;
    points[2].y = bad;
    CHECK_THROWS_WITH_AS(umeyama(points),
                         doctest::Contains("Landmark 3 of 5 of the source points is (56.0252, "), Error);
    CHECK_THROWS_WITH_AS(umeyama(kReferenceLandmarks, points), doctest::Contains("of the target points is"),
                         Error);
  }
}
