// What a run counts: means, ends, the best, and all of it as state of a checkpoint.
#include "aikd/train_progress.h"

#include <cmath>
#include <limits>

#include "tests/aikd/model_fixtures.h"

using namespace aikd;
using aikd::test::contains;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN(),
                 kInf = std::numeric_limits<double>::infinity();

StepResult step_of(double loss, bool skipped = false) {
  StepResult step;
  step.loss = loss;
  step.quality_loss = loss / 4;
  step.cosine_loss = loss / 2;
  step.gradient_norm = 3 * loss;
  step.skipped = skipped;
  return step;
}

// Of a fresh one, what `before` would do next.
TrainProgress round_trip(const TrainProgress& before) {
  TrainProgress after;
  after.restore(nlohmann::ordered_json::parse(before.state().dump()));
  CHECK(after.state().dump() == before.state().dump());
  return after;
}

}  // namespace

TEST_CASE("progress: means of an interval, steps without gradients in none") {
  TrainProgress progress;
  for (const double loss : {1.0, 2.0, 6.0}) progress.add(step_of(loss));
  progress.add(step_of(1e9, true));
  nlohmann::ordered_json row;
  CHECK(progress.close_interval(row, 10).empty());
  CHECK(row["loss"] == 3);
  CHECK(row["quality_loss"] == 0.75);
  CHECK(row["cosine_loss"] == 1.5);
  CHECK(row["grad_norm"] == 9);
  CHECK(row["skipped"] == 1);
  progress.add(step_of(2));  // a new interval
  CHECK(progress.close_interval(row, 10).empty());
  CHECK(row["loss"] == 2);
  CHECK(row["skipped"] == 0);
  CHECK(contains(progress.close_interval(row, 10),
                 "No step since the last row of the log had finite gradients (0 were"));
  CHECK(std::isnan(row["loss"].get<double>()));
}

TEST_CASE("progress: what ends a run") {
  nlohmann::ordered_json row;
  const auto after = [&row](std::vector<StepResult> first, std::vector<StepResult> second, double limit) {
    TrainProgress progress;
    for (const StepResult& step : first) progress.add(step);
    std::string why = progress.close_interval(row, limit);
    if (!why.empty()) return "at once: " + why;
    for (const StepResult& step : second) progress.add(step);
    return progress.close_interval(row, limit);
  };
  CHECK(after({step_of(1)}, {step_of(10)}, 10).empty());  // not more than
  CHECK(after({step_of(1)}, {step_of(10.5)}, 10) ==
        "The loss rose to 10.5, more than 10 times the 1 of the first steps (divergence-limit).");
  CHECK(after({step_of(1)}, {step_of(1e30)}, 0).empty());
  CHECK(after({step_of(kNaN)}, {}, 0) == "at once: The loss is no number any more (nan).");
  CHECK(contains(after({step_of(1)}, {step_of(kInf)}, 0), "The loss is no number any more"));
  CHECK(contains(after({step_of(1)}, {step_of(1, true), step_of(2, true)}, 10), "(2 were skipped)"));
  // Overflow of gradients now and then is what the loss scale is for; a loss that is no number is not.
  CHECK(after({step_of(1)}, {step_of(1, true), step_of(2, true), step_of(1)}, 10).empty());
  CHECK(after({step_of(1)}, {step_of(kInf, true), step_of(1)}, 10).empty());
  CHECK(after({step_of(1)}, {step_of(kInf, true), step_of(kNaN, true), step_of(1)}, 10) ==
        "The loss was no number in 2 of the last 3 steps.");
}

TEST_CASE("progress: the best is the least, and no number never is") {
  TrainProgress progress;
  CHECK(progress.best_step() == -1);
  CHECK_FALSE(progress.is_best(kNaN, 0));
  CHECK_FALSE(progress.is_best(kInf, 1));
  CHECK(progress.is_best(2, 2));
  CHECK_FALSE(progress.is_best(2, 3));  // the first of equals
  CHECK_FALSE(progress.is_best(kNaN, 4));
  CHECK(progress.is_best(-1, 5));
  CHECK(progress.best_step() == 5);
  CHECK(progress.best_value() == -1);
}

TEST_CASE("progress: its state is restored at any moment, also where it is no number") {
  TrainProgress progress;
  nlohmann::ordered_json row, other;
  round_trip(progress);
  const auto both = [&](double limit) {
    TrainProgress copy = round_trip(progress);
    const std::string why = progress.close_interval(row, limit);
    CHECK(copy.close_interval(other, limit) == why);
    CHECK(row.dump() == other.dump());
    CHECK(copy.state().dump() == progress.state().dump());
    return why;
  };
  progress.add(step_of(0.1));
  progress.add(step_of(1.0 / 3));  // 17 digits
  progress.add(step_of(5, true));
  CHECK(both(10).empty());
  CHECK(progress.is_best(1.0 / 7, 12));
  CHECK(round_trip(progress).best_value() == 1.0 / 7);
  CHECK(round_trip(progress).best_step() == 12);
  progress.add(step_of(kInf, true));
  progress.add(step_of(kNaN, true));
  progress.add(step_of(1));
  CHECK(contains(both(10), "The loss was no number in 2 of the last 3 steps."));
  progress.add(step_of(kInf));
  CHECK(contains(both(10), "no number any more"));
  progress.add(step_of(-kInf));
  progress.add(step_of(kNaN));
  CHECK_FALSE(both(10).empty());
  progress.add(step_of(50));  // against the first interval's mean
  CHECK(contains(both(10), "The loss rose to 50, more than 10 times the 0.21666667"));

  const auto good = progress.state();
  for (const auto& [name, value] : good.items()) {
    CAPTURE(name);
    auto state = good;
    state[name] = "x";
    CHECK_THROWS_AS(TrainProgress().restore(state), Error);
    if (name == "lost") continue;  // checkpoints written before it lack it
    state = good;
    state.erase(name);
    CHECK_THROWS_AS(TrainProgress().restore(state), Error);
  }
  CHECK_THROWS_AS(TrainProgress().restore(nlohmann::ordered_json::array()), Error);
}
