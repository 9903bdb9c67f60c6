// What follows the sum of a convolution or linear layer on CUDA devices, fused into the kernel that makes it
// or run as one pass over its result:
//
//   v = sum + bias[class(p,q)][k]
//   y = activation(v) + residual           (residual_first == false)
//   y = activation(v + residual)           (residual_first == true)
//   y2 = y * scale2[k] + shift2[k]         where y2 is asked for
//
// activation: PReLU with slope[k] if not null, else clamp to [lo, hi] if `clamps`. All parameters are fp32
// and all arithmetic is in fp32; y is rounded to its storage once, y2 from the unrounded y.
//
// bias_classes is 1, or 9: one vector per place in the image for a BatchNorm folded into the zero-padded
// convolution that reads it (blocked_conv.h, kBorderClasses).
#pragma once

#include <cstdint>

#include "kernels/conv2d.h"
#include "kernels/storage.h"

namespace aikd::kernels::cuda {

struct FusedEpilogue {
  const float* bias = nullptr;  // [bias_classes][k]; null: 0
  std::int32_t bias_classes = 1;
  const float* slope = nullptr;  // [k]
  bool clamps = false;
  float lo = 0, hi = 0;
  const void* residual = nullptr;  // the layout and storage of y; may be y
  bool residual_first = false;
  const float* scale2 = nullptr;  // [k]; read when y2 is not null
  const float* shift2 = nullptr;
  void* y2 = nullptr;  // the layout and storage of y
};

// y = epilogue(x) for x [n,p,q,k] = the plain sums; dims gives n, p(), q(), k and, for nine classes, the
// filter's reach. Assigns y (may be x) and y2. Bytes per element: one read (two with a residual), one write
// (two with y2).
void apply_epilogue(const Context& ctx, Storage storage, const Conv2dDims& dims, const void* x,
                    const FusedEpilogue& epilogue, void* y);

}  // namespace aikd::kernels::cuda
