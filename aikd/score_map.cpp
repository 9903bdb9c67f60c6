#include "aikd/score_map.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "io/table.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd {
namespace {

constexpr std::size_t kPercentiles = 101;

std::vector<double> parse_values(std::string_view text, std::string_view whole) {
  std::vector<double> values;
  for (;;) {
    const std::size_t comma = text.find(',');
    double value = 0;
    require(io::parse_number(text.substr(0, comma), value) && std::isfinite(value), ErrorKind::kModel,
            "The score mapping ", io::in_quotes(whole), " holds ", io::in_quotes(text.substr(0, comma)),
            " where a finite number is expected.");
    values.push_back(value);
    if (comma == std::string_view::npos) return values;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

ScoreMap ScoreMap::parse(std::string_view text) {
  ScoreMap map;
  if (text.empty() || text == "none") return map;
  const std::size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const bool linear = kind == "linear", sigmoid = kind == "sigmoid", percentiles = kind == "percentiles";
  require(colon != std::string_view::npos && (linear || sigmoid || percentiles), ErrorKind::kModel,
          "The score mapping ", io::in_quotes(text),
          " is not understood; expected linear:lo,hi, sigmoid:x0,w, percentiles:v0,...,v100 or none.");
  map.values_ = parse_values(text.substr(colon + 1), text);
  const std::vector<double>& v = map.values_;
  const std::size_t expected = percentiles ? kPercentiles : 2;
  require(v.size() == expected, ErrorKind::kModel, "The score mapping ", io::in_quotes(text), " needs ",
          expected, " numbers, got ", v.size(), ".");
  if (linear) {
    require(v[0] < v[1], ErrorKind::kModel, "The score mapping ", io::in_quotes(text),
            " needs its first number below its second.");
    map.kind_ = Kind::kLinear;
  } else if (sigmoid) {
    require(v[1] > 0, ErrorKind::kModel, "The score mapping ", io::in_quotes(text),
            " needs a positive width (its second number).");
    map.kind_ = Kind::kSigmoid;
  } else {
    require(std::is_sorted(v.begin(), v.end()), ErrorKind::kModel, "The score mapping ", io::in_quotes(text),
            " needs percentiles that do not decrease.");
    map.kind_ = Kind::kPercentiles;
  }
  return map;
}

double ScoreMap::map(double raw) const noexcept {
  if (std::isnan(raw)) return raw;
  switch (kind_) {
    case Kind::kNone:
      break;
    case Kind::kLinear:
      return std::clamp(100.0 * (raw - values_[0]) / (values_[1] - values_[0]), 0.0, 100.0);
    case Kind::kSigmoid:
      return 100.0 / (1.0 + std::exp(-(raw - values_[0]) / values_[1]));
    case Kind::kPercentiles: {
      if (raw < values_.front()) return 0;
      if (raw >= values_.back()) return 100;
      // values_[i] <= raw < values_[i + 1]: among equal percentiles the highest counts.
      const auto above = std::upper_bound(values_.begin(), values_.end(), raw);
      const double hi = *above, lo = *(above - 1);
      return static_cast<double>(above - values_.begin() - 1) + (raw - lo) / (hi - lo);
    }
  }
  return std::numeric_limits<double>::quiet_NaN();
}

std::string ScoreMap::to_string() const {
  std::string text;
  switch (kind_) {
    case Kind::kNone:
      return "none";
    case Kind::kLinear:
      text = "linear:";
      break;
    case Kind::kSigmoid:
      text = "sigmoid:";
      break;
    case Kind::kPercentiles:
      text = "percentiles:";
      break;
  }
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (i > 0) text += ',';
    text += io::format_number(values_[i]);
  }
  return text;
}

std::string ScoreMap::describe() const {
  if (kind_ != Kind::kPercentiles) return to_string();
  return concat("percentile among reference scores from ", values_.front(), " to ", values_.back());
}

}  // namespace aikd
