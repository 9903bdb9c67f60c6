#include "aikd/label_map.h"

#include <cmath>
#include <limits>

#include "tensor/error.h"
#include "tests/aikd/model_fixtures.h"

using namespace aikd;
using aikd::test::contains;
using aikd::test::message_of;

TEST_CASE("label map: minmax brings the extremes to 0 and 1, and back") {
  const std::vector<double> labels{3.25, -1.5, 0.1, 2.0};
  const LabelMap map = LabelMap::fit("minmax", labels);
  CHECK(map.to_string() == "linear:-1.5,3.25");
  CHECK(map.map(-1.5) == 0);
  CHECK(map.map(3.25) == 1);
  CHECK(map.map(0.1) == (0.1 + 1.5) / (3.25 + 1.5));
  CHECK(map.map(-99) == 0);  // outside of what it was fitted to
  CHECK(map.map(99) == 1);
  CHECK(std::isnan(map.map(std::numeric_limits<double>::quiet_NaN())));
  for (const double x : labels) CHECK(std::abs(map.inverse(map.map(x)) - x) < 1e-15);
  CHECK(map.inverse(0) == -1.5);
  CHECK(map.inverse(1) == 3.25);
  CHECK(map.inverse(2) == 3.25);
  CHECK(std::isnan(map.inverse(std::numeric_limits<double>::quiet_NaN())));
  const LabelMap again = LabelMap::parse(map.to_string());
  for (const double x : labels) CHECK(again.map(x) == map.map(x));
}

TEST_CASE("label map: quantile gives the share of labels below") {
  std::vector<double> labels;  // 1001 labels, skewed, no order
  for (int i = 0; i <= 1000; ++i) {
    const double t = (i * 380 % 1001) / 1000.0;
    labels.push_back(t * t * t - 4);
  }
  const LabelMap map = LabelMap::fit("quantile", labels);
  CHECK(contains(map.to_string(), "percentiles:-4,"));
  // The label of rank r of 1000 is mapped to about r / 1000, though it lies at (r / 1000)^3.
  for (int r = 0; r <= 1000; r += 50) {
    const double t = r / 1000.0, x = t * t * t - 4;
    CHECK(std::abs(map.map(x) - t) < 1e-9);
    CHECK(std::abs(map.inverse(map.map(x)) - x) < 1e-9);
  }
  CHECK(map.map(-5) == 0);
  CHECK(map.map(0) == 1);
  const LabelMap again = LabelMap::parse(map.to_string());
  for (const double x : labels) CHECK(again.map(x) == map.map(x));
  for (const double y : {0.0, 0.3, 0.999, 1.0, 7.0}) CHECK(again.inverse(y) == map.inverse(y));
  // Half of the labels are one value: the map stays monotone, and that value has the highest of its ranks.
  const LabelMap tied = LabelMap::fit("quantile", std::vector<double>{1, 1, 1, 1, 2, 3, 4});
  CHECK(tied.map(1) == doctest::Approx(0.5).epsilon(0.01));
  CHECK(tied.map(2) > tied.map(1));
}

TEST_CASE("label map: none leaves labels as they are") {
  const LabelMap map = LabelMap::fit("none", std::vector<double>{-2, 5});
  CHECK(map.to_string() == "none");
  CHECK(map.map(17) == 17);
  CHECK(map.inverse(-3) == -3);
  CHECK(LabelMap::parse("none").map(2) == 2);
}

TEST_CASE("label map: what cannot be fitted or parsed") {
  const std::vector<double> good{1, 2}, equal{4, 4, 4}, nan{1, std::numeric_limits<double>::quiet_NaN()},
      infinite{1, std::numeric_limits<double>::infinity()};
  const auto why = [](std::string_view kind, const std::vector<double>& labels) {
    return message_of([&] { LabelMap::fit(kind, labels); });
  };
  CHECK(why("max", good) == "The label map 'max' is not known; expected minmax, quantile or none.");
  CHECK(why("minmax", {}) == "There are no labels to fit the map 'minmax' to.");
  for (const char* kind : {"minmax", "quantile", "none"}) {
    CHECK(why(kind, equal) == "All 3 labels are equal (4); there is nothing to learn from them.");
    CHECK_CONTAINS(why(kind, nan), "A label is nan, not a finite number");
    CHECK_CONTAINS(why(kind, infinite), "A label is inf, not a finite number");
  }
  const auto parse = [](const char* text) { return message_of([&] { LabelMap::parse(text); }); };
  CHECK_CONTAINS(parse("sigmoid:0,1"), "The label map 'sigmoid:0,1' is not understood");
  CHECK_CONTAINS(parse(""), "The label map '' is not understood");
  CHECK_CONTAINS(parse("linear:2,1"), "needs its first number below its second");
  CHECK_CONTAINS(parse("percentiles:1,2"), "needs 101 numbers, got 2");
}
