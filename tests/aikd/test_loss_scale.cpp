#include "aikd/loss_scale.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "tensor/error.h"
#include "tests/support/test.h"

using namespace aikd;

TEST_CASE("loss scale: without options it is 1 whatever happens") {
  LossScale scale;
  for (const bool finite : {true, false, true, true}) scale.update(finite);
  CHECK(scale.value() == 1);
}

TEST_CASE("loss scale: it grows after a row of good steps and shrinks at once, as GradScaler's") {
  LossScale scale(128, 4, 0.5, 3);
  CHECK(scale.value() == 128);
  // What torch.amp.GradScaler(init_scale=128, growth_factor=4, backoff_factor=0.5, growth_interval=3) gives.
  const std::vector<bool> finite{true, true, true, true, true, false, true, true, true, false, false};
  const std::vector<double> expected{128, 128, 512, 512, 512, 256, 256, 256, 1024, 512, 256};
  for (std::size_t i = 0; i < finite.size(); ++i) {
    scale.update(finite[i]);
    CHECK_MESSAGE(scale.value() == expected[i], "after step ", i + 1);
  }
}

TEST_CASE("loss scale: a restored one goes on where the saved one was") {
  LossScale scale(64, 2, 0.25, 3), restored(1, 2, 0.25, 3);
  scale.update(true);
  scale.update(false);
  scale.update(true);
  scale.update(true);  // two of three good steps
  restored.restore(scale.state());
  CHECK(restored.value() == 16);
  CHECK(restored.state() == scale.state());
  scale.update(true);
  restored.update(true);
  CHECK(scale.value() == 32);
  CHECK(restored.value() == 32);
}

TEST_CASE("loss scale: numbers that make no sense are refused") {
  const char* sentence =
      "A loss scale must begin above 0, grow by more than 1, shrink by a factor between 0 and 1, and grow "
      "after 1 step or more; got 0, 2, 0.5 and 1.";
  CHECK_THROWS_WITH_AS(LossScale(0, 2, 0.5, 1), sentence, Error);
  CHECK_THROWS_AS(LossScale(128, 1, 0.5, 1), Error);
  CHECK_THROWS_AS(LossScale(128, 2, 1, 1), Error);
  CHECK_THROWS_AS(LossScale(128, 2, 0, 1), Error);
  CHECK_THROWS_AS(LossScale(128, 2, 0.5, 0), Error);
}

TEST_CASE("loss scale: a state that is none changes nothing") {
  LossScale scale(64, 2, 0.5, 3);
  const char* other = "The checkpoint does not hold a loss scale as this version writes it.";
  CHECK_THROWS_WITH_AS(scale.restore({{"scale", 8}}), other, Error);
  CHECK_THROWS_WITH_AS(scale.restore({{"scale", "8"}, {"good_steps", 1}}), other, Error);
  CHECK_THROWS_WITH_AS(scale.restore(nullptr), other, Error);
  CHECK_THROWS_WITH_AS(scale.restore({{"scale", 0}, {"good_steps", 1}}),
                       "The checkpoint's loss scale must be above 0, got 0.", Error);
  CHECK(scale.value() == 64);
}
