#include "nn/module.h"

#include <cmath>
#include <cstring>
#include <set>

#include "nn/initialise.h"
#include "nn/layout.h"
#include "nn/networks.h"
#include "tensor/random.h"
#include "tests/support/test.h"

using namespace aikd;

namespace {

Tensor counting(const Shape& shape) {
  Tensor t = Tensor::empty(shape);
  float next = 0;
  for (float& v : t.mutable_values<float>()) v = next++;
  return t;
}

}  // namespace

TEST_CASE("module: every network names each tensor once and prefixes all") {
  for (const std::string& name : nn::backbone_names()) {
    const auto net = nn::make_backbone(name, 64, 1e-5F);
    const auto tensors = net->tensors("backbone.");
    std::set<std::string> names;
    std::set<Tensor*> places;
    for (const auto& t : tensors) {
      CHECK_MESSAGE(names.insert(t.name).second, t.name);
      CHECK_MESSAGE(places.insert(t.tensor).second, t.name);
      CHECK(t.name.starts_with("backbone."));
      CHECK_FALSE(t.tensor->defined());
    }
  }
}

TEST_CASE("module: layouts of convolution filters are permuted as documented") {
  Tensor place;
  const nn::NamedTensor spec{
      .name = "conv", .tensor = &place, .shape = {2, 3, 5, 4}, .role = nn::TensorRole::kConvWeight};
  CHECK(nn::torch_shape(spec) == Shape{2, 4, 3, 5});
  const Tensor torch = counting({2, 4, 3, 5});
  const Tensor ours = nn::from_torch_layout(torch, spec);
  REQUIRE(ours.shape() == Shape{2, 3, 5, 4});
  for (std::size_t k = 0; k < 2; ++k) {
    for (std::size_t r = 0; r < 3; ++r) {
      for (std::size_t s = 0; s < 5; ++s) {
        for (std::size_t c = 0; c < 4; ++c) {
          CHECK(ours.values<float>()[((k * 3 + r) * 5 + s) * 4 + c] ==
                torch.values<float>()[((k * 4 + c) * 3 + r) * 5 + s]);
        }
      }
    }
  }
}

TEST_CASE("module: layouts of depthwise filters and of a flattened image are permuted as documented") {
  Tensor place;
  const nn::NamedTensor depthwise{
      .name = "dw", .tensor = &place, .shape = {3, 3, 16}, .role = nn::TensorRole::kDepthwiseWeight};
  CHECK(nn::torch_shape(depthwise) == Shape{16, 1, 3, 3});
  const Tensor filters = nn::from_torch_layout(counting({16, 1, 3, 3}), depthwise);
  CHECK(filters.values<float>()[(1 * 3 + 2) * 16 + 5] == 5.0F * 9 + 1 * 3 + 2);

  const nn::NamedTensor fc{.name = "fc",
                           .tensor = &place,
                           .shape = {2, 49 * 8},
                           .role = nn::TensorRole::kLinearWeight,
                           .flattened_channels = 8};
  const Tensor columns = nn::from_torch_layout(counting({2, 49 * 8}), fc);
  // Output 1, pixel 10, channel 3: PyTorch's column is 3 * 49 + 10.
  CHECK(columns.values<float>()[392 + 10 * 8 + 3] == 392.0F + 3 * 49 + 10);
}

TEST_CASE("module: going to the layout of PyTorch and back gives the same bits for every element type") {
  Tensor place;
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64}) {
    for (const nn::NamedTensor& spec :
         {nn::NamedTensor{
              .name = "c", .tensor = &place, .shape = {5, 3, 3, 7}, .role = nn::TensorRole::kConvWeight},
          nn::NamedTensor{
              .name = "d", .tensor = &place, .shape = {7, 7, 5}, .role = nn::TensorRole::kDepthwiseWeight},
          nn::NamedTensor{.name = "f",
          .tensor = &place,
          .shape = {3, 20},
          .role = nn::TensorRole::kLinearWeight,
          .flattened_channels = 5},
          nn::NamedTensor{.name = "b", .tensor = &place, .shape = {9}, .role = nn::TensorRole::kBias}}) {
      const Tensor ours = counting(spec.shape).to(dtype);
      const Tensor back = nn::from_torch_layout(nn::to_torch_layout(ours, spec), spec);
      REQUIRE(back.bytes() == ours.bytes());
      CHECK(std::memcmp(back.raw(), ours.raw(), ours.bytes()) == 0);
    }
  }
}

TEST_CASE("module: a tensor of the wrong shape is a bug of the caller") {
  Tensor place;
  const nn::NamedTensor spec{
      .name = "conv", .tensor = &place, .shape = {2, 3, 3, 4}, .role = nn::TensorRole::kConvWeight};
  CHECK_THROWS_WITH_AS(nn::from_torch_layout(Tensor::zeros({2, 3, 3, 4}), spec),
                       "from_torch_layout was given conv of shape [2, 3, 3, 4], expected [2, 4, 3, 3].",
                       Error);
  CHECK_THROWS_WITH_AS(nn::to_torch_layout(Tensor::zeros({2, 4, 3, 3}), spec),
                       "to_torch_layout was given conv of shape [2, 4, 3, 3], expected [2, 3, 3, 4].", Error);
}

TEST_CASE("module: seeded weights depend on seed and name and are scaled as documented") {
  CHECK(nn::fnv1a64("") == 0xcbf29ce484222325U);
  CHECK(nn::fnv1a64("foobar") == 0x85944171f73967e8U);  // published test vector of FNV-1a

  const auto net = nn::make_backbone("mobilefacenet", 128, 1e-5F);
  nn::initialise(*net, 5);
  const auto again = nn::make_backbone("mobilefacenet", 128, 1e-5F);
  nn::initialise(*again, 5);
  const auto other = nn::make_backbone("mobilefacenet", 128, 1e-5F);
  nn::initialise(*other, 6);
  const auto a = net->tensors(), b = again->tensors(), c = other->tensors();
  for (std::size_t i = 0; i < a.size(); ++i) {
    REQUIRE(a[i].tensor->shape() == a[i].shape);
    CHECK(std::memcmp(a[i].tensor->raw(), b[i].tensor->raw(), a[i].tensor->bytes()) == 0);
    if (a[i].role == nn::TensorRole::kConvWeight) {
      CHECK(std::memcmp(a[i].tensor->raw(), c[i].tensor->raw(), a[i].tensor->bytes()) != 0);
    }
  }
  // sep.weight: 512 x 128 normals of deviation sqrt(2 / 128); first element by the definition.
  for (const auto& t : a) {
    if (t.name != "sep.weight") continue;
    double squares = 0;
    for (const float v : t.tensor->values<float>())
      squares += static_cast<double>(v) * static_cast<double>(v);
    CHECK(squares / static_cast<double>(t.tensor->numel()) == doctest::Approx(2.0 / 128).epsilon(0.03));
    Random random(5 ^ nn::fnv1a64("sep.weight"));
    CHECK(t.tensor->values<float>()[0] == static_cast<float>(random.normal() * std::sqrt(2.0 / 128)));
  }
}
