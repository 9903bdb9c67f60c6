#include "kernels/normalise.h"

#include <algorithm>

namespace aikd::kernels::cpu {

void normalise(const Context& ctx, const NormaliseTable& table, std::int64_t pixels, const std::uint8_t* x,
               float* y, std::int64_t y_pixel) {
  constexpr std::int64_t kChunk = 1024;
  parallel_for(ctx, (pixels + kChunk - 1) / kChunk, [&](std::ptrdiff_t task, int) {
    const std::int64_t end = std::min(pixels, (task + 1) * kChunk);
    for (std::int64_t i = task * kChunk; i < end; ++i) {
      float* out = y + i * y_pixel;
      for (std::int64_t c = 0; c < 3; ++c) out[c] = table.values[c * 256 + x[3 * i + table.source[c]]];
      std::fill(out + 3, out + y_pixel, 0.0F);
    }
  });
}

}  // namespace aikd::kernels::cpu
