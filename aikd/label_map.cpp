#include "aikd/label_map.h"

#include <algorithm>
#include <cmath>

#include "io/table.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd {
namespace {

// p in 0..100 of ascending `sorted`, at the position p / 100 (n - 1), linear between the two nearest.
double percentile_of(std::span<const double> sorted, int p) {
  const double position = p / 100.0 * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  if (below + 1 >= sorted.size()) return sorted.back();
  const double part = position - static_cast<double>(below);
  // Never below sorted[below] nor above its successor, so that the percentiles do not decrease.
  return std::clamp(sorted[below] + part * (sorted[below + 1] - sorted[below]), sorted[below],
                    sorted[below + 1]);
}

std::vector<double> numbers_of(std::string_view text) {
  std::vector<double> values;
  text.remove_prefix(text.find(':') + 1);
  for (;;) {
    const std::size_t comma = text.find(',');
    double value = 0;
    io::parse_number(text.substr(0, comma), value);  // ScoreMap has checked it
    values.push_back(value);
    if (comma == std::string_view::npos) return values;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

LabelMap LabelMap::fit(std::string_view kind, std::span<const double> labels) {
  require(kind == "minmax" || kind == "quantile" || kind == "none", ErrorKind::kUsage, "The label map ",
          io::in_quotes(kind), " is not known; expected minmax, quantile or none.");
  require(!labels.empty(), ErrorKind::kUsage, "There are no labels to fit the map '", kind, "' to.");
  std::vector<double> sorted(labels.begin(), labels.end());
  for (const double label : sorted)
    require(std::isfinite(label), ErrorKind::kUsage, "A label is ", io::format_number(label),
            ", not a finite number; no label map can be fitted.");
  std::sort(sorted.begin(), sorted.end());
  require(sorted.front() < sorted.back(), ErrorKind::kUsage, "All ", sorted.size(), " labels are equal (",
          io::format_number(sorted.front()), "); there is nothing to learn from them.");
  if (kind == "none") return {};
  std::string text = kind == "minmax" ? "linear:" : "percentiles:";
  for (int p = 0; p <= 100; p += kind == "minmax" ? 100 : 1)
    text += (p == 0 ? "" : ",") + io::format_number(percentile_of(sorted, p));
  return parse(text);
}

LabelMap LabelMap::parse(std::string_view text) {
  LabelMap map;
  if (text == "none") return map;
  require(text.starts_with("linear:") || text.starts_with("percentiles:"), ErrorKind::kModel,
          "The label map ", io::in_quotes(text),
          " is not understood; expected linear:lo,hi, percentiles:v0,...,v100 or none.");
  map.score_map_ = ScoreMap::parse(text);
  map.values_ = numbers_of(text);
  map.kind_ = text.starts_with("linear:") ? Kind::kLinear : Kind::kPercentiles;
  return map;
}

double LabelMap::map(double label) const noexcept {
  if (std::isnan(label) || kind_ == Kind::kNone) return label;
  if (kind_ == Kind::kPercentiles) return score_map_.map(label) / 100.0;
  return std::clamp((label - values_[0]) / (values_[1] - values_[0]), 0.0, 1.0);
}

double LabelMap::inverse(double y) const noexcept {
  if (std::isnan(y) || kind_ == Kind::kNone) return y;
  y = std::clamp(y, 0.0, 1.0);
  if (kind_ == Kind::kLinear) return y == 1.0 ? values_[1] : values_[0] + y * (values_[1] - values_[0]);
  const double position = y * 100.0;
  const auto below = static_cast<std::size_t>(position);
  if (below >= 100) return values_.back();
  const double part = position - static_cast<double>(below);
  return values_[below] + part * (values_[below + 1] - values_[below]);
}

}  // namespace aikd
