#include "nn/mobilefacenet.h"

#include "tests/nn/golden_net.h"

using namespace aikd;
using namespace aikd::test;

TEST_CASE("mobilefacenet: parameter and tensor counts are those of the published files") {
  nn::MobileFaceNet first;
  CHECK(first.parameter_count() == 1'003'136);
  CHECK(first.tensors().size() == 333);
  nn::MobileFaceNetV2 second;
  CHECK(second.parameter_count() == 999'936);
  CHECK(second.tensors().size() == 307);
}

TEST_CASE("mobilefacenet: an impossible embedding size is refused") {
  CHECK_THROWS_WITH_AS(nn::MobileFaceNet(65537),
                       "A MobileFaceNet's embedding size must be between 1 and 65536, got 65537.", Error);
  CHECK_THROWS_WITH_AS(nn::MobileFaceNetV2(-1),
                       "A MobileFaceNet's embedding size must be between 1 and 65536, got -1.", Error);
}

TEST_CASE("mobilefacenet: equals PyTorch eagerly") {
  check_golden_eager("mobilefacenet");
}
TEST_CASE("mobilefacenet: equals PyTorch by plan") {
  check_golden_plan("mobilefacenet");
}
TEST_CASE("mobilefacenet: the one of MobileNetV2 blocks equals PyTorch eagerly") {
  check_golden_eager("mobilefacenet_v2");
}
TEST_CASE("mobilefacenet: the one of MobileNetV2 blocks equals PyTorch by plan") {
  check_golden_plan("mobilefacenet_v2");
}
