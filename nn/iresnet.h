// iResNet ("improved ResNet", Duta et al., arXiv 2004.04989) as insightface's arcface_torch defines it: the
// backbone of ArcFace, CosFace, MagFace, CR-FIQA, DifFIQA(R) and AI-KD.
//
//   stem    conv3x3 3->64, BN, PReLU                                    112 x 112
//   layer1  64, layer2 128, layer3 256, layer4 512 channels             56, 28, 14, 7
//           each block: BN, conv3x3, BN, PReLU, conv3x3 (stride), BN; + identity, or conv1x1 (stride), BN in
//           the first block of a stage, whose stride is 2
//   end     BN, flatten, linear 25088 -> embedding, BN (weight fixed at 1)
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "nn/layers.h"

namespace aikd::nn {

class IResNet final : public Module {
 public:
  // Numbers of blocks in the four stages.
  using Depths = std::array<int, 4>;

  // `eps` of every BatchNorm: 1e-5 in arcface_torch, 2e-5 in MagFace. Throws Error(kModel) when the
  // embedding size is not between 1 and 65536.
  explicit IResNet(const Depths& depths, std::int64_t embedding_size = 512, float eps = 1e-5F);
  ~IResNet() override;

  void collect(const std::string& prefix, std::vector<NamedTensor>& out) override;
  // x [N,112,112,3] -> [N, embedding_size]
  Value forward(Ops& ops, const Value& x) const override;

 private:
  struct Block;
  Conv2d conv1_;
  BatchNorm bn1_;
  Prelu prelu_;
  std::array<std::vector<std::unique_ptr<Block>>, 4> layers_;
  BatchNorm bn2_;
  Linear fc_;
  BatchNorm features_;
};

// "iresnet18", 34, 50, 100, 200; empty for any other name.
std::optional<IResNet::Depths> iresnet_depths(std::string_view architecture) noexcept;
// The reverse; empty for depths nobody published.
std::optional<std::string_view> iresnet_name(const IResNet::Depths& depths) noexcept;

}  // namespace aikd::nn
