#include <cstddef>
#include <limits>

#include "nn/mobilefacenet.h"

namespace aikd::nn {
namespace {

constexpr float kNoLimit = std::numeric_limits<float>::infinity();

// PyTorch's Sequential(conv, BN, ReLU6): names "0." and "1.".
struct ConvBnRelu6 {
  ConvBnRelu6(const Conv2d::Dims& dims, float eps) : conv(dims), bn(dims.out, eps) {}
  void collect(const std::string& prefix, std::vector<NamedTensor>& out) {
    conv.collect(prefix + "0.", out);
    bn.collect(prefix + "1.", out);
  }
  Value forward(Ops& ops, const Value& x) const {
    return ops.clamp(bn.forward(ops, conv.forward(ops, x)), 0.0F, 6.0F);
  }
  Conv2d conv;
  BatchNorm bn;
};

struct InvertedResidual {
  struct Dims {
    std::int64_t in = 0, out = 0;
    int stride = 1;
    std::int64_t expansion = 2;
  };
  InvertedResidual(const Dims& d, float eps)
      : expand({.in = d.in, .out = d.in * d.expansion, .kernel = 1}, eps),
        depthwise({.channels = d.in * d.expansion, .kernel = 3, .stride = d.stride, .pad = 1}),
        depthwise_bn(d.in * d.expansion, eps),
        project({.in = d.in * d.expansion, .out = d.out, .kernel = 1}),
        project_bn(d.out, eps),
        residual(d.stride == 1 && d.in == d.out) {}
  void collect(const std::string& prefix, std::vector<NamedTensor>& out) {
    expand.collect(prefix + "conv.0.", out);
    depthwise.collect(prefix + "conv.1.0.", out);
    depthwise_bn.collect(prefix + "conv.1.1.", out);
    project.collect(prefix + "conv.2.", out);
    project_bn.collect(prefix + "conv.3.", out);
  }
  Value forward(Ops& ops, const Value& x) const {
    Value y = depthwise_bn.forward(ops, depthwise.forward(ops, expand.forward(ops, x)));
    y = project_bn.forward(ops, project.forward(ops, ops.clamp(y, 0.0F, 6.0F)));
    return residual ? ops.add(y, x) : y;
  }
  ConvBnRelu6 expand;
  DepthwiseConv2d depthwise;
  BatchNorm depthwise_bn;
  Conv2d project;
  BatchNorm project_bn;
  bool residual;
};

}  // namespace

struct MobileFaceNetV2::Parts {
  Parts(std::int64_t embedding, float eps)
      : conv1({.in = 3, .out = 64, .kernel = 3, .stride = 2, .pad = 1}, eps),
        depthwise({.channels = 64, .kernel = 3, .stride = 1, .pad = 1}),
        pointwise({.in = 64, .out = 64, .kernel = 1}),
        bn1(64, eps),
        bn2(64, eps),
        conv2({.in = 128, .out = 512, .kernel = 1}, eps),
        gdconv({.channels = 512, .kernel = 7}),
        gdconv_bn(512, eps),
        conv3({.in = 512, .out = embedding, .kernel = 1, .bias = true}),
        bn(embedding, eps) {
    struct Stage {
      std::int64_t expansion, channels;
      int blocks, stride;
    };
    constexpr Stage kStages[] = {
        {2, 64, 5, 2}, {4, 128, 1, 2}, {2, 128, 6, 1}, {4, 128, 1, 2}, {2, 128, 2, 1}};
    std::int64_t in = 64;
    for (const Stage& stage : kStages) {
      for (int i = 0; i < stage.blocks; ++i) {
        features.emplace_back(InvertedResidual::Dims{.in = in,
                                                     .out = stage.channels,
                                                     .stride = i == 0 ? stage.stride : 1,
                                                     .expansion = stage.expansion},
                              eps);
        in = stage.channels;
      }
    }
  }
  ConvBnRelu6 conv1;
  DepthwiseConv2d depthwise;
  Conv2d pointwise;
  BatchNorm bn1, bn2;
  std::vector<InvertedResidual> features;
  ConvBnRelu6 conv2;
  DepthwiseConv2d gdconv;
  BatchNorm gdconv_bn;
  Conv2d conv3;
  BatchNorm bn;
};

MobileFaceNetV2::MobileFaceNetV2(std::int64_t embedding_size, float eps) {
  require(embedding_size >= 1 && embedding_size <= 65536, ErrorKind::kModel,
          "A MobileFaceNet's embedding size must be between 1 and 65536, got ", embedding_size, ".");
  parts_ = std::make_unique<Parts>(embedding_size, eps);
}
MobileFaceNetV2::~MobileFaceNetV2() = default;

void MobileFaceNetV2::collect(const std::string& prefix, std::vector<NamedTensor>& out) {
  Parts& p = *parts_;
  p.conv1.collect(prefix + "conv1.", out);
  p.depthwise.collect(prefix + "dw_conv.depthwise.", out);
  p.pointwise.collect(prefix + "dw_conv.pointwise.", out);
  p.bn1.collect(prefix + "dw_conv.bn1.", out);
  p.bn2.collect(prefix + "dw_conv.bn2.", out);
  p.conv2.collect(prefix + "conv2.", out);
  p.gdconv.collect(prefix + "gdconv.depthwise.", out);
  p.gdconv_bn.collect(prefix + "gdconv.bn.", out);
  p.conv3.collect(prefix + "conv3.", out);
  p.bn.collect(prefix + "bn.", out);
  for (std::size_t i = 0; i < p.features.size(); ++i) {
    p.features[i].collect(concat(prefix, "features.", i, "."), out);
  }
}

Value MobileFaceNetV2::forward(Ops& ops, const Value& x) const {
  const Parts& p = *parts_;
  Value y = p.conv1.forward(ops, x);
  y = ops.clamp(p.bn1.forward(ops, p.depthwise.forward(ops, y)), 0.0F, kNoLimit);
  y = ops.clamp(p.bn2.forward(ops, p.pointwise.forward(ops, y)), 0.0F, kNoLimit);
  for (const InvertedResidual& block : p.features) y = block.forward(ops, y);
  y = p.conv2.forward(ops, y);
  y = p.gdconv_bn.forward(ops, p.gdconv.forward(ops, y));
  return ops.flatten(p.bn.forward(ops, p.conv3.forward(ops, y)));
}

}  // namespace aikd::nn
