// A small rasteriser: surfaces -> for every sample of a picture, which point of which surface is seen there.
#pragma once

#include <cstdint>
#include <vector>

#include "aikd/synth_head.h"

namespace aikd::synth {

struct Fragment {
  int surface = -1;  // -1: nothing
  int row = 0, column = 0;
  bool lower = false;     // which of the quad's triangles
  double b1 = 0, b2 = 0;  // barycentric weights of its second and third corner
  double depth = -1e30;   // larger is nearer
};

// What a fragment shows, interpolated from the triangle's corners.
Vertex interpolate(const Surface& surface, const Fragment& fragment);

struct FragmentBuffer {
  int width = 0, height = 0;
  std::vector<Fragment> fragments;
  FragmentBuffer(int w, int h)
      : width(w), height(h), fragments(static_cast<std::size_t>(w) * static_cast<std::size_t>(h)) {}
  Fragment& at(int x, int y) {
    return fragments[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                     static_cast<std::size_t>(x)];
  }
  const Fragment& at(int x, int y) const {
    return fragments[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                     static_cast<std::size_t>(x)];
  }
};

// A vertex on the picture: sample (i, j) stands at x = i, y = j; a larger z hides a smaller one.
struct Projected {
  double x = 0, y = 0, z = 0;
};

// Draws `surface` (number `id`), whose vertices stand at `projected`. `visible(surface, fragment)` may refuse
// a fragment that would be seen (hair has gaps).
template <class Visible>
void rasterise(const Surface& surface, int id, const std::vector<Projected>& projected,
               FragmentBuffer& buffer, const Visible& visible) {
  for (int r = 0; r + 1 < surface.rows; ++r) {
    for (int c = 0; c + 1 < surface.columns; ++c) {
      const Projected& q00 = projected[surface.index(r, c)];
      const Projected& q01 = projected[surface.index(r, c + 1)];
      const Projected& q10 = projected[surface.index(r + 1, c)];
      const Projected& q11 = projected[surface.index(r + 1, c + 1)];
      for (const bool lower : {false, true}) {
        const Projected& a = lower ? q11 : q00;
        const Projected& b = lower ? q10 : q01;
        const Projected& d = lower ? q01 : q10;
        const double area = (b.x - a.x) * (d.y - a.y) - (b.y - a.y) * (d.x - a.x);
        if (std::abs(area) < 1e-12) continue;
        const double lo_x = std::min({a.x, b.x, d.x}), hi_x = std::max({a.x, b.x, d.x});
        const double lo_y = std::min({a.y, b.y, d.y}), hi_y = std::max({a.y, b.y, d.y});
        if (hi_x < 0 || hi_y < 0 || lo_x > buffer.width - 1 || lo_y > buffer.height - 1) continue;
        const int x0 = static_cast<int>(std::ceil(std::max(lo_x, 0.0)));
        const int y0 = static_cast<int>(std::ceil(std::max(lo_y, 0.0)));
        const int x1 = static_cast<int>(std::floor(std::min(hi_x, buffer.width - 1.0)));
        const int y1 = static_cast<int>(std::floor(std::min(hi_y, buffer.height - 1.0)));
        const double inverse = 1.0 / area;
        for (int y = y0; y <= y1; ++y) {
          for (int x = x0; x <= x1; ++x) {
            const double px = x - a.x, py = y - a.y;
            const double b1 = (px * (d.y - a.y) - py * (d.x - a.x)) * inverse;
            const double b2 = ((b.x - a.x) * py - (b.y - a.y) * px) * inverse;
            if (b1 < 0 || b2 < 0 || b1 + b2 > 1) continue;
            const double depth = a.z + b1 * (b.z - a.z) + b2 * (d.z - a.z);
            Fragment& old = buffer.at(x, y);
            if (depth <= old.depth) continue;
            const Fragment now{id, r, c, lower, b1, b2, depth};
            if (visible(surface, now)) old = now;
          }
        }
      }
    }
  }
}

}  // namespace aikd::synth
