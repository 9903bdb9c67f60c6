// Between NHWC tensors and the blocked layout (kernels/blocked.h), for the convolutions of training: copies
// of whole cache lines, 8 bytes moved per value.
#pragma once

#include <cstddef>

#include "kernels/blocked.h"

namespace aikd::kernels::cpu {

// Which pixels of an NHWC tensor meet those of a blocked one: pixel (y, x) of the blocked image of h x w is
// pixel (y * step + first_y, x * step + first_x) of the other one, of other_h x other_w.
struct PixelMap {
  std::int64_t h = 1, w = 1, other_h = 1, other_w = 1;
  std::int64_t first_y = 0, first_x = 0, step = 1;
};
inline PixelMap same_pixels(std::int64_t h, std::int64_t w) {
  return {.h = h, .w = w, .other_h = h, .other_w = w};
}

// Assigns all of y, blocked; what lies outside x, and lanes beyond the last channel, become 0.
void to_blocked(const Context& ctx, std::int64_t n, std::int64_t channels, const PixelMap& map,
                const float* x, float* y);
// Assigns the pixels of y that the map names, all of which must lie inside.
void from_blocked(const Context& ctx, std::int64_t n, std::int64_t channels, const PixelMap& map,
                  const float* x, float* y);

// Consecutive pieces of the workspace, aligned to 64 bytes as it is.
constexpr std::size_t piece_floats(std::int64_t floats) {
  return (static_cast<std::size_t>(floats) + 15) / 16 * 16;
}
constexpr std::size_t blocked_floats(std::int64_t n, std::int64_t pixels, std::int64_t channels) {
  return piece_floats(n * pixels * padded_channels(channels));
}
class Pieces {
 public:
  explicit Pieces(const Context& ctx) : next_(static_cast<float*>(ctx.workspace)) {}
  float* take(std::size_t floats) {
    float* const piece = next_;
    next_ += floats;
    return piece;
  }

 private:
  float* next_;
};

}  // namespace aikd::kernels::cpu
