// Affine warp by its definition, in double: every output pixel looks up where it comes from (the exact
// inverse of the matrix) and interpolates between the four pixels there; zeros outside.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace aikd::oracle {

inline std::vector<double> warp_affine(const std::vector<std::uint8_t>& x, int in_width, int in_height,
                                       const double m[6], int out_width, int out_height) {
  const auto pixel = [&](int u, int v, int c) {
    if (u < 0 || v < 0 || u >= in_width || v >= in_height) return 0.0;
    const auto index =
        static_cast<std::size_t>(v) * static_cast<std::size_t>(in_width) + static_cast<std::size_t>(u);
    return static_cast<double>(x[index * 3 + static_cast<std::size_t>(c)]);
  };
  const double determinant = m[0] * m[4] - m[1] * m[3];
  std::vector<double> y;
  for (int v = 0; v < out_height; ++v) {
    for (int u = 0; u < out_width; ++u) {
      const double du = u - m[2], dv = v - m[5];
      const double sx = (m[4] * du - m[1] * dv) / determinant, sy = (m[0] * dv - m[3] * du) / determinant;
      const double fx = std::floor(sx), fy = std::floor(sy);
      const double p = sx - fx, q = sy - fy;
      const int ix = static_cast<int>(fx), iy = static_cast<int>(fy);
      for (int c = 0; c < 3; ++c)
        y.push_back((1 - p) * (1 - q) * pixel(ix, iy, c) + p * (1 - q) * pixel(ix + 1, iy, c) +
                    (1 - p) * q * pixel(ix, iy + 1, c) + p * q * pixel(ix + 1, iy + 1, c));
    }
  }
  return y;
}

}  // namespace aikd::oracle
