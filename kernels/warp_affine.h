// Affine warp of 8-bit RGB, bilinear, zeros outside: byte for byte cv2.warpAffine(INTER_LINEAR,
// BORDER_CONSTANT, 0) of OpenCV 2.x to 4.11 (its classic fixed-point arithmetic; the newer one, in float,
// differs by a level or two in rare pixels).
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace aikd::kernels {

struct WarpAffineDims {
  int in_width, in_height;    // >= 1
  int out_width, out_height;  // >= 1
};

// matrix = [a b c; d e f] maps source to target pixels: [u; v] = [a b; d e] [x; y] + [c; f], (0, 0) the
// centre of the top left pixel. x [in_height][in_width][3] -> y [out_height][out_width][3], assigned; they
// may not overlap. A singular or non-finite matrix is allowed and gives OpenCV's (meaningless) picture. No
// workspace; the result does not depend on ctx.executor.
//
// Arithmetic: the inverse in double; source coordinates in fixed point with 10 fraction bits, the part that
// depends on the column and the part that depends on the row rounded apart (nearest, ties to even); then
// rounded to 1/32 pixel. The four weights are products of integers (32 - p)(32 - q) of sum 1024; the sum of
// products is rounded half up.
void warp_affine(const Context& ctx, const WarpAffineDims& dims, const double matrix[6],
                 const std::uint8_t* x, std::uint8_t* y) noexcept;

}  // namespace aikd::kernels
