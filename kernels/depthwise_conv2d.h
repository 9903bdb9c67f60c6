// 2-D convolution with one filter per channel (k = c), NHWC.
//
//   y[n,p,q,c] = bias[c] + sum_{r,s} x[n, p*stride - pad + r, q*stride - pad + s, c] * weight[r,s,c]
//
// with x = 0 outside the image. Memory bound: 4 bytes in, 4 out, and r*s multiply-adds per output.
#pragma once

#include "kernels/conv2d.h"

namespace aikd::kernels {
namespace cpu {

// Assigns y [n,p,q,c]; dims.k is ignored (taken as c). bias: c floats or null. Conditions as for conv2d; no
// workspace.
void depthwise_conv2d(const Context& ctx, const Conv2dDims& dims, const float* x, const float* weight,
                      const float* bias, float* y);

}  // namespace cpu

// Hand-written kernels. Activations share one storage; the filter [r,s,c] is fp32. Device pointers, which
// need no alignment and do not overlap unless said; dims.k is ignored (taken as c). Sums and their order are
// fp32, whatever the storage: each output is one chain of fmaf in the order r, s over the taps inside the
// image, the same in any batch.
namespace cuda {

// Assigns y [n,p,q,c] = epilogue(sum), and epilogue.y2. y may be epilogue.residual.
void depthwise_conv2d(const Context& ctx, Storage storage, const Conv2dDims& dims, const void* x,
                      const float* weight, const FusedEpilogue& epilogue, void* y);

// Assigns dx [n,h,w,c]: dx[n,h,w,c] = sum_{r,s} dy[n, (h + pad - r) / stride, (w + pad - s) / stride, c]
// weight[r,s,c] over the taps for which both quotients are whole and inside, r and s descending.
void depthwise_conv2d_data_gradient(const Context& ctx, Storage storage, const Conv2dDims& dims,
                                    const void* dy, const float* weight, void* dx);

// Assigns dweight [r,s,c]: dweight[r,s,c] = sum_{n,p,q} dy[n,p,q,c] x[n, p*stride - pad + r, q*stride - pad +
// s, c]. The pixels are cut into runs by the shape alone (n included), whose sums are added in order.
// ctx.workspace: those sums.
std::size_t depthwise_conv2d_filter_gradient_workspace_bytes(const Conv2dDims& dims);
void depthwise_conv2d_filter_gradient(const Context& ctx, Storage storage, const Conv2dDims& dims,
                                      const void* x, const void* dy, float* dweight);

}  // namespace cuda
}  // namespace aikd::kernels
