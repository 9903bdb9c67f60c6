// The part of iResNet-100 that the published settings train (`limit: 100`, the last hundred tensors): blocks
// layer3.23 to 29, layer4, the final BatchNorms and the linear layer, with random weights, on the tape.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "nn/device_ops.h"
#include "nn/tape.h"

namespace aikd::bench {

class TrainedPart {
 public:
  TrainedPart(Context& context, std::int64_t batch);
  // Forward in training mode, backward from a gradient of the embedding.
  void step();
  // Of the forward pass.
  std::int64_t macs_per_image() const noexcept { return macs_; }
  std::size_t tensors() const noexcept { return tensors_.size(); }

 private:
  struct Norm {
    Tensor weight, bias, mean, var;
    nn::BatchNormTensors tensors() { return {&weight, &bias, &mean, &var, 1e-5F}; }
  };
  struct Block {
    Norm *bn1, *bn2, *bn3, *shortcut_bn;
    Tensor conv1, slope, conv2, shortcut;
    int stride;
  };
  Tensor trained(const Shape& shape, double scale);
  Norm* norm(std::int64_t channels);
  Block block(std::int64_t in, std::int64_t out, int stride, std::int64_t extent);
  nn::Value forward(nn::Ops& ops, Block& b, const nn::Value& x) const;

  std::unique_ptr<nn::DeviceOps> ops_;
  nn::TrainedParameters trained_;
  std::list<Norm> norms_;
  std::vector<Block> blocks_;
  std::vector<Tensor> tensors_;
  Norm *bn2_, *features_;
  Tensor fc_, fc_bias_, x_, dy_;
  std::int64_t macs_ = 0;
  std::uint64_t seed_ = 1;
};

}  // namespace aikd::bench
