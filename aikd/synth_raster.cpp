#include "aikd/synth_raster.h"

namespace aikd::synth {

Vertex interpolate(const Surface& s, const Fragment& f) {
  const Vertex& a = f.lower ? s.at(f.row + 1, f.column + 1) : s.at(f.row, f.column);
  const Vertex& b = f.lower ? s.at(f.row + 1, f.column) : s.at(f.row, f.column + 1);
  const Vertex& c = f.lower ? s.at(f.row, f.column + 1) : s.at(f.row + 1, f.column);
  const double b0 = 1.0 - f.b1 - f.b2;
  return {a.position * b0 + b.position * f.b1 + c.position * f.b2,
          a.normal * b0 + b.normal * f.b1 + c.normal * f.b2, a.u * b0 + b.u * f.b1 + c.u * f.b2,
          a.v * b0 + b.v * f.b1 + c.v * f.b2, a.w * b0 + b.w * f.b1 + c.w * f.b2};
}

}  // namespace aikd::synth
