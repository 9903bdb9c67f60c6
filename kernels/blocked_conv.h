// Convolutions of the compiled plan, on blocked tensors (blocked.h), with packed filters and a fused
// epilogue:
//
//   y = epilogue(bias[class(p,q)] + sum_{r,s,c} x[...] * weight[k,r,s,c])
//
// Direct algorithm: a tile of pixels times a block of output channels is summed in registers; filters are
// read once per tile, in order; taps that fall outside the image are skipped, not multiplied. Work:
// p*q*k*r*s*c multiply-adds less the skipped ones; see kernels/README.md for the floor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/blocked.h"
#include "kernels/conv2d.h"

namespace aikd::kernels {

// Bias vectors per place in the image. A BatchNorm before a zero-padded convolution adds, at each output, its
// shift through those taps that are inside the image: one vector per combination of {first row, middle, last
// row} x {first column, middle, last column} that loses taps. Index 3 * row class + column class; class 0:
// the filter reaches over the top (left) edge, 2: over the bottom (right) edge, 1: neither.
inline constexpr std::int64_t kBorderClasses = 9;
// Whether nine vectors are enough: 3x3, pad 1, and no output at which the filter reaches over two opposite
// edges (an image one pixel high or wide).
bool border_classes_suffice(const Conv2dDims& dims);

// Columns of one output row computed together.
struct ConvTile {
  std::int32_t q = 0, size = 0;
  // Taps s < left miss the tile's first pixel; taps s >= right miss its last one.
  std::int32_t left = 0, right = 0;
};

// A convolution prepared for the instruction set in use. dims.n is not used.
struct BlockedConv {
  Conv2dDims dims;
  std::vector<ConvTile> tiles;  // of every output row
  std::int64_t block = 0;       // output channels per tile
};

namespace cpu {

BlockedConv prepare_blocked_conv(const Conv2dDims& dims);
// Packed filters: [padded k / block, rounded up][c/16][r][s][channels of this block of 16][block], zeros
// beyond k.
std::size_t packed_filter_floats(const BlockedConv& conv);
void pack_filters(const BlockedConv& conv, const float* weight, float* packed);  // weight [k,r,s,c]
// Assigns y (n images, k channels). bias: `bias_classes` (1 or 9) x padded_parameters(k) floats, zeros beyond
// k. y must not overlap x; it may be epilogue.residual. Everything 64-byte aligned.
void blocked_conv(const Context& ctx, const BlockedConv& conv, std::int64_t n, const float* x,
                  const float* packed, const float* bias, std::int64_t bias_classes, const Epilogue& epilogue,
                  float* y);

// Depthwise: weight [padded channels / 16][r][s][16], bias [padded_parameters(c)]. dims.k is ignored.
void blocked_depthwise(const Context& ctx, const Conv2dDims& dims, const float* x, const float* weight,
                       const float* bias, const Epilogue& epilogue, float* y);

}  // namespace cpu
}  // namespace aikd::kernels
