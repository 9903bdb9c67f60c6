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
}  // namespace aikd::kernels
