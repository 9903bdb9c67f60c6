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

}  // namespace aikd::kernels
