// Antialiased bilinear resize of 8-bit RGB, byte for byte that of Pillow (Image.resize with BILINEAR, which
// is what torchvision's Resize does to a Pillow image).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/context.h"

namespace aikd::kernels {

// The order of the two passes, of which the first rounds to 8 bits: it changes single pixels by one level.
enum class ResizeOrder {
  kHorizontalFirst,  // Pillow 3.2 to 12, and thus the published quality models
  // Pillow 13 and later: vertical first where the height shrinks by more than twice what the width shrinks
  // by, in pixels (and by more than 0); else as above.
  kPillow13,
};

struct ResizeDims {
  int in_width, in_height;    // >= 1
  int out_width, out_height;  // >= 1
  ResizeOrder order = ResizeOrder::kHorizontalFirst;
};

// Bytes of scratch that resize_bilinear() needs in ctx.workspace.
std::size_t resize_workspace_bytes(const ResizeDims& dims) noexcept;

// x [in_height][in_width][3] -> y [out_height][out_width][3], assigned; they may not overlap. Uses
// ctx.executor for both passes; the result does not depend on it.
//
// Per axis, with scale = in / out and support = max(1, scale), output i is the sum over the inputs j whose
// centre lies within `support` of center = (i + 0.5) scale, weighted by the triangle 1 - |j + 0.5 - center| /
// support, normalised to sum 1 in double and rounded to integers of 22 fraction bits. The horizontal pass
// comes first and rounds to 8 bits; an axis whose size does not change is left alone.
void resize_bilinear(const Context& ctx, const ResizeDims& dims, const std::uint8_t* x,
                     std::uint8_t* y) noexcept;

namespace cuda {

// One image of a batch, read from device memory. Made by make_resize_job().
struct ResizeJob {
  const std::uint8_t* pixels = nullptr;  // on the device, [in_height][in_width][3], any alignment
  // On the device: first [out], count [out], weights [taps][out]; null: the axis keeps its size.
  const std::int32_t* x_filter = nullptr;
  const std::int32_t* y_filter = nullptr;
  std::int64_t between = 0;  // bytes from the start of the workspace to the first pass's result
  std::int32_t in_width = 0, in_height = 0;
  std::int32_t vertical_first = 0;
};

// What an image needs: integers of filters, and bytes of workspace (a multiple of 16) for what its first pass
// gives.
std::size_t resize_filter_ints(const ResizeDims& dims) noexcept;
std::size_t resize_between_bytes(const ResizeDims& dims) noexcept;

// Host code: writes the filters of both axes to `filters` (host memory, resize_filter_ints(dims) integers),
// with the CPU kernel's double arithmetic, and returns the job of an image at `device_pixels` whose filters
// the caller will have copied to `device_filters` and whose resize_between_bytes(dims) bytes of workspace
// begin at `between`, a multiple of 16.
ResizeJob make_resize_job(const ResizeDims& dims, const std::uint8_t* device_pixels, std::int64_t between,
                          std::int32_t* filters, const std::int32_t* device_filters) noexcept;

// Resizes `count` images of any sizes, and either order of passes, to one size in two launches. jobs [count]
// and y [count][out_height][out_width][3] in device memory; y is assigned, needs no alignment and overlaps
// nothing. Every byte equals that of resize_bilinear() above. Pictures, also those in between, have fewer
// than 2^31 / 3 pixels. Per output pixel and pass: 3 bytes and one weight per tap from the caches; from
// memory about in_width in_height 3 bytes per image, and the picture in between twice.
void resize_bilinear(const Context& ctx, const ResizeJob* jobs, std::int64_t count, int out_width,
                     int out_height, std::uint8_t* y);

}  // namespace cuda
}  // namespace aikd::kernels
