// The shape rules of nn/ops.h: what each op needs of its arguments and what comes out. Shared by every Ops,
// so that a wrong network is refused with the same sentence whether it is computed or compiled. All throw
// Error(kModel). On which device tensors are is the business of who reads them: a network may be recorded
// with tensors that a tape then uses on a card.
#pragma once

#include "nn/ops.h"
#include "tensor/shape.h"

namespace aikd::nn {

Shape conv2d_shape(const Shape& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options);
Shape depthwise_conv2d_shape(const Shape& x, const Tensor& weight, const Tensor& bias,
                             const Conv2dOptions& options);
void check_batch_norm(const Shape& x, const BatchNormTensors& bn);
void check_prelu(const Shape& x, const Tensor& slope);
void check_clamp(float lo, float hi);
void check_add(const Shape& a, const Shape& b);
Shape linear_shape(const Shape& x, const Tensor& weight, const Tensor& bias);
Shape flatten_shape(const Shape& x);

}  // namespace aikd::nn
