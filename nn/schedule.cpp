#include "nn/schedule.h"

#include <cmath>
#include <numbers>

#include "tensor/error.h"

namespace aikd::nn {

void check_schedule(const ScheduleOptions& o) {
  require(o.warm_up_steps >= 0, ErrorKind::kUsage,
          "The warm-up of a learning rate takes 0 steps or more; got ", o.warm_up_steps, ".");
  if (o.decay != Decay::kCosine) return;
  const std::int64_t warm_up = o.warm_up == WarmUp::kNone ? 0 : o.warm_up_steps;
  require(o.total_steps > warm_up, ErrorKind::kUsage, "A cosine schedule of ", o.total_steps,
          " steps has none left behind a warm-up of ", warm_up, ".");
  require(o.end >= 0 && o.end <= 1, ErrorKind::kUsage,
          "A cosine schedule ends at a factor between 0 and 1; got ", o.end, ".");
}

double learning_rate_factor(const ScheduleOptions& o, std::int64_t step) noexcept {
  const std::int64_t warm_up = o.warm_up == WarmUp::kNone ? 0 : o.warm_up_steps;
  if (step < warm_up) {
    const double u = static_cast<double>(o.from_zero ? step : step + 1) / static_cast<double>(warm_up);
    return o.warm_up == WarmUp::kLinear ? u : std::sin(u * (std::numbers::pi / 2));
  }
  if (o.decay == Decay::kConstant) return 1;
  if (step >= o.total_steps) return o.end;
  const double v = static_cast<double>(step - warm_up) / static_cast<double>(o.total_steps - warm_up);
  return o.end + (1 - o.end) * (1 + std::cos(std::numbers::pi * v)) / 2;
}

}  // namespace aikd::nn
