#include "nn/mobilefacenet.h"

#include <cstddef>

namespace aikd::nn {
namespace {

struct ConvBnPrelu {
  ConvBnPrelu(const Conv2d::Dims& dims, float eps) : conv(dims), bn(dims.out, eps), prelu(dims.out) {}
  void collect(const std::string& prefix, std::vector<NamedTensor>& out) {
    conv.collect(prefix + "conv.", out);
    bn.collect(prefix + "bn.", out);
    prelu.collect(prefix + "prelu.", out);
  }
  Value forward(Ops& ops, const Value& x) const {
    return prelu.forward(ops, bn.forward(ops, conv.forward(ops, x)));
  }
  Conv2d conv;
  BatchNorm bn;
  Prelu prelu;
};

struct DepthwiseBnPrelu {
  DepthwiseBnPrelu(const DepthwiseConv2d::Dims& dims, float eps)
      : conv(dims), bn(dims.channels, eps), prelu(dims.channels) {}
  void collect(const std::string& prefix, std::vector<NamedTensor>& out) {
    conv.collect(prefix + "conv.", out);
    bn.collect(prefix + "bn.", out);
    prelu.collect(prefix + "prelu.", out);
  }
  Value forward(Ops& ops, const Value& x) const {
    return prelu.forward(ops, bn.forward(ops, conv.forward(ops, x)));
  }
  DepthwiseConv2d conv;
  BatchNorm bn;
  Prelu prelu;
};

struct Bottleneck {
  struct Dims {
    std::int64_t in = 0, out = 0, inner = 0;
    int stride = 1;
    bool residual = false;
  };
  Bottleneck(const Dims& d, float eps)
      : conv({.in = d.in, .out = d.inner, .kernel = 1}, eps),
        conv_dw({.channels = d.inner, .kernel = 3, .stride = d.stride, .pad = 1}, eps),
        project({.in = d.inner, .out = d.out, .kernel = 1}),
        project_bn(d.out, eps),
        residual(d.residual) {}
  void collect(const std::string& prefix, std::vector<NamedTensor>& out) {
    conv.collect(prefix + "conv.", out);
    conv_dw.collect(prefix + "conv_dw.", out);
    project.collect(prefix + "project.conv.", out);
    project_bn.collect(prefix + "project.bn.", out);
  }
  Value forward(Ops& ops, const Value& x) const {
    const Value inner = conv_dw.forward(ops, conv.forward(ops, x));
    const Value y = project_bn.forward(ops, project.forward(ops, inner));
    return residual ? ops.add(y, x) : y;
  }
  ConvBnPrelu conv;
  DepthwiseBnPrelu conv_dw;
  Conv2d project;
  BatchNorm project_bn;
  bool residual;
};

std::vector<Bottleneck> residual_stage(int blocks, std::int64_t channels, std::int64_t inner, float eps) {
  std::vector<Bottleneck> stage;
  for (int i = 0; i < blocks; ++i) {
    stage.emplace_back(
        Bottleneck::Dims{.in = channels, .out = channels, .inner = inner, .stride = 1, .residual = true},
        eps);
  }
  return stage;
}

void check_embedding(std::int64_t embedding_size) {
  require(embedding_size >= 1 && embedding_size <= 65536, ErrorKind::kModel,
          "A MobileFaceNet's embedding size must be between 1 and 65536, got ", embedding_size, ".");
}

}  // namespace

struct MobileFaceNet::Parts {
  Parts(std::int64_t embedding, float eps)
      : conv1({.in = 3, .out = 64, .kernel = 3, .stride = 2, .pad = 1}, eps),
        conv2_dw({.channels = 64, .kernel = 3, .stride = 1, .pad = 1}, eps),
        conv_23({.in = 64, .out = 64, .inner = 128, .stride = 2}, eps),
        conv_3(residual_stage(4, 64, 128, eps)),
        conv_34({.in = 64, .out = 128, .inner = 256, .stride = 2}, eps),
        conv_4(residual_stage(6, 128, 256, eps)),
        conv_45({.in = 128, .out = 128, .inner = 512, .stride = 2}, eps),
        conv_5(residual_stage(2, 128, 256, eps)),
        sep({.in = 128, .out = 512, .kernel = 1}),
        sep_bn(512, eps),
        prelu(512),
        gdc_dw({.channels = 512, .kernel = 7}),
        gdc_bn(512, eps),
        features({.in = 512, .out = embedding, .kernel = 1}),
        last_bn(embedding, eps) {}
  ConvBnPrelu conv1;
  DepthwiseBnPrelu conv2_dw;
  Bottleneck conv_23;
  std::vector<Bottleneck> conv_3;
  Bottleneck conv_34;
  std::vector<Bottleneck> conv_4;
  Bottleneck conv_45;
  std::vector<Bottleneck> conv_5;
  Conv2d sep;
  BatchNorm sep_bn;
  Prelu prelu;
  DepthwiseConv2d gdc_dw;
  BatchNorm gdc_bn;
  Conv2d features;
  BatchNorm last_bn;
};

MobileFaceNet::MobileFaceNet(std::int64_t embedding_size, float eps) {
  check_embedding(embedding_size);
  parts_ = std::make_unique<Parts>(embedding_size, eps);
}
MobileFaceNet::~MobileFaceNet() = default;

void MobileFaceNet::collect(const std::string& prefix, std::vector<NamedTensor>& out) {
  const auto collect_stage = [&](const std::string& name, std::vector<Bottleneck>& stage) {
    for (std::size_t i = 0; i < stage.size(); ++i) {
      stage[i].collect(concat(prefix, name, ".model.", i, "."), out);
    }
  };
  Parts& p = *parts_;
  p.conv1.collect(prefix + "conv1.", out);
  p.conv2_dw.collect(prefix + "conv2_dw.", out);
  p.conv_23.collect(prefix + "conv_23.", out);
  collect_stage("conv_3", p.conv_3);
  p.conv_34.collect(prefix + "conv_34.", out);
  collect_stage("conv_4", p.conv_4);
  p.conv_45.collect(prefix + "conv_45.", out);
  collect_stage("conv_5", p.conv_5);
  p.sep.collect(prefix + "sep.", out);
  p.sep_bn.collect(prefix + "sep_bn.", out);
  p.prelu.collect(prefix + "prelu.", out);
  p.gdc_dw.collect(prefix + "GDC_dw.", out);
  p.gdc_bn.collect(prefix + "GDC_bn.", out);
  p.features.collect(prefix + "features.", out);
  p.last_bn.collect(prefix + "last_bn.", out);
}

Value MobileFaceNet::forward(Ops& ops, const Value& x) const {
  const Parts& p = *parts_;
  Value y = p.conv2_dw.forward(ops, p.conv1.forward(ops, x));
  y = p.conv_23.forward(ops, y);
  for (const Bottleneck& block : p.conv_3) y = block.forward(ops, y);
  y = p.conv_34.forward(ops, y);
  for (const Bottleneck& block : p.conv_4) y = block.forward(ops, y);
  y = p.conv_45.forward(ops, y);
  for (const Bottleneck& block : p.conv_5) y = block.forward(ops, y);
  y = p.prelu.forward(ops, p.sep_bn.forward(ops, p.sep.forward(ops, y)));
  y = p.gdc_bn.forward(ops, p.gdc_dw.forward(ops, y));
  return ops.flatten(p.last_bn.forward(ops, p.features.forward(ops, y)));
}

}  // namespace aikd::nn
