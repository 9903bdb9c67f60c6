// The layers that networks are made of: each owns its tensors under PyTorch's names and applies itself
// through an Ops. Tensors stay undefined until a file is read or nn/initialise fills them; `shape` in
// NamedTensor tells what they must be.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nn/module.h"

namespace aikd::nn {

class Conv2d {
 public:
  struct Dims {
    std::int64_t in = 0, out = 0;  // channels
    std::int64_t kernel = 3;       // height and width
    int stride = 1, pad = 0;
    bool bias = false;
  };
  explicit Conv2d(const Dims& dims) : dims_(dims) {}
  void collect(const std::string& prefix, std::vector<NamedTensor>& out);
  Value forward(Ops& ops, const Value& x) const;

 private:
  Dims dims_;
  Tensor weight_, bias_;
};

// One filter per channel (PyTorch: groups == channels), no bias.
class DepthwiseConv2d {
 public:
  struct Dims {
    std::int64_t channels = 0;
    std::int64_t kernel = 3;
    int stride = 1, pad = 0;
  };
  explicit DepthwiseConv2d(const Dims& dims) : dims_(dims) {}
  void collect(const std::string& prefix, std::vector<NamedTensor>& out);
  Value forward(Ops& ops, const Value& x) const;

 private:
  Dims dims_;
  Tensor weight_;
};

// Over the last dimension; PyTorch's BatchNorm1d and BatchNorm2d in evaluation mode.
class BatchNorm {
 public:
  // `optional_weight`: iResNet's last one has its weight fixed at 1, so a file may leave it out.
  BatchNorm(std::int64_t channels, float eps, bool optional_weight = false);
  void collect(const std::string& prefix, std::vector<NamedTensor>& out);
  Value forward(Ops& ops, const Value& x) const;

 private:
  // Behind a pointer, because calibration writes statistics during a forward pass, which is const for the
  // structure.
  struct State {
    Tensor weight, bias, running_mean, running_var, num_batches_tracked;
  };
  std::int64_t channels_;
  float eps_;
  bool optional_weight_;
  std::unique_ptr<State> state_;
};

class Prelu {
 public:
  explicit Prelu(std::int64_t channels) : channels_(channels) {}
  void collect(const std::string& prefix, std::vector<NamedTensor>& out);
  Value forward(Ops& ops, const Value& x) const;

 private:
  std::int64_t channels_;
  Tensor weight_;
};

class Linear {
 public:
  // `flattened_channels`: C where the input is a flattened H x W x C image (NamedTensor), else 0.
  Linear(std::int64_t in, std::int64_t out, std::int64_t flattened_channels = 0)
      : in_(in), out_(out), flattened_channels_(flattened_channels) {}
  void collect(const std::string& prefix, std::vector<NamedTensor>& out);
  Value forward(Ops& ops, const Value& x) const;

 private:
  std::int64_t in_, out_, flattened_channels_;
  Tensor weight_, bias_;
};

}  // namespace aikd::nn
