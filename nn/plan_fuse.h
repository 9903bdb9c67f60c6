// The plan's graph passes: which BatchNorms fold into which filters, and what runs in whose epilogue.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/conv2d.h"
#include "nn/graph.h"

namespace aikd::nn {

// y = x * scale + shift per channel, in double; empty vectors mean the identity.
struct Affine {
  std::vector<double> scale, shift;
  bool identity() const noexcept { return scale.empty(); }
  // This one first, then `next`.
  void then(const std::vector<double>& next_scale, const std::vector<double>& next_shift);
};

// One step of the plan: an op, what is folded into its parameters, and its epilogue.
//
//   kConv2d, kDepthwise, kLinear: y = epilogue(after(op(before(x)) + bias))
//   kBatchNorm (any elementwise chain): y = epilogue(after(x))
//   kGelu, kFlatten: y = op(x)
struct FusedOp {
  OpKind kind = OpKind::kBatchNorm;
  int input = -1, output = -1;  // node numbers
  const GraphNode* op = nullptr;
  Affine before;  // of the input's last dimension, or, when `flattens`, of each of its H*W*C elements
  Affine after;
  bool flattens = false;  // kLinear that reads an image instead of its flattened copy
  const Tensor* slope = nullptr;
  bool clamps = false;
  float lo = 0, hi = 0;
  int residual = -1;
  bool residual_first = false;

  bool activates() const noexcept { return slope != nullptr || clamps; }
};

// For names of steps: "3x3 s1 256->256 @14x14", and what the epilogue does: " +prelu +add".
std::string window_name(const kernels::Conv2dDims& dims);
std::string epilogue_name(const FusedOp& op);

// Steps in an order that can be run: each one's inputs are the graph's input or outputs of earlier steps.
// Nodes on which no output depends are left out. `outputs` are kept as values of their own. The graph must
// outlive the result.
std::vector<FusedOp> fuse(const GraphOps& graph, const std::vector<int>& outputs);

// The filters of a kConv2d, kDepthwise or kLinear with everything folded in: computed in double, rounded
// once.
struct FoldedWeights {
  std::vector<float> weight;  // the layout of op->weight
  std::vector<float> bias;    // [bias_classes][K]
  std::int64_t bias_classes =
      1;  // 9 where a BatchNorm was folded into a padded convolution (kernels/blocked_conv.h)
};
FoldedWeights fold(const FusedOp& op);

}  // namespace aikd::nn
