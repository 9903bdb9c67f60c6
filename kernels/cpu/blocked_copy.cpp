#include "kernels/cpu/blocked_copy.h"

#include <algorithm>
#include <cstring>

namespace aikd::kernels::cpu {
void to_blocked(const Context& ctx, std::int64_t n, std::int64_t channels, const PixelMap& map,
                const float* x, float* y) {
  const std::int64_t blocks = blocks_of(channels);
  // Columns of the blocked image that lie inside the other one.
  const auto inside = [&](std::int64_t column) {
    const std::int64_t other = column * map.step + map.first_x;
    return other >= 0 && other < map.other_w;
  };
  std::int64_t begin = 0, end = map.w;
  while (begin < end && !inside(begin)) ++begin;
  while (end > begin && !inside(end - 1)) --end;
  parallel_for(ctx, n * blocks, [&](std::ptrdiff_t task, int) {
    const std::int64_t channel = task % blocks * kBlock, count = std::min(kBlock, channels - channel);
    const float* const image = x + task / blocks * map.other_h * map.other_w * channels + channel;
    float* to = y + task * map.h * map.w * kBlock;
    for (std::int64_t row = 0; row < map.h; ++row, to += map.w * kBlock) {
      const std::int64_t other = row * map.step + map.first_y;
      if (other < 0 || other >= map.other_h) {
        std::fill_n(to, map.w * kBlock, 0.0F);
        continue;
      }
      std::fill_n(to, begin * kBlock, 0.0F);
      std::fill(to + end * kBlock, to + map.w * kBlock, 0.0F);
      const float* from = image + (other * map.other_w + begin * map.step + map.first_x) * channels;
      for (std::int64_t column = begin; column < end; ++column, from += map.step * channels) {
        float* const pixel = to + column * kBlock;
        if (count == kBlock) {
          std::memcpy(pixel, from, kBlock * sizeof(float));
        } else {
          std::copy_n(from, count, pixel);
          std::fill(pixel + count, pixel + kBlock, 0.0F);
        }
      }
    }
  });
}

void from_blocked(const Context& ctx, std::int64_t n, std::int64_t channels, const PixelMap& map,
                  const float* x, float* y) {
  const std::int64_t blocks = blocks_of(channels);
  parallel_for(ctx, n * blocks, [&](std::ptrdiff_t task, int) {
    const std::int64_t channel = task % blocks * kBlock, count = std::min(kBlock, channels - channel);
    float* const image = y + task / blocks * map.other_h * map.other_w * channels + channel;
    const float* from = x + task * map.h * map.w * kBlock;
    for (std::int64_t row = 0; row < map.h; ++row) {
      float* to = image + ((row * map.step + map.first_y) * map.other_w + map.first_x) * channels;
      for (std::int64_t column = 0; column < map.w; ++column, from += kBlock, to += map.step * channels) {
        if (count == kBlock) {
          std::memcpy(to, from, kBlock * sizeof(float));
        } else {
          std::copy_n(from, count, to);
        }
      }
    }
  });
}

}  // namespace aikd::kernels::cpu
