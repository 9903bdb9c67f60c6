// The mapping of a raw score to 0..100, stored in the model file's metadata under "aikd.score_map":
//   linear:lo,hi            100 (x - lo) / (hi - lo), clamped to 0..100
//   sigmoid:x0,w            100 / (1 + exp(-(x - x0) / w))
//   percentiles:v0,...,v100 the percentile of x among reference scores, linear between the 101 given
//   non-decreasing values
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace aikd {

class ScoreMap {
 public:
  ScoreMap() = default;  // no mapping: map() gives NaN
  static ScoreMap parse(
      std::string_view text);  // Error(kModel) with a sentence; "" and "none" give no mapping
  bool defined() const noexcept { return kind_ != Kind::kNone; }
  double map(double raw) const noexcept;
  std::string to_string() const;  // what parse() reads
  std::string describe() const;   // for people: the 101 percentiles are told by their range

 private:
  enum class Kind { kNone, kLinear, kSigmoid, kPercentiles };
  Kind kind_ = Kind::kNone;
  std::vector<double> values_;
};

}  // namespace aikd
