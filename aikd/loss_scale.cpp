#include "aikd/loss_scale.h"

#include <nlohmann/json.hpp>

#include "tensor/error.h"

namespace aikd {

LossScale::LossScale(double initial, double growth, double backoff, std::int64_t interval)
    : dynamic_(true), scale_(initial), growth_(growth), backoff_(backoff), interval_(interval) {
  require(
      initial > 0 && growth > 1 && backoff > 0 && backoff < 1 && interval >= 1, ErrorKind::kUsage,
      "A loss scale must begin above 0, grow by more than 1, shrink by a factor between 0 and 1, and grow "
      "after 1 step or more; got ",
      initial, ", ", growth, ", ", backoff, " and ", interval, ".");
}

void LossScale::update(bool finite) noexcept {
  if (!dynamic_) return;
  if (!finite) {
    scale_ *= backoff_;
    good_steps_ = 0;
  } else if (++good_steps_ == interval_) {
    scale_ *= growth_;
    good_steps_ = 0;
  }
}

nlohmann::ordered_json LossScale::state() const {
  return {{"scale", scale_}, {"good_steps", good_steps_}};
}

void LossScale::restore(const nlohmann::ordered_json& state) {
  try {
    const auto scale = state.at("scale").get<double>();
    require(scale > 0, ErrorKind::kModel, "The checkpoint's loss scale must be above 0, got ", scale, ".");
    good_steps_ = state.at("good_steps").get<std::int64_t>();
    scale_ = scale;
  } catch (const nlohmann::json::exception&) {
    fail(ErrorKind::kModel, "The checkpoint does not hold a loss scale as this version writes it.");
  }
}

}  // namespace aikd
