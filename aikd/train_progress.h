// What a run counts besides the model: means between rows of the log, the watch on divergence, the best
// validation. All of it is state of a checkpoint, so that a resumed run writes the same rows.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "aikd/train_step.h"

namespace aikd {

class TrainProgress {
 public:
  void add(const StepResult& step);
  // Means since the last call, into a row of metrics.jsonl ("loss", "quality_loss", "cosine_loss",
  // "grad_norm", "skipped"), and the watch on divergence. Returns why the run must end, or "".
  std::string close_interval(nlohmann::ordered_json& row, double divergence_limit);
  // Whether `value` (less is better; NaN never is) is the best so far.
  bool is_best(double value, std::int64_t step);

  std::int64_t best_step() const noexcept { return best_step_; }
  double best_value() const noexcept { return best_value_; }

  nlohmann::ordered_json state() const;
  void restore(const nlohmann::ordered_json& state);  // Error(kModel)

 private:
  // In the interval; skipped ones are in no mean, and of `lost_` ones the loss itself was no number.
  std::int64_t steps_ = 0, skipped_ = 0, lost_ = 0;
  double loss_ = 0, quality_ = 0, cosine_ = 0, norm_ = 0;
  double first_loss_ = std::numeric_limits<double>::quiet_NaN();  // of the first interval
  std::int64_t best_step_ = -1;
  double best_value_ = std::numeric_limits<double>::infinity();
};

}  // namespace aikd
