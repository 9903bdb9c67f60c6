#include "nn/iresnet.h"

#include <cstddef>

namespace aikd::nn {
namespace {

constexpr std::array<std::int64_t, 4> kWidths{64, 128, 256, 512};
constexpr std::int64_t kFinalPixels = 7 * 7;  // 112 halved four times

struct Known {
  std::string_view name;
  IResNet::Depths depths;
};
constexpr std::array<Known, 5> kKnown{{{"iresnet18", {2, 2, 2, 2}},
                                       {"iresnet34", {3, 4, 6, 3}},
                                       {"iresnet50", {3, 4, 14, 3}},
                                       {"iresnet100", {3, 13, 30, 3}},
                                       {"iresnet200", {6, 26, 60, 6}}}};

}  // namespace

struct IResNet::Block {
  Block(std::int64_t in, std::int64_t out, int stride, float eps)
      : bn1(in, eps),
        conv1({.in = in, .out = out, .kernel = 3, .stride = 1, .pad = 1}),
        bn2(out, eps),
        prelu(out),
        conv2({.in = out, .out = out, .kernel = 3, .stride = stride, .pad = 1}),
        bn3(out, eps) {
    if (stride != 1 || in != out) {
      shortcut_conv.emplace(Conv2d::Dims{.in = in, .out = out, .kernel = 1, .stride = stride, .pad = 0});
      shortcut_bn.emplace(out, eps);
    }
  }

  void collect(const std::string& prefix, std::vector<NamedTensor>& out) {
    bn1.collect(prefix + "bn1.", out);
    conv1.collect(prefix + "conv1.", out);
    bn2.collect(prefix + "bn2.", out);
    prelu.collect(prefix + "prelu.", out);
    conv2.collect(prefix + "conv2.", out);
    bn3.collect(prefix + "bn3.", out);
    if (shortcut_conv) {
      shortcut_conv->collect(prefix + "downsample.0.", out);
      shortcut_bn->collect(prefix + "downsample.1.", out);
    }
  }

  Value forward(Ops& ops, const Value& x) const {
    Value y = conv1.forward(ops, bn1.forward(ops, x));
    y = prelu.forward(ops, bn2.forward(ops, y));
    y = bn3.forward(ops, conv2.forward(ops, y));
    if (!shortcut_conv) return ops.add(y, x);
    return ops.add(y, shortcut_bn->forward(ops, shortcut_conv->forward(ops, x)));
  }

  BatchNorm bn1;
  Conv2d conv1;
  BatchNorm bn2;
  Prelu prelu;
  Conv2d conv2;
  BatchNorm bn3;
  std::optional<Conv2d> shortcut_conv;
  std::optional<BatchNorm> shortcut_bn;
};

IResNet::IResNet(const Depths& depths, std::int64_t embedding_size, float eps)
    : conv1_({.in = 3, .out = kWidths[0], .kernel = 3, .stride = 1, .pad = 1}),
      bn1_(kWidths[0], eps),
      prelu_(kWidths[0]),
      bn2_(kWidths[3], eps),
      fc_(kWidths[3] * kFinalPixels, embedding_size, kWidths[3]),
      features_(embedding_size, eps, /*optional_weight=*/true) {
  require(embedding_size >= 1 && embedding_size <= 65536, ErrorKind::kModel,
          "An iResNet's embedding size must be between 1 and 65536, got ", embedding_size, ".");
  std::int64_t in = kWidths[0];
  for (std::size_t stage = 0; stage < 4; ++stage) {
    for (int b = 0; b < depths[stage]; ++b) {
      layers_[stage].push_back(std::make_unique<Block>(in, kWidths[stage], b == 0 ? 2 : 1, eps));
      in = kWidths[stage];
    }
  }
}

IResNet::~IResNet() = default;

void IResNet::collect(const std::string& prefix, std::vector<NamedTensor>& out) {
  conv1_.collect(prefix + "conv1.", out);
  bn1_.collect(prefix + "bn1.", out);
  prelu_.collect(prefix + "prelu.", out);
  for (std::size_t stage = 0; stage < 4; ++stage) {
    for (std::size_t b = 0; b < layers_[stage].size(); ++b) {
      layers_[stage][b]->collect(concat(prefix, "layer", stage + 1, ".", b, "."), out);
    }
  }
  bn2_.collect(prefix + "bn2.", out);
  fc_.collect(prefix + "fc.", out);
  features_.collect(prefix + "features.", out);
}

Value IResNet::forward(Ops& ops, const Value& x) const {
  Value y = prelu_.forward(ops, bn1_.forward(ops, conv1_.forward(ops, x)));
  for (const auto& stage : layers_) {
    for (const auto& block : stage) y = block->forward(ops, y);
  }
  y = ops.flatten(bn2_.forward(ops, y));
  return features_.forward(ops, fc_.forward(ops, y));
}

std::optional<IResNet::Depths> iresnet_depths(std::string_view architecture) noexcept {
  for (const Known& known : kKnown) {
    if (known.name == architecture) return known.depths;
  }
  return std::nullopt;
}

std::optional<std::string_view> iresnet_name(const IResNet::Depths& depths) noexcept {
  for (const Known& known : kKnown) {
    if (known.depths == depths) return known.name;
  }
  return std::nullopt;
}

}  // namespace aikd::nn
