// A network recorded as a list of nodes, for the plan to compile.
#pragma once

#include <array>
#include <vector>

#include "nn/ops.h"
#include "tensor/shape.h"

namespace aikd::nn {

enum class OpKind { kInput, kConv2d, kDepthwise, kBatchNorm, kPrelu, kClamp, kAdd, kLinear, kGelu, kFlatten };

struct GraphNode {
  OpKind kind = OpKind::kInput;
  std::array<int, 2> inputs{-1, -1};
  Shape shape{};    // of the result, for a batch of one
  Tensor weight{};  // of conv2d, depthwise, linear; the slope of prelu
  Tensor bias{};
  Conv2dOptions conv{};
  BatchNormTensors bn{};  // points into the module: valid while it lives
  float lo = 0, hi = 0;
};

class GraphOps final : public Ops {
 public:
  // The network's input, of this shape for a batch of one: [1, H, W, C] or [1, features].
  Value input(const Shape& shape);

  // Each checks shapes (nn/op_shapes.h) and appends one node; inputs always precede their users.
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
  Value flatten(const Value& x) override;

  const std::vector<GraphNode>& nodes() const noexcept { return nodes_; }
  // The node of a value of this graph; throws Error(kInternal) for any other.
  const GraphNode& node(const Value& value) const;

 private:
  Value append(GraphNode node);

  std::vector<GraphNode> nodes_;
};

}  // namespace aikd::nn
