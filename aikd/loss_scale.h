// The loss scale of training in fp16: the loss is multiplied by it, so that small gradients do not vanish,
// and the optimiser divides by it. As torch.amp.GradScaler: a step with a gradient that is not finite is
// skipped and the scale multiplied by `backoff`; after `interval` steps in a row that were not skipped it is
// multiplied by `growth`.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

namespace aikd {

class LossScale {
 public:
  LossScale() = default;  // 1, for ever: fp32 and bf16
  // initial > 0, growth > 1, 0 < backoff < 1, interval >= 1. Error(kUsage).
  LossScale(double initial, double growth, double backoff, std::int64_t interval);

  double value() const noexcept { return scale_; }
  void update(bool finite) noexcept;

  nlohmann::ordered_json state() const;
  void restore(const nlohmann::ordered_json& state);  // Error(kModel)

 private:
  bool dynamic_ = false;
  double scale_ = 1, growth_ = 2, backoff_ = 0.5;
  std::int64_t interval_ = 1, good_steps_ = 0;
};

}  // namespace aikd
