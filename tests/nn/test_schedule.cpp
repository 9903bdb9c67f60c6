#include "nn/schedule.h"

#include <cmath>
#include <limits>

#include "tensor/error.h"
#include "tests/support/test.h"

using namespace aikd;
using namespace aikd::nn;

namespace {

constexpr double kPi = 3.14159265358979323846;

bool near(double got, double expected) {
  return std::abs(got - expected) <= 1e-15;  // false for NaN
}

}  // namespace

TEST_CASE("the published warm-up: a quarter of a sine from 0") {
  // utils.py, base_lambdalr(step, warmup_end = 8), in Python: math.sin((step / 8) * (math.pi / 2.))
  const double expected[] = {0.0,
                             0.19509032201612825,
                             0.3826834323650898,
                             0.5555702330196022,
                             0.7071067811865475,
                             0.8314696123025452,
                             0.9238795325112867,
                             0.9807852804032304,
                             1.0,
                             1.0};
  const ScheduleOptions options{.warm_up = WarmUp::kSine, .warm_up_steps = 8, .from_zero = true};
  for (std::int64_t step = 0; step < 10; ++step) {
    CAPTURE(step);
    CHECK(near(learning_rate_factor(options, step), expected[step]));
  }
  CHECK(learning_rate_factor(options, 0) == 0);
  CHECK(learning_rate_factor(options, 8) == 1);
}

TEST_CASE("without from_zero the warm-up is one step earlier") {
  for (const WarmUp shape : {WarmUp::kSine, WarmUp::kLinear}) {
    ScheduleOptions zero{.warm_up = shape, .warm_up_steps = 8, .from_zero = true}, above = zero;
    above.from_zero = false;
    for (std::int64_t step = 0; step < 12; ++step)
      CHECK(near(learning_rate_factor(above, step), learning_rate_factor(zero, step + 1)));
    CHECK(learning_rate_factor(above, 0) > 0);
    CHECK(learning_rate_factor(above, 6) < 1);
    CHECK(learning_rate_factor(above, 7) == 1);
  }
  CHECK(near(learning_rate_factor({.warm_up = WarmUp::kLinear, .warm_up_steps = 8}, 2), 0.375));
}

TEST_CASE("no warm-up is the full rate at once") {
  CHECK(learning_rate_factor({.warm_up = WarmUp::kNone, .warm_up_steps = 8}, 0) == 1);
  CHECK(learning_rate_factor({.warm_up = WarmUp::kSine, .warm_up_steps = 0, .from_zero = true}, 0) == 1);
  CHECK(learning_rate_factor({.warm_up = WarmUp::kSine, .warm_up_steps = 1}, 0) == 1);
  CHECK(learning_rate_factor({}, std::numeric_limits<std::int64_t>::max()) == 1);
}

TEST_CASE("the cosine goes from 1 behind the warm-up to the end factor") {
  const ScheduleOptions options{
      .warm_up = WarmUp::kSine, .warm_up_steps = 10, .decay = Decay::kCosine, .total_steps = 110, .end = 0.1};
  CHECK(learning_rate_factor(options, 9) == 1);
  CHECK(learning_rate_factor(options, 10) == 1);
  CHECK(near(learning_rate_factor(options, 35), 0.1 + 0.9 * (1 + std::cos(kPi / 4)) / 2));
  CHECK(near(learning_rate_factor(options, 60), 0.55));
  CHECK(learning_rate_factor(options, 109) > 0.1);
  CHECK(near(learning_rate_factor(options, 110), 0.1));
  CHECK(near(learning_rate_factor(options, 1000), 0.1));
  for (std::int64_t step = 10; step < 110; ++step)
    CHECK(learning_rate_factor(options, step + 1) < learning_rate_factor(options, step));
  // Without a warm-up its length does not count.
  ScheduleOptions none = options;
  none.warm_up = WarmUp::kNone;
  CHECK(near(learning_rate_factor(none, 55), 0.55));
}

TEST_CASE("schedules out of range are refused with a sentence") {
  const auto sentence = [](const ScheduleOptions& options) -> std::string {
    try {
      check_schedule(options);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kUsage);
      return error.what();
    }
    return "";
  };
  CHECK(sentence({.warm_up_steps = -1}) == "The warm-up of a learning rate takes 0 steps or more; got -1.");
  CHECK(sentence({.warm_up_steps = 5, .decay = Decay::kCosine, .total_steps = 5}) ==
        "A cosine schedule of 5 steps has none left behind a warm-up of 5.");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double end : {-0.1, 1.1, nan})
    CHECK(sentence({.decay = Decay::kCosine, .total_steps = 5, .end = end}).find("between 0 and 1; got ") !=
          std::string::npos);
  CHECK(sentence({.warm_up = WarmUp::kNone, .warm_up_steps = 5, .decay = Decay::kCosine, .total_steps = 5})
            .empty());
  CHECK(sentence({}).empty());
}
