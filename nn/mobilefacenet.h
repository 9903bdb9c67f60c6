// MobileFaceNet (Chen et al., arXiv 1804.07573) in two published forms: small face recognition backbones of
// about 1 M parameters and 0.2 GMAC.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "nn/layers.h"

namespace aikd::nn {

// As bubbliiiing/arcface-pytorch defines it (tensor names and structure):
//   conv1      conv3x3 s2 3->64, BN, PReLU                                       56 x 56
//   conv2_dw   depthwise 3x3 64, BN, PReLU
//   conv_23, conv_3 (4), conv_34, conv_4 (6), conv_45, conv_5 (2)                28, 14, 7
//              blocks: conv1x1, BN, PReLU, depthwise 3x3 (stride), BN, PReLU, conv1x1, BN; conv_3, 4, 5 add x
//   sep        conv1x1 128->512, BN, PReLU
//   GDC_dw     depthwise 7x7 without padding, BN                                  1
//   features   conv1x1 512->embedding, BN
class MobileFaceNet final : public Module {
 public:
  explicit MobileFaceNet(std::int64_t embedding_size = 128, float eps = 1e-5F);
  ~MobileFaceNet() override;
  void collect(const std::string& prefix, std::vector<NamedTensor>& out) override;
  // x [N,112,112,3] -> [N, embedding_size]
  Value forward(Ops& ops, const Value& x) const override;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// As foamliu/MobileFaceNet defines it: MobileNetV2 blocks (Sandler et al., arXiv 1801.04381), no PReLU:
//   conv1      conv3x3 s2 3->64, BN, ReLU6                                       56 x 56
//   dw_conv    depthwise 3x3, BN, ReLU, conv1x1, BN, ReLU
//   features   15 inverted residuals (expansion, channels, count, first stride):
//              (2,64,5,2) (4,128,1,2) (2,128,6,1) (4,128,1,2) (2,128,2,1)         28, 14, 7
//   conv2      conv1x1 128->512, BN, ReLU6
//   gdconv     depthwise 7x7 without padding, BN                                  1
//   conv3, bn  conv1x1 512->embedding with bias, BN
class MobileFaceNetV2 final : public Module {
 public:
  explicit MobileFaceNetV2(std::int64_t embedding_size = 128, float eps = 1e-5F);
  ~MobileFaceNetV2() override;
  void collect(const std::string& prefix, std::vector<NamedTensor>& out) override;
  // x [N,112,112,3] -> [N, embedding_size]
  Value forward(Ops& ops, const Value& x) const override;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace aikd::nn
