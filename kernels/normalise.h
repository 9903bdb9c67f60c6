// Pixels to numbers: y[i,c] = table[c][x[i, source[c]]]. The table holds the float arithmetic of the original
// (byte / 255 - mean) / std for each of the 256 bytes, so the result equals it bit for bit. 3 bytes in, 4
// y_pixel out per pixel.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace aikd::kernels {

struct NormaliseTable {
  const float* values;     // [3][256]
  std::int64_t source[3];  // which of the pixel's three bytes feeds channel c
};

namespace cpu {

// x: pixels x 3 bytes. Assigns y [pixels, y_pixel], y_pixel >= 3; channels from 3 on are assigned 0.
void normalise(const Context& ctx, const NormaliseTable& table, std::int64_t pixels, const std::uint8_t* x,
               float* y, std::int64_t y_pixel);

}  // namespace cpu
}  // namespace aikd::kernels
