// Networks with seeded weights and PyTorch's results for them (tests/golden/nets/make_nets.py).
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "nn/functional.h"
#include "nn/initialise.h"
#include "nn/networks.h"
#include "nn/plan.h"
#include "tensor/context.h"
#include "tensor/random.h"
#include "tests/support/test.h"

namespace aikd::test {

// image() of make_nets.py.
inline std::vector<std::uint8_t> hash_image(std::uint64_t seed) {
  Random blocks(2 * seed), noise(2 * seed + 1);
  std::vector<std::uint64_t> coarse(14 * 14 * 3);
  for (auto& c : coarse) c = blocks.bits() >> 56;
  std::vector<std::uint8_t> pixels;
  for (std::size_t y = 0; y < 112; ++y) {
    for (std::size_t x = 0; x < 112; ++x) {
      for (std::size_t c = 0; c < 3; ++c) {
        const std::uint64_t value = 3 * coarse[(y / 8 * 14 + x / 8) * 3 + c] + (noise.bits() >> 56);
        pixels.push_back(static_cast<std::uint8_t>(value / 4));
      }
    }
  }
  return pixels;
}

inline std::vector<std::uint8_t> two_hash_images() {
  std::vector<std::uint8_t> both = hash_image(1);
  const std::vector<std::uint8_t> second = hash_image(2);
  both.insert(both.end(), second.begin(), second.end());
  return both;
}

// (x / 255 - 0.5) / 0.5 in float32, RGB.
inline nn::InputTable plain_table() {
  nn::InputTable table;
  for (auto& channel : table.table) {
    for (int v = 0; v < 256; ++v) channel[v] = (static_cast<float>(v) / 255.0F - 0.5F) / 0.5F;
  }
  return table;
}

struct GoldenNet {
  io::SafetensorsFile file;
  std::unique_ptr<nn::Module> backbone, head;

  explicit GoldenNet(const std::string& name)
      : file(io::read_safetensors(golden_dir() / "nets" / ("nets_" + name + ".safetensors"))) {
    const std::string& architecture = file.metadata.at("architecture");
    const std::uint64_t seed = std::stoull(file.metadata.at("seed"));
    const std::int64_t width = nn::default_embedding_size(architecture);
    backbone = nn::make_backbone(architecture, width, 1e-5F);
    nn::initialise(*backbone, seed);
    for (const nn::NamedTensor& spec : backbone->tensors()) {
      if (spec.role != nn::TensorRole::kBnMean && spec.role != nn::TensorRole::kBnVar) continue;
      const Tensor* statistics = file.find("bn." + spec.name);
      REQUIRE_MESSAGE(statistics != nullptr, spec.name);
      REQUIRE(statistics->shape() == spec.shape);
      *spec.tensor = *statistics;
    }
    head = nn::make_head(file.metadata.at("head"), width, 1024);
    if (head != nullptr) nn::initialise(*head, seed + 1);
  }
};

// |a - b| / |b| over everything; NaN anywhere gives NaN.
inline double relative_error(std::span<const float> a, std::span<const float> b) {
  REQUIRE(a.size() == b.size());
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    difference += d * d;
    size += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return size > 0 ? std::sqrt(difference / size) : std::numeric_limits<double>::quiet_NaN();
}

// Computes like EagerOps and keeps a few values of every residual sum, as make_nets.py does.
class SamplingOps final : public nn::EagerOps {
 public:
  using nn::EagerOps::EagerOps;
  nn::Value add(const nn::Value& a, const nn::Value& b) override {
    nn::Value sum = nn::EagerOps::add(a, b);
    const std::int64_t n = sum.tensor.shape()[0], per_image = sum.tensor.numel() / n;
    for (std::int64_t image = 0; image < n; ++image) {
      for (std::int64_t i = 0; i < 8; ++i) {
        samples.push_back(
            sum.tensor
                .values<float>()[static_cast<std::size_t>(image * per_image + (i * 7919 + 13) % per_image)]);
      }
    }
    return sum;
  }
  std::vector<float> samples;
};

// The largest errors allowed against PyTorch: relative, of the embedding; and of the score, relative to the
// scale of its terms (the embedding's norm gives it).
inline constexpr double kEmbeddingTolerance = 2e-5;

inline void check_golden_eager(const std::string& name) {
  GoldenNet net(name);
  Context context;
  SamplingOps ops(context);
  const std::vector<std::uint8_t> images = two_hash_images();
  const nn::Value x{.tensor = nn::normalise(context, plain_table(), images, 2)};
  const nn::Value embedding = net.backbone->forward(ops, x);

  const auto adds = net.file.find("adds")->values<float>();
  REQUIRE(ops.samples.size() == adds.size());
  for (std::size_t block = 0; block < adds.size() / 16; ++block) {
    const double error =
        relative_error(std::span(ops.samples).subspan(block * 16, 16), adds.subspan(block * 16, 16));
    CHECK_MESSAGE(error <= 2e-5, "residual addition ", block, " relative error ", error);
  }
  const double error =
      relative_error(embedding.tensor.values<float>(), net.file.find("embedding")->values<float>());
  MESSAGE(name, " eager: embedding relative error ", error, ", PyTorch's own against float64 ",
          net.file.metadata.at("float32_against_float64"));
  CHECK(error <= kEmbeddingTolerance);
  if (net.head != nullptr) {
    const nn::Value score = net.head->forward(ops, embedding);
    CHECK(relative_error(score.tensor.values<float>(), net.file.find("score")->values<float>()) <= 1e-4);
  }
}

inline void check_golden_plan(const std::string& name) {
  GoldenNet net(name);
  Context context;
  const auto plan = nn::Plan::compile(*net.backbone, net.head.get(), plain_table(), context);
  const std::vector<std::uint8_t> images = two_hash_images();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> embedding(static_cast<std::size_t>(2 * plan->embedding_size()), nan);
  std::vector<float> score(net.head != nullptr ? 2 : 0, nan);
  plan->run(images, 2, embedding, score);
  const double error = relative_error(embedding, net.file.find("embedding")->values<float>());
  MESSAGE(name, " plan: embedding relative error ", error);
  CHECK(error <= kEmbeddingTolerance);
  if (net.head != nullptr) CHECK(relative_error(score, net.file.find("score")->values<float>()) <= 1e-4);
}

}  // namespace aikd::test
