// Quality labels of any scale brought to [0, 1] for training, and back. The map is stored in a model's
// metadata as text, in the vocabulary of aikd/score_map.h, whose 0..100 is 100 times this 0..1:
//   none                    y = x
//   linear:lo,hi            y = (x - lo) / (hi - lo), clamped to [0, 1]
//   percentiles:v0,...,v100 y = the share of reference labels up to x, linear between the percentiles given
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aikd/score_map.h"

namespace aikd {

class LabelMap {
 public:
  LabelMap() = default;  // none
  // From finite labels: "minmax" (linear between the least and the greatest; DifFIQA(R), eDifFIQA),
  // "quantile" (percentiles, type 7 of Hyndman and Fan as numpy's) or "none". Error(kUsage) for another name,
  // for no labels, and for labels that are all equal, which leave nothing to learn (whatever the map).
  static LabelMap fit(std::string_view kind, std::span<const double> labels);
  // What to_string() wrote. Error(kModel) with a sentence.
  static LabelMap parse(std::string_view text);

  double map(double label) const noexcept;  // NaN gives NaN
  // The label that is mapped to y; y outside [0, 1] gives the nearest end (none: y itself). Among equal
  // percentiles map() takes the highest, so map(inverse(y)) >= y there.
  double inverse(double y) const noexcept;
  std::string to_string() const { return kind_ == Kind::kNone ? "none" : score_map_.to_string(); }

 private:
  enum class Kind { kNone, kLinear, kPercentiles };
  Kind kind_ = Kind::kNone;
  std::vector<double> values_;
  ScoreMap score_map_;
};

}  // namespace aikd
