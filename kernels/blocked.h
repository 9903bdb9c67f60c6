// The layout inside a compiled plan: channels in blocks of 16, "nChw16c".
//
//   element (n, c, y, x) is at (((n * blocks + c / 16) * h + y) * w + x) * 16 + c % 16,  blocks = ceil(c /
//   16)
//
// A pixel's 16 channels are one cache line, so a convolution finds the inputs of neighbouring pixels at
// constant distances. Lanes beyond the last channel are zero, or a finite value that no filter reads with a
// weight other than zero. A vector of features is an image of one pixel: plain, padded to a multiple of 16.
// Every tensor is aligned to 64 bytes.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace aikd::kernels {

inline constexpr std::int64_t kBlock = 16;

constexpr std::int64_t blocks_of(std::int64_t channels) {
  return (channels + kBlock - 1) / kBlock;
}
constexpr std::int64_t padded_channels(std::int64_t channels) {
  return blocks_of(channels) * kBlock;
}
// Vectors of parameters (bias, slope, scale) are padded to the largest block of outputs a kernel computes at
// once.
constexpr std::int64_t padded_parameters(std::int64_t channels) {
  return (channels + 31) / 32 * 32;
}

// What happens to a sum before it is stored, all in registers: v += bias (by the kernel), then
//   activation, then v += residual                  (residual_first == false), or
//   v += residual, then activation                  (residual_first == true).
// activation: prelu with `slope` if not null, else clamp to [lo, hi] if `clamps`.
struct Epilogue {
  const float* slope = nullptr;     // [padded_parameters(channels)]
  const float* residual = nullptr;  // the layout of the output; may be the output itself
  bool residual_first = false;
  bool clamps = false;
  float lo = 0, hi = 0;
};

struct BlockedDims {
  std::int64_t n = 1, c = 1, h = 1, w = 1;
  std::int64_t image_floats() const noexcept { return padded_channels(c) * h * w; }
};

namespace cpu {

// y = epilogue(x * scale[c] + shift[c]), or epilogue(x) when scale is null (shift then is not read). Assigns
// y; y may be x. scale, shift: padded_parameters(c) floats.
void blocked_pointwise(const Context& ctx, const BlockedDims& dims, const float* x, const float* scale,
                       const float* shift, const Epilogue& epilogue, float* y);

// Blocked -> features in the order h, w, c without gaps: y[n, (y*w + x)*c + channel], rows y_stride floats
// apart; floats from h*w*c to y_stride are assigned 0.
void flatten_blocked(const Context& ctx, const BlockedDims& dims, const float* x, float* y,
                     std::int64_t y_stride);

}  // namespace cpu
}  // namespace aikd::kernels
