#include "aikd/train_progress.h"

#include <cmath>

#include "io/table.h"
#include "tensor/error.h"

namespace aikd {
namespace {

// JSON has no infinity and no NaN: they are written as text.
nlohmann::ordered_json number(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

double number_of(const nlohmann::ordered_json& value) {
  if (value.is_number()) return value.get<double>();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (value == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (value == "inf") return kInfinity;
  if (value == "-inf") return -kInfinity;
  fail(ErrorKind::kModel,
       "The checkpoint holds something else where a number of the run's progress is expected.");
}

}  // namespace

void TrainProgress::add(const StepResult& step) {
  if (step.skipped) {
    ++skipped_;
    if (!std::isfinite(step.loss)) ++lost_;
    return;
  }
  ++steps_;
  loss_ += step.loss;
  quality_ += step.quality_loss;
  cosine_ += step.cosine_loss;
  norm_ += step.gradient_norm;
}

std::string TrainProgress::close_interval(nlohmann::ordered_json& row, double divergence_limit) {
  const auto n = static_cast<double>(steps_);  // 0: the means are NaN
  const double loss = loss_ / n;
  row["loss"] = loss;
  row["quality_loss"] = quality_ / n;
  row["cosine_loss"] = cosine_ / n;
  row["grad_norm"] = norm_ / n;
  row["skipped"] = skipped_;
  const std::int64_t skipped = skipped_, lost = lost_;
  steps_ = skipped_ = lost_ = 0;
  loss_ = quality_ = cosine_ = norm_ = 0;
  if (n == 0)
    return concat("No step since the last row of the log had finite gradients (", skipped, " were skipped).");
  // A batch now and then may overflow in half precision; here it is the weights.
  if (2 * lost > skipped + static_cast<std::int64_t>(n))
    return concat("The loss was no number in ", lost, " of the last ", skipped + static_cast<std::int64_t>(n),
                  " steps.");
  if (!std::isfinite(loss)) return concat("The loss is no number any more (", io::format_number(loss), ").");
  if (std::isnan(first_loss_)) first_loss_ = loss;
  if (divergence_limit > 0 && loss > divergence_limit * first_loss_)
    return concat("The loss rose to ", io::format_number(static_cast<float>(loss)), ", more than ",
                  io::format_number(divergence_limit), " times the ",
                  io::format_number(static_cast<float>(first_loss_)),
                  " of the first steps (divergence-limit).");
  return "";
}

bool TrainProgress::is_best(double value, std::int64_t step) {
  if (!(value < best_value_)) return false;
  best_value_ = value;
  best_step_ = step;
  return true;
}

nlohmann::ordered_json TrainProgress::state() const {
  return {{"steps", steps_},
          {"skipped", skipped_},
          {"lost", lost_},
          {"loss", number(loss_)},
          {"quality", number(quality_)},
          {"cosine", number(cosine_)},
          {"norm", number(norm_)},
          {"first_loss", number(first_loss_)},
          {"best_step", best_step_},
          {"best_value", number(best_value_)}};
}

void TrainProgress::restore(const nlohmann::ordered_json& state) {
  try {
    steps_ = state.at("steps").get<std::int64_t>();
    skipped_ = state.at("skipped").get<std::int64_t>();
    lost_ = state.value("lost", std::int64_t{0});
    loss_ = number_of(state.at("loss"));
    quality_ = number_of(state.at("quality"));
    cosine_ = number_of(state.at("cosine"));
    norm_ = number_of(state.at("norm"));
    first_loss_ = number_of(state.at("first_loss"));
    best_step_ = state.at("best_step").get<std::int64_t>();
    best_value_ = number_of(state.at("best_value"));
  } catch (const nlohmann::json::exception&) {
    fail(ErrorKind::kModel, "The checkpoint does not hold a run's progress as this version writes it.");
  }
}

}  // namespace aikd
