// Gradients of the 2-D convolution (conv2d.h), NHWC, on the CPU:
//
//   dx[n,h,w,c]      = sum over k,r,s of dy[n,p,q,k] weight[k,r,s,c]
//                      where p stride - pad + r = h and q stride - pad + s = w
//   dweight[k,r,s,c] = sum over n,p,q of dy[n,p,q,k] x[n, p stride - pad + r, q stride - pad + s, c]
//
// Work: n p q k r s c multiply-adds each, as forward. All go through the blocked layout (blocked.h): copies
// in and out, r s c times less work than the sums. Nothing needs alignment; what is assigned overlaps
// nothing.
#pragma once

#include <cstddef>

#include "kernels/conv2d.h"

namespace aikd::kernels::cpu {

// The forward convolution by the blocked kernel, for training: faster than conv2d(), which keeps nothing
// between calls and whose order of sums is its contract. Every output is one chain of multiply-adds in the
// order c/16, r, s, c%16. bias: k floats or null.
std::size_t conv2d_train_workspace_bytes(const Conv2dDims& dims);
void conv2d_train(const Context& ctx, const Conv2dDims& dims, const float* x, const float* weight,
                  const float* bias, float* y);

// Assigns dx [n,h,w,c]. With a stride of 1 it is one convolution of dy with the turned filters. With a larger
// one the pixels of dx fall into stride^2 classes by their remainders, each of which meets its own taps of
// the filter: stride^2 convolutions with stride 1, together as much work as the sum above.
std::size_t conv2d_data_gradient_workspace_bytes(const Conv2dDims& dims);
void conv2d_data_gradient(const Context& ctx, const Conv2dDims& dims, const float* dy, const float* weight,
                          float* dx);

// Assigns dweight [k,r,s,c]. Each sum is a chain over p, q per image, and the images' sums are added in
// order: the same bits for any number of threads.
std::size_t conv2d_filter_gradient_workspace_bytes(const Conv2dDims& dims);
void conv2d_filter_gradient(const Context& ctx, const Conv2dDims& dims, const float* dy, const float* x,
                            float* dweight);

// Depthwise: weight [r,s,c]; dims.k is ignored. dx is summed per pixel in the order r, s and needs no
// workspace; dweight in float over the rows of an image, then in double over images and rows.
void depthwise_data_gradient(const Context& ctx, const Conv2dDims& dims, const float* dy, const float* weight,
                             float* dx);
std::size_t depthwise_filter_gradient_workspace_bytes(const Conv2dDims& dims);
void depthwise_filter_gradient(const Context& ctx, const Conv2dDims& dims, const float* dy, const float* x,
                               float* dweight);

}  // namespace aikd::kernels::cpu
