// Affine warp of 8-bit RGB, bilinear, zeros outside: byte for byte cv2.warpAffine(INTER_LINEAR,
// BORDER_CONSTANT, 0) of OpenCV 2.x to 4.11 (its classic fixed-point arithmetic; the newer one, in float,
// differs by a level or two in rare pixels).
#pragma once

#include <cstdint>

#include "kernels/context.h"
#include "kernels/normalise.h"
#include "kernels/storage.h"

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

namespace cuda {

// One image of a batch: what is left of the matrix after the inversion, and where the image lies. Read from
// device memory.
struct WarpJob {
  const std::uint8_t* pixels = nullptr;  // on the device, [height][width][3], any alignment
  std::int32_t width = 0, height = 0;    // >= 1
  double inverse[6] = {};                // target to source pixels
};

// Host code: inverts `matrix` (as above) in double, in the CPU kernel's order of operations, so that the
// device does only the arithmetic that follows. `device_pixels` is not read.
WarpJob make_warp_job(const double matrix[6], const std::uint8_t* device_pixels, int width,
                      int height) noexcept;

// Warps `count` images of any sizes, each by its own matrix, in one launch. jobs [count] and y
// [count][out_height][out_width][3] in device memory; y is assigned, needs no alignment (multiples of 4, also
// of out_width, are stored faster) and may overlap no image. Every byte equals that of warp_affine() above,
// for meaningless matrices too. Per output pixel: 12 source bytes, nearly all from the caches, and 3 written.
void warp_affine(const Context& ctx, const WarpJob* jobs, std::int64_t count, int out_width, int out_height,
                 std::uint8_t* y);

// warp_affine() and normalise() (normalise.h) in one pass, with their result bit for bit and no bytes in
// between: y [count][out_height][out_width][y_pixel], y_pixel >= 3; channels from 3 on are assigned 0. Fast
// where a pixel of y is a multiple of 16 bytes (or 8, for 16-bit storage), aligned so. y_pixel
// bytes_of(storage) written per pixel.
void warp_normalise(const Context& ctx, Storage storage, const WarpJob* jobs, std::int64_t count,
                    int out_width, int out_height, const NormaliseTable& table, std::int64_t y_pixel,
                    void* y);

}  // namespace cuda
}  // namespace aikd::kernels
