// 2-D convolution with one filter per channel (k = c), NHWC.
//
//   y[n,p,q,c] = bias[c] + sum_{r,s} x[n, p*stride - pad + r, q*stride - pad + s, c] * weight[r,s,c]
//
// with x = 0 outside the image. Memory bound: 4 bytes in, 4 out, and r*s multiply-adds per output.
#pragma once

#include "kernels/conv2d.h"

namespace aikd::kernels::cpu {

// Assigns y [n,p,q,c]; dims.k is ignored (taken as c). bias: c floats or null. Conditions as for conv2d; no
// workspace.
void depthwise_conv2d(const Context& ctx, const Conv2dDims& dims, const float* x, const float* weight,
                      const float* bias, float* y);

}  // namespace aikd::kernels::cpu
