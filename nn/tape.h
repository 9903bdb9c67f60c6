// Automatic differentiation, reverse mode: an Ops that computes at once and remembers, for every op whose
// result depends on something trained, how to turn the gradient of its result into those of its inputs and
// parameters.
//
// What is remembered is only what those gradients read. An op on which nothing trained depends remembers
// nothing, and a gradient that nobody needs (of the image, of a frozen filter) is not computed. Gradients of
// a value that is used several times are summed in the order of use, last first, so results repeat bit for
// bit.
#pragma once

#include <functional>
#include <initializer_list>
#include <span>
#include <unordered_map>
#include <vector>

#include "nn/device_ops.h"
#include "nn/ops.h"

namespace aikd::nn {

// The parameters that are trained, and their gradients. A parameter is known by its memory, so a module's
// tensors can be passed to any op.
class TrainedParameters {
 public:
  // Tensors are handles: `parameter` must share its buffer with the module's tensor. Gradients are fp32 of
  // its shape.
  void add(const Tensor& parameter);
  bool contains(const Tensor& parameter) const;
  // In the order in which they were added, each once: the order of sums over all of them.
  std::span<const Tensor> all() const noexcept { return parameters_; }
  // Undefined until backward() has reached the parameter.
  Tensor gradient(const Tensor& parameter) const;
  void clear_gradients();
  // Adds to the gradient of a parameter; the first one is kept as it is, its memory is added to later.
  void accumulate(DeviceOps& ops, const Tensor& parameter, Tensor gradient);

 private:
  std::vector<Tensor> parameters_;
  std::unordered_map<const void*, Tensor> gradients_;
};

struct TapeOptions {
  // A BatchNorm of which something is trained, or behind something trained, uses the statistics of the batch
  // and updates the running ones; with `false` every BatchNorm uses the running statistics, which stay as
  // they are.
  bool batch_statistics = true;
  float momentum = 0.1F;  // of the running statistics
};

class TapeOps final : public Ops {
 public:
  // Both must outlive the tape.
  TapeOps(DeviceOps& ops, TrainedParameters& trained, const TapeOptions& options = {});

  // A value from outside, without gradient.
  Value constant(const Tensor& x) const;

  Value conv2d(const Value& x, const Tensor& weight, const Tensor& bias,
               const Conv2dOptions& options) override;
  Value depthwise_conv2d(const Value& x, const Tensor& weight, const Tensor& bias,
                         const Conv2dOptions& options) override;
  Value batch_norm(const Value& x, const BatchNormTensors& bn) override;
  Value prelu(const Value& x, const Tensor& slope) override;
  Value clamp(const Value& x, float lo, float hi) override;
  Value add(const Value& a, const Value& b) override;
  Value linear(const Value& x, const Tensor& weight, const Tensor& bias) override;
  Value gelu(const Value& x) override;
  Value flatten(const Value& x) override;  // into fp32, whatever the image is stored in

  bool needs_gradient(const Value& x) const noexcept { return x.node >= 0; }
  // Adds `gradient` (the shape and type of x) to what has come for x: where a loss starts, before backward();
  // any number of values may be seeded. Nothing happens when x depends on nothing trained. Error(kInternal)
  // for another shape, or a value of a tape that was run.
  void seed(const Value& x, const Tensor& gradient);
  // Runs the tape from its end; fills the gradients of the trained parameters (added to what they hold) and
  // forgets the tape. Throws Error(kInternal) when no recorded value was seeded.
  void backward();
  std::size_t recorded() const noexcept { return nodes_.size(); }

 private:
  struct Node {
    std::function<void(const Tensor& dy)> pull;  // gives gradients to inputs and parameters
    Tensor gradient;
  };
  template <class Pull>
  Value record(Tensor y, bool needed, Pull&& pull);
  void give(int node, Tensor gradient);
  // Error(kInternal) for a tensor that is not on the device of the ops.
  void check_device(const char* op, std::initializer_list<const Tensor*> tensors) const;

  DeviceOps* ops_;
  TrainedParameters* trained_;
  TapeOptions options_;
  std::vector<Node> nodes_;
  int first_node_ =
      0;  // the number of nodes_[0]: numbers are not used again, so that stale values are noticed
};

}  // namespace aikd::nn
