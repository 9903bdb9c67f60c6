// Values of a network as tensors: against EagerOps, against the scoring plan, and from batch to batch.
#include "nn/frozen_plan.h"

#include <cstring>

#include "tests/nn/frozen_net.h"

namespace {

using namespace aikd;
using namespace aikd::test;

std::span<const std::uint8_t> images_of(const std::vector<std::uint8_t>& images, std::int64_t begin,
                                        std::int64_t count, std::size_t one) {
  return std::span(images).subspan(static_cast<std::size_t>(begin) * one,
                                   static_cast<std::size_t>(count) * one);
}
bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("frozen plan: every kind of value is what EagerOps computes, whatever the batch") {
  FrozenNet net;
  net.record();
  const std::size_t one = std::size_t{3} * 6 * 5;
  const std::vector<std::uint8_t> images = random_images(net.table, 7, 5);
  for (const int threads : {1, 3}) {
    Context context(Device::cpu(), threads);
    nn::EagerOps eager(context);
    const auto plan =
        nn::FrozenPlan::compile(net.graph, net.nodes[0], net.nodes, net.table, context, {.max_batch = 3});
    CHECK(plan->memory_bytes() > 0);
    CHECK(!plan->steps().empty());
    const std::vector<Tensor> all = plan->run(images, 7);
    const std::vector<nn::Value> wanted =
        net.values(eager, {nn::normalise(context, net.table, images, 7), -1});
    REQUIRE(all.size() == wanted.size());
    std::vector<Tensor> kept;
    for (std::size_t v = 0; v < all.size(); ++v) {
      CAPTURE(FrozenNet::kNames[v]);
      REQUIRE(all[v].shape() == wanted[v].tensor.shape());
      CHECK(all[v].dtype() == DType::kF32);
      CHECK_FALSE(!(relative_error(all[v].values<float>(), wanted[v].tensor.values<float>()) <= 1e-5));
      kept.push_back(all[v].clone());
    }
    CHECK(same(image_of(all[0], 6), image_of(wanted[0].tensor, 6)));  // the image: bit for bit
    // Cut in any way, an image gets the same bits; and what was given before stays as it was.
    for (const std::int64_t count : {1, 2, 3, 4, 5}) {
      CAPTURE(count);
      const std::vector<Tensor> few = plan->run(images_of(images, 2, count, one), count);
      for (std::size_t v = 0; v < all.size(); ++v) {
        CAPTURE(FrozenNet::kNames[v]);
        REQUIRE(few[v].shape()[0] == count);
        for (std::int64_t i = 0; i < count; ++i) CHECK(same(image_of(few[v], i), image_of(all[v], 2 + i)));
      }
    }
    for (std::size_t v = 0; v < all.size(); ++v)
      CHECK(same(image_of(all[v].reshape({1, all[v].numel()}), 0),
                 image_of(kept[v].reshape({1, kept[v].numel()}), 0)));
  }
}

TEST_CASE("frozen plan: the embedding is Plan::run's bit for bit") {
  FrozenNet net;
  net.record();
  Context context(Device::cpu(), 2);
  const FunctionModule backbone([&](nn::Ops& o, const nn::Value& x) { return net.values(o, x).back(); });
  const auto plan = nn::Plan::compile(backbone, nullptr, net.table, context, {.max_batch = 2});
  const auto frozen = nn::FrozenPlan::compile(net.graph, net.nodes[0], {net.nodes.back()}, net.table, context,
                                              {.max_batch = 3});
  const std::vector<std::uint8_t> images = random_images(net.table, 5, 6);
  std::vector<float> wanted(std::size_t{5} * 17, std::nanf(""));
  plan->run(images, 5, wanted, {});
  const Tensor got = frozen->run(images, 5)[0];
  CHECK(same({got.values<float>().begin(), got.values<float>().end()}, wanted));
  CHECK(frozen->steps().size() == plan->steps().size());
}

TEST_CASE("frozen plan: the image alone, the order that was asked for, and what is wrong with a call") {
  FrozenNet net;
  net.record();
  Context context(Device::cpu(), 1);
  const std::vector<std::uint8_t> images = random_images(net.table, 2, 6);
  const auto image = nn::FrozenPlan::compile(net.graph, net.nodes[0], {net.nodes[0]}, net.table, context);
  CHECK(image->steps().empty());
  const Tensor pixels = image->run(images, 2)[0];
  CHECK(same(image_of(pixels, 1), image_of(nn::normalise(context, net.table, images, 2), 1)));
  const auto turned = nn::FrozenPlan::compile(net.graph, net.nodes[0],
                                              {net.nodes[5], net.nodes[0], net.nodes[2]}, net.table, context);
  const std::vector<Tensor> values = turned->run(images, 2);
  CHECK(values[0].shape() == Shape{2, 17});
  CHECK(values[1].shape() == Shape{2, 6, 5, 3});
  CHECK(values[2].shape() == Shape{2, 3, 3, 13});
  CHECK(same(image_of(values[1], 0), image_of(pixels, 0)));
  CHECK(error_of([&] {
          (void)turned->run(std::span(images).subspan(0, 100), 2);
        }).find("2 images of 5x6 pixels are 180 bytes, got 100") != std::string::npos);
  CHECK(error_of([&] {
          (void)nn::FrozenPlan::compile(net.graph, net.nodes[0], {net.nodes[1]}, net.table, context,
                                        {.max_batch = 0});
        }).find("at least 1") != std::string::npos);
  CHECK(error_of([&] {
          (void)nn::FrozenPlan::compile(net.graph, net.nodes[0], {net.nodes[1]}, net.table, context,
                                        {.precision = nn::Precision::kBf16});
        }).find("on the CPU everything is computed in fp32") != std::string::npos);
}
