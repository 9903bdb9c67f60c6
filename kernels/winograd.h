// 3x3 convolutions of stride 1 and padding 1 on blocked tensors (blocked.h), by Winograd's minimal filtering
// F(4x4, 3x3) (Lavin and Gray, arXiv 1509.09308): tiles of 4x4 outputs from 6x6 inputs,
//
//   Y = A^T [ (G g G^T) . (B^T d B) ] A,
//
// with the points 0, 1, -1, 1/2, -2 and infinity. 36 multiplications for 16 outputs instead of 144. What is
// left over at the right and at the bottom (14 = 4 + 4 + 4 + 2, 7 = 4 + 3) is done by F(2, 3) or F(3, 3)
// along that axis, whose points are some of the same, so that filters are transformed once for all: 16
// outputs cost 36 multiplications at 112, 56 and 28 pixels, and 39.5 at 14 and 7 (47 with full tiles).
// Everything is fp32. Relative error of a layer of 256 channels at 14x14, in the L2 norm: 2.0e-6
// (tests/kernels/test_winograd.cpp).
//
// Filters are those of the direct kernel (pack_filters, blocked_conv.h) and are transformed on the way, 7
// vector operations and 4 stores per filter vector and tap, for some 28 to 112 tiles at once.
//
// Work per image: points(h) points(w) c k multiply-adds, points(h) = 6 floor(h/4) + (0, 4, 4 or 5 for a rest
// of 0, 1, 2, 3 pixels). Memory: 9 c k floats, read once per panel of tiles.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/blocked.h"
#include "kernels/conv2d.h"

namespace aikd::kernels {

// 3x3, stride 1, padding 1, channels that fill their blocks of 16, at least 4x4 pixels.
bool winograd_fits(const Conv2dDims& dims);

namespace cpu {

std::size_t winograd_workspace_bytes(const Conv2dDims& dims, std::int64_t n, int threads);
// The contract of blocked_conv (blocked_conv.h), `packed` included; dims.n is not used. An image's result
// depends neither on the others nor on the number of threads, bitwise.
void winograd_conv(const Context& ctx, const Conv2dDims& dims, std::int64_t n, const float* x,
                   const float* packed, const float* bias, std::int64_t bias_classes,
                   const Epilogue& epilogue, float* y);

}  // namespace cpu
}  // namespace aikd::kernels
