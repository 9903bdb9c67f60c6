// 3x3 convolutions of stride 1 and padding 1 on blocked tensors (blocked.h), by Winograd's minimal filtering
// F(4x4, 3x3) (Lavin and Gray, arXiv 1509.09308): tiles of 4x4 outputs from 6x6 inputs,
//
//   Y = A^T [ (G g G^T) . (B^T d B) ] A,
//
// with the points 0, 1, -1, 1/2, -2 and infinity. 36 multiplications for 16 outputs instead of 144; tiles
// that reach over the edge waste some: at 14x14 and 7x7 pixels 3.1 times fewer than the direct kernel, at
// 28x28 and 56x56 four times. Everything is fp32; filters are transformed in double and rounded once.
// Relative error of a layer of 256 channels at 14x14, in the L2 norm: 2.0e-6
// (tests/kernels/test_winograd.cpp).
//
// Work per image: 36 ceil(h/4) ceil(w/4) c k multiply-adds. Memory: transformed filters 36 c k floats, read
// once for each round of some 28 (many channels) to 112 tiles; so it wants batches: on few tiles
// the direct kernel, which reads 9 c k, has less to read.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/blocked.h"
#include "kernels/conv2d.h"

namespace aikd::kernels {

// 3x3, stride 1, padding 1, channels that fill their blocks of 16, at least 4x4 pixels.
bool winograd_fits(const Conv2dDims& dims);
// Tiles of one image.
constexpr std::int64_t winograd_tiles(const Conv2dDims& dims) {
  return ((dims.h + 3) / 4) * ((dims.w + 3) / 4);
}

namespace cpu {

// [k / block, rounded up][36][c][block] floats for the instruction set in use, zeros beyond k.
std::size_t winograd_filter_floats(const Conv2dDims& dims);
void winograd_filters(const Conv2dDims& dims, const float* weight, float* packed);  // weight [k,3,3,c]
std::size_t winograd_workspace_bytes(const Conv2dDims& dims, std::int64_t n, int threads);
// The contract of blocked_conv (blocked_conv.h), dims.n is not used. An image's result depends neither on the
// others nor on the number of threads, bitwise.
void winograd_conv(const Context& ctx, const Conv2dDims& dims, std::int64_t n, const float* x,
                   const float* packed, const float* bias, std::int64_t bias_classes,
                   const Epilogue& epilogue, float* y);

}  // namespace cpu
}  // namespace aikd::kernels
