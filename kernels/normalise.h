// Pixels to numbers: y[i,c] = table[c][x[i, source[c]]]. The table holds the float arithmetic of the original
// (byte / 255 - mean) / std for each of the 256 bytes, so the result equals it bit for bit. 3 bytes in, 4
// y_pixel out per pixel.
#pragma once

#include <cstdint>

#include "kernels/context.h"
#include "kernels/storage.h"

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

namespace cuda {

// As above, on device pointers (table.values too), which need no alignment: 16-byte stores where y is a
// multiple of 16, whatever y_pixel. y_pixel < 2^31. fp32: equal to the table bit for bit; 16 bits: its values
// rounded once. 3 bytes in, y_pixel bytes_of(storage) out per pixel; the convolution likes y_pixel of 4 or 8.
void normalise(const Context& ctx, Storage storage, const NormaliseTable& table, std::int64_t pixels,
               const std::uint8_t* x, std::int64_t y_pixel, void* y);

}  // namespace cuda
}  // namespace aikd::kernels
