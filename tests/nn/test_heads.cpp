#include "nn/heads.h"

#include <cmath>

#include "nn/functional.h"
#include "nn/networks.h"
#include "tests/support/test.h"

using namespace aikd;

namespace {

Tensor* tensor_of(const std::vector<nn::NamedTensor>& tensors, const std::string& name) {
  for (const auto& t : tensors) {
    if (t.name == name) return t.tensor;
  }
  FAIL("no tensor ", name);
  return nullptr;
}

}  // namespace

TEST_CASE("heads: the MLP computes linear, exact GELU, linear") {
  nn::MlpHead head(2, 3);
  CHECK(head.parameter_count() == 2 * 3 + 3 + 3 + 1);
  const auto tensors = head.tensors("head.");
  const float w1[] = {1, 2, -1, 0.5F, 0.25F, -3}, b1[] = {0.1F, -0.2F, 0.3F}, w2[] = {2, -1, 0.5F},
              b2[] = {0.7F};
  *tensor_of(tensors, "head.l1.weight") = Tensor::from<float>(w1, {3, 2});
  *tensor_of(tensors, "head.l1.bias") = Tensor::from<float>(b1, {3});
  *tensor_of(tensors, "head.l2.weight") = Tensor::from<float>(w2, {1, 3});
  *tensor_of(tensors, "head.l2.bias") = Tensor::from<float>(b2, {1});
  const float x[] = {0.5F, -1.5F};
  Context context(Device::cpu(), 1);
  nn::EagerOps ops(context);
  const auto y = head.forward(ops, {.tensor = Tensor::from<float>(x, {1, 2})}).tensor;
  double expected = 0.7;
  const double out[] = {2, -1, 0.5};
  for (std::size_t i = 0; i < 3; ++i) {
    const double h = static_cast<double>(w1[2 * i]) * 0.5 - static_cast<double>(w1[2 * i + 1]) * 1.5 +
                     static_cast<double>(b1[i]);
    expected += out[i] * h / 2 * (1 + std::erf(h / std::sqrt(2.0)));
  }
  REQUIRE(y.shape() == Shape{1, 1});
  CHECK(static_cast<double>(y.values<float>()[0]) == doctest::Approx(expected).epsilon(1e-6));
}

TEST_CASE("heads: the linear head computes w x + b") {
  nn::LinearHead head(3);
  const auto tensors = head.tensors();
  const float w[] = {1, -2, 4}, b[] = {0.5F}, x[] = {3, 1, 0.25F};
  *tensor_of(tensors, "weight") = Tensor::from<float>(w, {1, 3});
  *tensor_of(tensors, "bias") = Tensor::from<float>(b, {1});
  Context context(Device::cpu(), 1);
  nn::EagerOps ops(context);
  CHECK(head.forward(ops, {.tensor = Tensor::from<float>(x, {1, 3})}).tensor.values<float>()[0] == 2.5F);
}

TEST_CASE("heads: of AI-KD has the published number of parameters") {
  CHECK(nn::MlpHead().parameter_count() == 526'337);
  CHECK(nn::LinearHead().parameter_count() == 513);
}

TEST_CASE("heads: networks by an unknown name are refused with what is known") {
  CHECK(nn::make_head("none", 512, 0) == nullptr);
  CHECK_THROWS_WITH_AS(nn::make_head("deep", 512, 1),
                       "There is no quality head 'deep'; known are none, linear, mlp.", Error);
  CHECK_THROWS_WITH_AS(nn::make_head("mlp", 512, 0),
                       "An MLP head's hidden size must be between 1 and 65536, got 0.", Error);
  CHECK_THROWS_WITH_AS(
      nn::make_backbone("resnet18", 512, 1e-5F),
      "There is no backbone architecture 'resnet18'; known are iresnet18, iresnet34, iresnet50, "
      "iresnet100, iresnet200, mobilefacenet, mobilefacenet-v2.",
      Error);
}
