// Values of a network as tensors on the device, against the CPU's.
#include "nn/cuda/cuda_plan.h"
#include "tests/cuda/plan_tolerance.h"
#include "tests/cuda/tape_on_device.h"
#include "tests/nn/frozen_net.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using nn::Precision;

}  // namespace

TEST_CASE("cuda frozen plan: every kind of value, in every precision and batch, is the CPU's") {
  AIKD_NEEDS_DEVICE();
  FrozenNet net;
  net.record();
  Context cpu(Device::cpu(), 1), card(Device::cuda(0), 1);
  const std::vector<std::uint8_t> images = random_images(net.table, 5, 5);
  const std::size_t one = std::size_t{3} * 6 * 5;
  const auto exact = nn::FrozenPlan::compile(net.graph, net.nodes[0], net.nodes, net.table, cpu);
  const std::vector<Tensor> wanted = exact->run(images, 5);
  for (const Precision precision : {Precision::kFp32, Precision::kTf32, Precision::kFp16, Precision::kBf16}) {
    const std::string name = nn::name_of(precision);
    CAPTURE(name);
    const auto plan = nn::compile_cuda_frozen_plan(net.graph, net.nodes[0], net.nodes, net.table, card,
                                                   {.max_batch = 4, .precision = precision});
    CHECK(plan->memory_bytes() > 0);
    const std::vector<Tensor> all = plan->run(images, 5);  // as 4 and 1
    REQUIRE(all.size() == wanted.size());
    for (std::size_t v = 0; v < all.size(); ++v) {
      CAPTURE(FrozenNet::kNames[v]);
      REQUIRE(all[v].shape() == wanted[v].shape());
      CHECK(all[v].device() == Device::cuda(0));
      const DType storage =
          wanted[v].shape().rank() == 4 ? nn::make_cuda_ops(card, precision)->storage() : DType::kF32;
      CHECK(all[v].dtype() == storage);
      const double error = relative_error(host_values(all[v]), wanted[v].values<float>());
      CHECK_FALSE(!(error <= tolerance(precision)));
      if (v == 0) CHECK(same_tensor(on_host(all[0]), wanted[0].to(storage).to(DType::kF32)));
    }
    // Odd batches (3 runs as 4, with a black image behind), batch 1; the first results stay as they are.
    std::vector<Tensor> kept;
    for (const Tensor& value : all) kept.push_back(value.to(Device::cpu()));
    for (const std::int64_t count : {1, 3}) {
      CAPTURE(count);
      const auto bytes = std::span(images).subspan(one, static_cast<std::size_t>(count) * one);
      const std::vector<Tensor> few = plan->run(bytes, count), again = plan->run(bytes, count);
      for (std::size_t v = 0; v < all.size(); ++v) {
        CAPTURE(FrozenNet::kNames[v]);
        REQUIRE(few[v].shape()[0] == count);
        CHECK(same_tensor(few[v], again[v]));
        CHECK(few[v].raw() != again[v].raw());
        for (std::int64_t i = 0; i < count; ++i) {
          const std::vector<float> got = image_of(on_host(few[v]), i),
                                   first = image_of(on_host(kept[v]), 1 + i);
          if (emulated()) CHECK(same_bits(got, first));  // cuDNN may take another engine for another size
          CHECK_FALSE(!(relative_error(got, first) <= tolerance(precision)));
        }
      }
    }
    for (std::size_t v = 0; v < all.size(); ++v) CHECK(same_tensor(all[v], kept[v]));
  }
}

TEST_CASE("cuda frozen plan: the image alone, another order, no recorded graph") {
  AIKD_NEEDS_DEVICE();
  FrozenNet net;
  net.record();
  Context card(Device::cuda(0), 1);
  const std::vector<std::uint8_t> images = random_images(net.table, 3, 6);
  const auto compile = [&](const std::vector<int>& outputs, bool graph) {
    return nn::compile_cuda_frozen_plan(net.graph, net.nodes[0], outputs, net.table, card,
                                        {.max_batch = 2, .graph = graph});
  };
  const auto image = compile({net.nodes[0]}, true);
  CHECK(image->steps().empty());
  const Tensor pixels = image->run(images, 3)[0];
  const auto ops = nn::make_cuda_ops(card, Precision::kFp32);
  CHECK(same_tensor(pixels, ops->images(net.table, images, 3)));
  const std::vector<int> outputs{net.nodes[5], net.nodes[0], net.nodes[2]};
  const std::vector<Tensor> recorded = compile(outputs, true)->run(images, 3),
                            plain = compile(outputs, false)->run(images, 3);
  CHECK(recorded[0].shape() == Shape{3, 17});
  CHECK(same_tensor(recorded[1], pixels));
  CHECK(recorded[2].shape() == Shape{3, 3, 3, 13});
  for (std::size_t i = 0; i < 3; ++i) CHECK(same_tensor(recorded[i], plain[i]));
  CHECK(error_of([&] {
          (void)image->run(std::span(images).subspan(0, 100), 2);
        }).find("2 images of 5x6 pixels are 180 bytes, got 100") != std::string::npos);
}
