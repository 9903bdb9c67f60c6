// The vocabulary networks are written in. A Module describes its forward pass once, as calls on an Ops; what
// a call does is up to the Ops: EagerOps (nn/functional) computes at once, GraphOps (nn/graph) records a
// graph that the scoring plan compiles, CalibrateOps sets BatchNorm statistics; the training tape will be
// another.
//
// Layout of values: NHWC for images, [N, features] for vectors. Filters: K,R,S,C (depthwise: R,S,C). Linear:
// [out, in].
#pragma once

#include "tensor/tensor.h"

namespace aikd::nn {

// A value in flight: a tensor when computed eagerly, a node number when recorded.
struct Value {
  Tensor tensor;
  int node = -1;
};

struct Conv2dOptions {
  int stride = 1;
  int pad = 0;  // the same on all four sides, zeros
};

struct BatchNormTensors {
  // [C] each; weight and bias may be undefined (then 1 and 0).
  Tensor* weight = nullptr;
  Tensor* bias = nullptr;
  Tensor* running_mean = nullptr;
  Tensor* running_var = nullptr;
  float eps = 1e-5F;
};

class Ops {
 public:
  virtual ~Ops() = default;
  // x [N,H,W,C], weight [K,R,S,C], bias [K] or undefined -> [N,P,Q,K], P = (H + 2 pad - R) / stride + 1.
  virtual Value conv2d(const Value& x, const Tensor& weight, const Tensor& bias,
                       const Conv2dOptions& options) = 0;
  // x [N,H,W,C], weight [R,S,C], bias [C] or undefined: one filter per channel.
  virtual Value depthwise_conv2d(const Value& x, const Tensor& weight, const Tensor& bias,
                                 const Conv2dOptions& options) = 0;
  // Over the last dimension, with running statistics: y = (x - mean) / sqrt(var + eps) * weight + bias.
  virtual Value batch_norm(const Value& x, const BatchNormTensors& bn) = 0;
  // y = x where x > 0, slope[c] * x elsewhere; slope [C] or [1].
  virtual Value prelu(const Value& x, const Tensor& slope) = 0;
  virtual Value clamp(const Value& x, float lo, float hi) = 0;  // ReLU6 = clamp(0, 6); ReLU = clamp(0, inf)
  virtual Value add(const Value& a, const Value& b) = 0;
  // x [N, in], weight [out, in], bias [out] or undefined -> [N, out].
  virtual Value linear(const Value& x, const Tensor& weight, const Tensor& bias) = 0;
  virtual Value gelu(const Value& x) = 0;     // exact: x/2 (1 + erf(x / sqrt 2))
  virtual Value flatten(const Value& x) = 0;  // [N,H,W,C] -> [N, H*W*C], in memory order (H, W, C)
};

}  // namespace aikd::nn
