// 2-D convolution, dense, NHWC.
//
//   y[n,p,q,k] = bias[k] + sum_{r,s,c} x[n, p*stride - pad + r, q*stride - pad + s, c] * weight[k,r,s,c]
//
// with x = 0 outside the image. Work: n*p*q*k*r*s*c multiply-adds; bytes: 4 (n*h*w*c + k*r*s*c + n*p*q*k).
// This is the general kernel (any size, no packing kept between calls); the compiled plan uses
// blocked_conv.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/context.h"
#include "kernels/storage.h"

namespace aikd::kernels {

struct Conv2dDims {
  std::int64_t n = 1, h = 1, w = 1, c = 1;  // input [n,h,w,c]
  std::int64_t k = 1, r = 1, s = 1;         // filter [k,r,s,c]
  std::int64_t stride = 1, pad = 0;         // the same in both directions and on all sides

  std::int64_t p() const noexcept { return (h + 2 * pad - r) / stride + 1; }
  std::int64_t q() const noexcept { return (w + 2 * pad - s) / stride + 1; }
  std::int64_t macs_per_image() const noexcept { return p() * q() * k * r * s * c; }
};

namespace cpu {

// Scratch for the filters rearranged so that output channels are adjacent.
std::size_t conv2d_workspace_bytes(const Conv2dDims& dims);
// Assigns y [n,p,q,k]. bias: k floats or null. No pointer needs alignment; y must not overlap the others. All
// extents >= 1, stride >= 1, pad >= 0, p() and q() >= 1. ctx.workspace: at least conv2d_workspace_bytes.
// Each output is one chain of multiply-adds in the order r, s, c: bitwise independent of threads and n.
void conv2d(const Context& ctx, const Conv2dDims& dims, const float* x, const float* weight,
            const float* bias, float* y);

}  // namespace cpu

// Hand-written kernels. Activations x, y, dx, dy and the filter [k,r,s,c] share one storage; pointers are
// device pointers, need no alignment, and do not overlap unless said. Extents as above; n may be 0. n*p*q,
// n*h*w and k*r*s*c are below 2^31.
//
// 16-bit storages (fp32: with `tf32`) run on tensor cores where the card has them, the summed-over channels
// are a multiple of 16 bytes and x (dy) and weight are 16-byte aligned; everything else in fp32
// multiply-adds. Padding is read as zero: a NaN or infinity in x reaches those outputs alone that see it.
namespace cuda {

struct FusedEpilogue;  // kernels/epilogue.h

// Assigns y [n,p,q,k] = epilogue(sum), and epilogue.y2. y may be epilogue.residual. Exact fp32: each output
// is one chain of fmaf in the order r, s, c; for every storage an image gives the same bits in any batch.
void conv2d(const Context& ctx, Storage storage, const Conv2dDims& dims, const void* x, const void* weight,
            const FusedEpilogue& epilogue, void* y, bool tf32 = false);

// Assigns dx [n,h,w,c]:
//
//   dx[n,h,w,c] = sum_{r,s,k} dy[n, (h + pad - r) / stride, (w + pad - s) / stride, k] weight[k,r,s,c]
//
// over the taps for which both quotients are whole and inside. Work: as the forward pass, for any stride.
// ctx.workspace: the filter with k and c exchanged.
std::size_t conv2d_data_gradient_workspace_bytes(Storage storage, const Conv2dDims& dims);
void conv2d_data_gradient(const Context& ctx, Storage storage, const Conv2dDims& dims, const void* dy,
                          const void* weight, void* dx);

// Assigns dweight [k,r,s,c], fp32 for every storage:
//
//   dweight[k,r,s,c] = sum_{n,p,q} dy[n,p,q,k] x[n, p*stride - pad + r, q*stride - pad + s, c]
//
// The pixels n p q are cut into runs by the shape alone (n included), summed each by itself and added in
// order. ctx.workspace: the runs' sums; 0 bytes where there is one run.
std::size_t conv2d_filter_gradient_workspace_bytes(const Conv2dDims& dims);
void conv2d_filter_gradient(const Context& ctx, Storage storage, const Conv2dDims& dims, const void* x,
                            const void* dy, float* dweight);

}  // namespace cuda
}  // namespace aikd::kernels
