#include "aikd/score_map.h"

#include <cmath>
#include <limits>

#include "tensor/error.h"
#include "tests/support/test.h"

using aikd::Error;
using aikd::ErrorKind;
using aikd::ScoreMap;

namespace {

std::string percentiles(double step) {
  std::string text = "percentiles:";
  for (int i = 0; i <= 100; ++i) text += aikd::concat(i > 0 ? "," : "", i * step);
  return text;
}

}  // namespace

TEST_CASE("linear score mapping") {
  const ScoreMap map = ScoreMap::parse("linear:-1,3");
  CHECK(map.map(-1) == 0);
  CHECK(map.map(0) == 25);
  CHECK(map.map(3) == 100);
  CHECK(map.map(-2) == 0);
  CHECK(map.map(1e30) == 100);
  CHECK(std::isnan(map.map(std::nan(""))));
}

TEST_CASE("sigmoid score mapping") {
  const ScoreMap map = ScoreMap::parse("sigmoid:23,2.6");
  CHECK(map.map(23) == 50);
  CHECK(!(std::abs(map.map(25.6) - 73.10585786300049) > 1e-12));
  CHECK(map.map(std::numeric_limits<double>::infinity()) == 100);
  CHECK(map.map(-std::numeric_limits<double>::infinity()) == 0);
}

TEST_CASE("score mappings are told to people in short") {
  CHECK(ScoreMap::parse("linear:0,1").describe() == "linear:0,1");
  CHECK(ScoreMap::parse("none").describe() == "none");
  CHECK(ScoreMap::parse(percentiles(2)).describe() == "percentile among reference scores from 0 to 200");
}

TEST_CASE("percentile score mapping") {
  const ScoreMap map = ScoreMap::parse(percentiles(2));
  CHECK(map.map(-1) == 0);
  CHECK(map.map(0) == 0);
  CHECK(map.map(3) == 1.5);
  CHECK(map.map(200) == 100);
  // Among equal percentiles the highest counts.
  std::string ties = "percentiles:0";
  for (int i = 1; i < 100; ++i) ties += ",5";
  const ScoreMap tied = ScoreMap::parse(ties + ",9");
  CHECK(tied.map(5) == 99);
  CHECK(tied.map(2.5) == 0.5);
  CHECK(tied.map(7) == 99.5);
}

TEST_CASE("no score mapping gives NaN") {
  for (const char* text : {"", "none"}) {
    const ScoreMap map = ScoreMap::parse(text);
    CHECK_FALSE(map.defined());
    CHECK(std::isnan(map.map(1)));
    CHECK(map.to_string() == "none");
  }
  CHECK(ScoreMap::parse("linear:0,1").defined());
}

TEST_CASE("score mappings are written as they are read") {
  for (const std::string& text : {std::string("linear:-0.1,3"), std::string("sigmoid:23,2.6"),
                                  ScoreMap::parse(percentiles(0.37)).to_string()}) {
    CHECK(ScoreMap::parse(text).to_string() == text);
  }
}

TEST_CASE("each wrong score mapping has its own sentence") {
  const std::pair<std::string, const char*> cases[] = {
      {"cubic:1,2", "is not understood"},
      {"linear", "is not understood"},
      {"linear:1", "needs 2 numbers, got 1"},
      {"linear:1,2,3", "needs 2 numbers, got 3"},
      {"linear:a,2", "holds 'a' where a finite number"},
      {"linear:1,", "holds '' where a finite number"},
      {"linear:inf,2", "holds 'inf' where a finite number"},
      {"linear:2,1", "first number below its second"},
      {"linear:1,1", "first number below its second"},
      {"sigmoid:1,0", "positive width"},
      {"sigmoid:1,-2", "positive width"},
      {"percentiles:1,2,3", "needs 101 numbers, got 3"},
      {percentiles(-1), "do not decrease"},
  };
  for (const auto& [text, message] : cases) {
    CAPTURE(text);
    try {
      ScoreMap::parse(text);
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kModel);
      CHECK_MESSAGE(std::string(error.what()).find(message) != std::string::npos, error.what());
    }
  }
}
