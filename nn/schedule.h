// Learning rates over time, as a factor of each group's own rate. Pure functions of the number of steps
// taken: a resumed run needs no state, and a step that was skipped (overflow in fp16) is simply not counted.
#pragma once

#include <cstdint>

namespace aikd::nn {

enum class WarmUp {
  kNone,
  kLinear,  // u
  kSine,    // sin(pi/2 u): AI-KD's (utils.py, base_lambdalr); flat where it meets the full rate
};
enum class Decay {
  kConstant,
  kCosine,  // end + (1 - end) (1 + cos(pi v)) / 2, v from 0 at the end of the warm-up to 1 at total_steps
};

struct ScheduleOptions {
  WarmUp warm_up = WarmUp::kSine;
  std::int64_t warm_up_steps = 0;  // W >= 0; 0: the full rate at once
  // true:  u = step / W, the published one: the first step has rate 0 and moves nothing but the statistics
  //        of BatchNorm; a run of few steps loses it (method 3.2, item 11).
  // false: u = (step + 1) / W: every step counts, and step W - 1 is the first with the full rate.
  bool from_zero = false;
  Decay decay = Decay::kConstant;
  std::int64_t total_steps = 0;  // kCosine: more than warm_up_steps
  double end = 0;                // kCosine: the factor at total_steps, in [0, 1]
};

// Throws Error(kUsage) for options outside their ranges.
void check_schedule(const ScheduleOptions& options);

// In [0, 1], for the step that follows `step` >= 0 steps taken. Checked options only.
double learning_rate_factor(const ScheduleOptions& options, std::int64_t step) noexcept;

}  // namespace aikd::nn
