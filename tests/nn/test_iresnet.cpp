#include "nn/iresnet.h"

#include "tests/nn/golden_net.h"

using namespace aikd;
using namespace aikd::test;

TEST_CASE("iresnet: parameter counts of the five depths are the published ones") {
  const auto count = [](const char* name) { return nn::make_backbone(name, 512, 1e-5F)->parameter_count(); };
  CHECK(count("iresnet18") == 24'025'600);
  CHECK(count("iresnet34") == 34'139'328);
  CHECK(count("iresnet50") == 43'590'848);
  CHECK(count("iresnet100") == 65'156'160);
  CHECK(count("iresnet200") == 118'833'920);
}

TEST_CASE("iresnet: tensors have the names and the order of PyTorch") {
  nn::IResNet net({3, 13, 30, 3});
  const auto tensors = net.tensors();
  CHECK(tensors.size() == 925);
  CHECK(tensors.front().name == "conv1.weight");
  CHECK(tensors[5].name == "bn1.num_batches_tracked");
  CHECK(tensors[6].name == "prelu.weight");
  CHECK(tensors[7].name == "layer1.0.bn1.weight");
  CHECK(tensors.back().name == "features.num_batches_tracked");
  const auto find = [&](const std::string& name) {
    for (const auto& t : tensors) {
      if (t.name == name) return t;
    }
    FAIL("no tensor ", name);
    return nn::NamedTensor{};
  };
  CHECK(find("layer3.29.conv2.weight").shape == Shape{256, 3, 3, 256});
  CHECK(find("layer2.0.downsample.0.weight").shape == Shape{128, 1, 1, 64});
  CHECK(find("fc.weight").shape == Shape{512, 25088});
  CHECK(find("fc.weight").flattened_channels == 512);
  CHECK(find("features.weight").optional);
  CHECK_FALSE(find("bn2.weight").optional);
}

TEST_CASE("iresnet: an impossible embedding size is refused") {
  CHECK_THROWS_WITH_AS(nn::IResNet({2, 2, 2, 2}, 0),
                       "An iResNet's embedding size must be between 1 and 65536, got 0.", Error);
}

TEST_CASE("iresnet: names and depths belong together") {
  CHECK(nn::iresnet_depths("iresnet34") == nn::IResNet::Depths{3, 4, 6, 3});
  CHECK_FALSE(nn::iresnet_depths("iresnet35").has_value());
  CHECK(nn::iresnet_name({6, 26, 60, 6}) == "iresnet200");
  CHECK_FALSE(nn::iresnet_name({3, 4, 5, 3}).has_value());
}

TEST_CASE("iresnet: iresnet18 with an MLP head equals PyTorch eagerly") {
  check_golden_eager("iresnet18_mlp");
}
TEST_CASE("iresnet: iresnet18 with an MLP head equals PyTorch by plan") {
  check_golden_plan("iresnet18_mlp");
}
TEST_CASE("iresnet: iresnet50 with a linear head equals PyTorch eagerly") {
  check_golden_eager("iresnet50_linear");
}
TEST_CASE("iresnet: iresnet50 with a linear head equals PyTorch by plan") {
  check_golden_plan("iresnet50_linear");
}

TEST_CASE("iresnet: the epsilon of BatchNorm is the one asked for") {
  // A tiny variance makes eps visible: y = (x - mean) / sqrt(var + eps) * weight + bias.
  Context context;
  nn::EagerOps ops(context);
  const auto run = [&](float eps) {
    nn::BatchNorm bn(1, eps);
    std::vector<nn::NamedTensor> tensors;
    bn.collect("", tensors);
    for (const auto& t : tensors) {
      if (t.role == nn::TensorRole::kBnWeight) *t.tensor = Tensor::full({1}, 1.0F);
      if (t.role == nn::TensorRole::kBnBias || t.role == nn::TensorRole::kBnMean)
        *t.tensor = Tensor::zeros({1});
      if (t.role == nn::TensorRole::kBnVar) *t.tensor = Tensor::full({1}, 2e-5F);
    }
    return bn.forward(ops, {.tensor = Tensor::full({1, 1}, 1.0F)}).tensor.values<float>()[0];
  };
  CHECK(run(1e-5F) == doctest::Approx(1.0 / std::sqrt(3e-5)).epsilon(1e-5));
  CHECK(run(2e-5F) == doctest::Approx(1.0 / std::sqrt(4e-5)).epsilon(1e-5));
}
