#include "kernels/warp_affine.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace aikd::kernels {
namespace {

constexpr int kFractionBits = 10;  // of source coordinates
constexpr int kFractions = 32;     // positions between two pixels, per axis
constexpr int kShift = 5;          // log2 of kFractions
constexpr int kHalfFraction = (1 << kFractionBits) / kFractions / 2;

struct Inverse {
  double m[6];
};

// cv::warpAffine's own inversion, in its order of operations.
Inverse invert(const double* m) {
  const double determinant = m[0] * m[4] - m[1] * m[3];
  const double d = determinant != 0 ? 1.0 / determinant : 0.0;
  const double a = m[4] * d, b = m[1] * -d, c = m[3] * -d, e = m[0] * d;
  return {{a, b, -a * m[2] - b * m[5], c, e, -c * m[2] - e * m[5]}};
}

// Nearest integer, ties to even; what does not fit (or is NaN) becomes the smallest integer, as x86's
// cvtsd2si does.
std::int32_t round_to_int(double value) {
  const double rounded = std::nearbyint(value);
  return rounded >= -2147483648.0 && rounded <= 2147483647.0 ? static_cast<std::int32_t>(rounded)
                                                             : std::numeric_limits<std::int32_t>::min();
}

// Wraps on overflow, as OpenCV's vector code does; only meaningless matrices get there.
std::int32_t wrapping_add(std::int32_t a, std::int32_t b) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
}

int saturate_to_short(int value) {
  return std::clamp(value, -32768, 32767);
}

struct Source {
  const std::uint8_t* pixels;
  int width, height;

  const std::uint8_t* at(int x, int y) const {
    return pixels + (static_cast<std::ptrdiff_t>(y) * width + x) * 3;
  }
  // Zeros outside.
  int channel(int x, int y, int c) const {
    return x >= 0 && y >= 0 && x < width && y < height ? at(x, y)[c] : 0;
  }
};

void sample(const Source& source, int x, int y, int p, int q, std::uint8_t* out) {
  const int w00 = (kFractions - p) * (kFractions - q), w01 = p * (kFractions - q), w10 = (kFractions - p) * q,
            w11 = p * q;
  constexpr int kHalf = kFractions * kFractions / 2;
  if (x >= 0 && y >= 0 && x < source.width - 1 && y < source.height - 1) {
    const std::uint8_t* top = source.at(x, y);
    const std::uint8_t* bottom = source.at(x, y + 1);
    for (int c = 0; c < 3; ++c) {
      const int sum = w00 * top[c] + w01 * top[c + 3] + w10 * bottom[c] + w11 * bottom[c + 3];
      out[c] = static_cast<std::uint8_t>((sum + kHalf) >> (2 * kShift));
    }
    return;
  }
  for (int c = 0; c < 3; ++c) {
    const int sum = w00 * source.channel(x, y, c) + w01 * source.channel(x + 1, y, c) +
                    w10 * source.channel(x, y + 1, c) + w11 * source.channel(x + 1, y + 1, c);
    out[c] = static_cast<std::uint8_t>((sum + kHalf) >> (2 * kShift));
  }
}

}  // namespace

void warp_affine(const Context& ctx, const WarpAffineDims& dims, const double matrix[6],
                 const std::uint8_t* x, std::uint8_t* y) noexcept {
  const Inverse inverse = invert(matrix);
  const double* const m = inverse.m;
  const Source source{x, dims.in_width, dims.in_height};
  constexpr double kScale = 1 << kFractionBits;
  parallel_for(ctx, dims.out_height, [&](std::ptrdiff_t row, int) {
    const auto v = static_cast<double>(row);
    const std::int32_t row_x = wrapping_add(round_to_int((m[1] * v + m[2]) * kScale), kHalfFraction);
    const std::int32_t row_y = wrapping_add(round_to_int((m[4] * v + m[5]) * kScale), kHalfFraction);
    std::uint8_t* out = y + row * dims.out_width * 3;
    for (int u = 0; u < dims.out_width; ++u, out += 3) {
      const int fixed_x = wrapping_add(row_x, round_to_int(m[0] * u * kScale)) >> (kFractionBits - kShift);
      const int fixed_y = wrapping_add(row_y, round_to_int(m[3] * u * kScale)) >> (kFractionBits - kShift);
      sample(source, saturate_to_short(fixed_x >> kShift), saturate_to_short(fixed_y >> kShift),
             fixed_x & (kFractions - 1), fixed_y & (kFractions - 1), out);
    }
  });
}

}  // namespace aikd::kernels
