// Arithmetic of the synthetic faces that gives the same bits everywhere: only +, -, *, / and square roots of
// doubles (IEEE 754 rounds these correctly; the build forbids contraction) and what is made from them here.
// The C library's sin, exp and pow differ between versions and machines, so nothing here calls them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "tensor/random.h"

namespace aikd::synth {

inline constexpr double kPi = 3.14159265358979323846;

struct Vec3 {  // a point, a direction, or a linear-light colour
  double x = 0, y = 0, z = 0;
};
inline Vec3 operator+(Vec3 a, Vec3 b) {
  return {a.x + b.x, a.y + b.y, a.z + b.z};
}
inline Vec3 operator-(Vec3 a, Vec3 b) {
  return {a.x - b.x, a.y - b.y, a.z - b.z};
}
inline Vec3 operator*(Vec3 a, Vec3 b) {
  return {a.x * b.x, a.y * b.y, a.z * b.z};
}
inline Vec3 operator*(Vec3 a, double s) {
  return {a.x * s, a.y * s, a.z * s};
}
inline double dot(Vec3 a, Vec3 b) {
  return a.x * b.x + a.y * b.y + a.z * b.z;
}
inline Vec3 cross(Vec3 a, Vec3 b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
inline Vec3 normalized(Vec3 a) {
  const double n = std::sqrt(dot(a, a));
  return n > 1e-12 ? a * (1.0 / n) : Vec3{0, 0, 1};
}

inline double clamp01(double x) {
  return std::min(1.0, std::max(0.0, x));
}
inline double mix(double a, double b, double t) {
  return a + (b - a) * t;
}
inline Vec3 mix(Vec3 a, Vec3 b, double t) {
  return a + (b - a) * t;
}
// 0 at or below `lo`, 1 at or above `hi`, 3 t^2 - 2 t^3 between.
inline double smoothstep(double lo, double hi, double x) {
  const double t = clamp01((x - lo) / (hi - lo));
  return t * t * (3.0 - 2.0 * t);
}
// A hill of height 1 and radius 1, given the squared distance: (1 - r^2)^3.
inline double hill(double r2) {
  if (r2 >= 1.0) return 0.0;
  const double t = 1.0 - r2;
  return t * t * t;
}
// The elliptic hill around (cx, cy) with radii (rx, ry).
inline double hill(double x, double y, double cx, double cy, double rx, double ry) {
  const double dx = (x - cx) / rx, dy = (y - cy) / ry;
  return hill(dx * dx + dy * dy);
}

// Sine by its Taylor series after reduction to a quarter turn; error below 1e-13 for |x| < 1000.
inline double sine(double x) {
  const double quarter = std::floor(x * (2.0 / kPi) + 0.5);
  const double r = x - quarter * (kPi / 2.0), r2 = r * r;
  const auto q = static_cast<std::int64_t>(quarter) & 3;
  const double s =
      r *
      (1.0 - r2 / 6.0 *
                 (1.0 - r2 / 20.0 *
                            (1.0 - r2 / 42.0 * (1.0 - r2 / 72.0 * (1.0 - r2 / 110.0 * (1.0 - r2 / 156.0))))));
  const double c =
      1.0 -
      r2 / 2.0 *
          (1.0 -
           r2 / 12.0 *
               (1.0 -
                r2 / 30.0 * (1.0 - r2 / 56.0 * (1.0 - r2 / 90.0 * (1.0 - r2 / 132.0 * (1.0 - r2 / 182.0))))));
  const double value = (q & 1) == 0 ? s : c;
  return (q & 2) == 0 ? value : -value;
}
inline double cosine(double x) {
  return sine(x + kPi / 2.0);
}
// exp(x) for x <= 0: Taylor's series at x/1024, squared ten times; relative error below 1e-8 for x > -16.
inline double exp_negative(double x) {
  if (x < -700.0) return 0.0;
  const double r = x / 1024.0;
  double e = 1.0 + r * (1.0 + r / 2.0 * (1.0 + r / 3.0 * (1.0 + r / 4.0 * (1.0 + r / 5.0))));
  for (int i = 0; i < 10; ++i) e *= e;
  return e;
}

// A colour as people name it (display values 0..255) in linear light; the display curve here is gamma 2, so
// that decoding is a product and encoding a square root.
inline Vec3 from_display(double r, double g, double b) {
  return {r * r / 65025.0, g * g / 65025.0, b * b / 65025.0};
}

// Smooth noise on the integer lattice, in [0, 1], mean 0.5.
inline double lattice(std::uint64_t seed, std::int64_t ix, std::int64_t iy) {
  const std::uint64_t h = splitmix64(seed ^ (static_cast<std::uint64_t>(ix) * 0x9e3779b97f4a7c15U) ^
                                     (static_cast<std::uint64_t>(iy) * 0xc2b2ae3d27d4eb4fU));
  return static_cast<double>(h >> 40) * 0x1p-24;
}
inline double noise(std::uint64_t seed, double x, double y) {
  const double fx = std::floor(x), fy = std::floor(y);
  const auto ix = static_cast<std::int64_t>(fx), iy = static_cast<std::int64_t>(fy);
  double tx = x - fx, ty = y - fy;
  tx = tx * tx * (3.0 - 2.0 * tx);
  ty = ty * ty * (3.0 - 2.0 * ty);
  return mix(mix(lattice(seed, ix, iy), lattice(seed, ix + 1, iy), tx),
             mix(lattice(seed, ix, iy + 1), lattice(seed, ix + 1, iy + 1), tx), ty);
}

}  // namespace aikd::synth
