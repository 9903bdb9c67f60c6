#include "nn/graph.h"

#include <utility>

#include "nn/op_shapes.h"

namespace aikd::nn {

Value GraphOps::append(GraphNode node) {
  nodes_.push_back(std::move(node));
  return {Tensor(), static_cast<int>(nodes_.size()) - 1};
}

const GraphNode& GraphOps::node(const Value& value) const {
  require(value.node >= 0 && value.node < static_cast<int>(nodes_.size()), ErrorKind::kInternal,
          "GraphOps was given a value that it did not make (node ", value.node, " of ", nodes_.size(), ").");
  return nodes_[static_cast<std::size_t>(value.node)];
}

Value GraphOps::input(const Shape& shape) {
  require((shape.rank() == 2 || shape.rank() == 4) && shape[0] == 1, ErrorKind::kInternal,
          "The input of a graph is [1, features] or [1, H, W, C], got ", shape, ".");
  return append({.kind = OpKind::kInput, .shape = shape});
}

Value GraphOps::conv2d(const Value& x, const Tensor& weight, const Tensor& bias,
                       const Conv2dOptions& options) {
  return append({.kind = OpKind::kConv2d,
                 .inputs = {x.node, -1},
                 .shape = conv2d_shape(node(x).shape, weight, bias, options),
                 .weight = weight,
                 .bias = bias,
                 .conv = options});
}

Value GraphOps::depthwise_conv2d(const Value& x, const Tensor& weight, const Tensor& bias,
                                 const Conv2dOptions& options) {
  return append({.kind = OpKind::kDepthwise,
                 .inputs = {x.node, -1},
                 .shape = depthwise_conv2d_shape(node(x).shape, weight, bias, options),
                 .weight = weight,
                 .bias = bias,
                 .conv = options});
}

Value GraphOps::batch_norm(const Value& x, const BatchNormTensors& bn) {
  const Shape shape = node(x).shape;
  check_batch_norm(shape, bn);
  return append({.kind = OpKind::kBatchNorm, .inputs = {x.node, -1}, .shape = shape, .bn = bn});
}

Value GraphOps::prelu(const Value& x, const Tensor& slope) {
  const Shape shape = node(x).shape;
  check_prelu(shape, slope);
  return append({.kind = OpKind::kPrelu, .inputs = {x.node, -1}, .shape = shape, .weight = slope});
}

Value GraphOps::clamp(const Value& x, float lo, float hi) {
  check_clamp(lo, hi);
  return append({.kind = OpKind::kClamp, .inputs = {x.node, -1}, .shape = node(x).shape, .lo = lo, .hi = hi});
}

Value GraphOps::add(const Value& a, const Value& b) {
  const Shape shape = node(a).shape;
  check_add(shape, node(b).shape);
  return append({.kind = OpKind::kAdd, .inputs = {a.node, b.node}, .shape = shape});
}

Value GraphOps::linear(const Value& x, const Tensor& weight, const Tensor& bias) {
  return append({.kind = OpKind::kLinear,
                 .inputs = {x.node, -1},
                 .shape = linear_shape(node(x).shape, weight, bias),
                 .weight = weight,
                 .bias = bias});
}

Value GraphOps::gelu(const Value& x) {
  return append({.kind = OpKind::kGelu, .inputs = {x.node, -1}, .shape = node(x).shape});
}

Value GraphOps::flatten(const Value& x) {
  return append({.kind = OpKind::kFlatten, .inputs = {x.node, -1}, .shape = flatten_shape(node(x).shape)});
}

}  // namespace aikd::nn
