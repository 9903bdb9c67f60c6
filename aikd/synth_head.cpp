#include "aikd/synth_head.h"

#include <array>
#include <cstddef>
#include <span>

namespace aikd::synth {
namespace {

struct Knot {
  double at, value;
};

// A cubic through the knots, its slope at a knot the one between the neighbours (Catmull-Rom); constant
// outside.
double curve(std::span<const Knot> knots, double x) {
  const std::size_t n = knots.size();
  if (x <= knots[0].at) return knots[0].value;
  if (x >= knots[n - 1].at) return knots[n - 1].value;
  std::size_t i = 0;
  while (x > knots[i + 1].at) ++i;
  const auto slope = [&](std::size_t k) {
    const std::size_t a = k == 0 ? 0 : k - 1, b = std::min(k + 1, n - 1);
    return (knots[b].value - knots[a].value) / (knots[b].at - knots[a].at);
  };
  const double h = knots[i + 1].at - knots[i].at, t = (x - knots[i].at) / h;
  const double a = knots[i].value, b = knots[i + 1].value, da = slope(i) * h, db = slope(i + 1) * h;
  return a + t * (da + t * (3.0 * (b - a) - 2.0 * da - db + t * (2.0 * (a - b) + da + db)));
}

constexpr double kWidest = -0.3;  // the height above which the skull is a dome

double root(double x) {
  return std::sqrt(std::max(0.0, x));
}

// How far the slice at height y is open: 1 in the middle of the head, 0 at the crown and under the chin.
double closing(const Person& p, double y) {
  if (y < kWidest) {
    const double q = clamp01((kWidest - y) / (p.crown + kWidest));
    return root(1.0 - q * q * (0.55 + 0.45 * q * q));
  }
  const double q = clamp01((y - 0.8) / (p.chin_y - 0.8));
  return root(1.0 - q * q * q * q);
}

double half_width(const Person& p, double y) {
  const std::array<Knot, 6> knots{{{kWidest, p.temple},
                                   {0.12, p.cheekbone},
                                   {0.45, mix(p.cheekbone, p.jaw, 0.45) + 0.35 * p.cheek_fat},
                                   {0.72, p.jaw + 0.5 * p.cheek_fat},
                                   {0.98, p.chin + 0.3 * p.cheek_fat},
                                   {1.25, 0.72 * p.chin}}};
  return curve(knots, y) * closing(p, y);
}

// Depth of the midline without nose, lips and chin.
double front(const Person& p, double y) {
  const std::array<Knot, 8> knots{{{-0.75, p.forehead},
                                   {-0.45, p.forehead + 0.055},
                                   {-0.15, p.forehead + 0.07},
                                   {0.1, p.forehead + 0.035},
                                   {0.45, p.forehead + 0.035},
                                   {0.75, p.forehead + 0.03},
                                   {1.05, p.forehead - 0.01},
                                   {1.3, p.forehead - 0.12}}};
  const double dome = y < kWidest ? closing(p, y) : mix(0.35, 1.0, closing(p, y));
  return curve(knots, y) * dome;
}

double back(const Person& p, double y) {
  const std::array<Knot, 4> knots{{{-0.4, 1.02}, {0.1, 0.9}, {0.6, 0.5}, {1.2, 0.2}}};
  return curve(knots, y) * closing(p, y);
}

// Depth at (x, y) of the front half without features; q = x / half width in [-1, 1].
double front_slice(const Person& p, double q, double y) {
  const double a = std::abs(q), r = a * a * mix(1.0, a, p.squareness);
  return front(p, y) * root(1.0 - r);
}

// What stands out of or is pressed into the smooth head (nose, lips, sockets, ...), added to the depth.
double relief(const Person& p, const Mouth& mouth, double x, double y) {
  const double ax = std::abs(x);
  double z = 0;
  // Brow ridge, sockets, eyeballs.
  z += p.brow_ridge * hill(ax, y, p.eye_x - 0.03, -p.brow_y + 0.03, 0.34, 0.13);
  z -= p.eye_depth * hill(ax, y, p.eye_x - 0.03, 0.0, 0.28, 0.19);
  z += 0.062 * hill(ax, y, p.eye_x, 0.0, 0.2, 0.135);
  // Nose: a ridge from the root to the tip, the ball of the tip, the wings.
  const double top = -0.06, t = (y - top) / (p.nose_y - top);
  if (t > -0.3 && t < 1.6) {
    const double along = t < 1.0 ? smoothstep(-0.25, 1.05, t) : 1.0 - smoothstep(1.0, 1.42, t);
    const double width = p.nose_bridge + 0.075 * clamp01(t);
    const double across = hill(x * x / (4.0 * width * width));
    z += p.nose_length * 1.08 * along * across + p.nose_hump * hill((t - 0.45) * (t - 0.45) * 9.0) * across;
  }
  z += p.nose_tip * hill(x, y, 0.0, p.nose_y, 0.14, 0.13);
  z += 0.1 * hill(ax, y, p.nose_wing, p.nose_y + 0.055, 0.088, 0.088);
  z -= 0.02 * hill(ax, y, p.nose_wing + 0.075, p.nose_y + 0.06, 0.06, 0.1);
  // Cheeks.
  z += 0.045 * hill(ax, y, 0.44, 0.26, 0.3, 0.26);
  z += p.cheek_fat * hill(ax, y, 0.42, 0.6, 0.32, 0.34);
  z -= 0.022 * p.folds *
       hill(ax - 0.19 - 0.45 * (y - p.nose_y), y, 0.0, 0.5 * (p.nose_y + mouth.y), 0.05, 0.22);
  // Mouth and chin.
  const double line = mouth.centre_line(x), below = y - line;
  z += p.lip_forward * hill(x, y, 0.0, mouth.y, 0.42, 0.3);
  z -= 0.014 * hill(x, y, 0.0, mouth.y - 0.16, 0.04, 0.09);
  const double w = mouth.half_width * 1.12;
  z += 0.042 * hill(x / w, (below + mouth.gap * 0.5) / 0.085 + 0.5, 0, 0, 1.0, 1.0);
  z += 0.05 * hill(x / (w * 0.85), (below - mouth.gap * 0.5) / 0.1 - 0.55, 0, 0, 1.0, 1.0);
  z -= 0.034 * hill(x / w, below / (0.03 + mouth.gap), 0, 0, 1.0, 1.0);
  z -= 0.03 * hill(ax, y, mouth.half_width + 0.02, mouth.y - mouth.corner_lift, 0.07, 0.08);
  z -= 0.032 * hill(x, y, 0.0, mouth.y + 0.19, 0.24, 0.075);
  z += p.chin_forward * hill(x, y, 0.0, p.chin_y - 0.16, 0.26, 0.2);
  return z;
}

Vec3 skin_point(const Person& p, const Mouth& mouth, double y, double sine_phi, double cosine_phi) {
  const double w = half_width(p, y), x = w * sine_phi;
  if (cosine_phi < 0) return {x, y, back(p, y) * cosine_phi};
  return {x, y, front_slice(p, sine_phi, y) + relief(p, mouth, x, y) * smoothstep(0.0, 0.35, cosine_phi)};
}

Surface grid(Material material, int rows, int columns) {
  Surface s;
  s.material = material;
  s.rows = rows;
  s.columns = columns;
  s.vertices.resize(static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns));
  return s;
}

double fraction(int i, int n) {
  return static_cast<double>(i) / static_cast<double>(n - 1);
}

Surface build_skin(const Person& p, const Mouth& mouth) {
  Surface s = grid(Material::kSkin, 150, 121);
  for (int r = 0; r < s.rows; ++r) {
    const double t = fraction(r, s.rows);  // denser at the crown and the chin, where the surface turns away
    const double y = mix(-p.crown, p.chin_y, 0.65 * t + 0.35 * (0.5 - 0.5 * cosine(kPi * t)));
    for (int c = 0; c < s.columns; ++c) {
      const double a = 2.0 * fraction(c, s.columns) - 1.0;  // -1..1; the front half takes 0.8 of the columns
      const double phi = std::abs(a) < 0.8
                             ? a / 0.8 * 0.5 * kPi
                             : (a < 0 ? -1.0 : 1.0) * kPi * (0.5 + 0.5 * (std::abs(a) - 0.8) / 0.2);
      const double sn = sine(phi), cs = cosine(phi);
      s.at(r, c) = {skin_point(p, mouth, y, sn, cs), {}, 0, y, smoothstep(0.0, 0.2, cs)};
      s.at(r, c).u = s.at(r, c).position.x;
    }
  }
  return s;
}

// The height above which hair grows, by azimuth from the middle of the forehead (0) to the back (pi).
double hair_edge(const Person& p, double phi) {
  const double a = std::abs(phi), recede = p.hair == HairStyle::kReceding ? 1.0 : 0.0;
  const bool is_long = p.hair == HairStyle::kLong || p.hair == HairStyle::kLongCurly;
  const double side = is_long ? p.hair_length : mix(0.05, 0.28, p.masculine);
  const double nape = is_long ? p.hair_length : 0.62;
  const double middle = -p.hairline - 0.12 * recede - (p.hair == HairStyle::kFringe ? -0.26 : 0.0);
  // Swept to the side of the parting, and not cut with a ruler.
  const double sweep = (p.hair == HairStyle::kFringe ? 0.28 : 0.1) * p.parting * phi +
                       0.07 * (noise(p.seed + 7, 4.0 * phi + 30.0, 0.5) - 0.5);
  const double corner = middle - (p.hair == HairStyle::kFringe ? 0.02 : 0.05 * p.masculine) - 0.22 * recede;
  if (p.hair == HairStyle::kBald) return mix(-9.0, 0.4, smoothstep(1.25, 1.7, a));
  const double opening = is_long ? 1.02 : 1.2;
  double y = mix(middle, corner, smoothstep(0.1, 0.62, a)) + sweep;
  y = mix(y, -0.3, smoothstep(0.72, opening, a));
  y = mix(y, side, smoothstep(opening, opening + 0.2, a));
  if (!is_long)
    y = mix(y, -0.12, smoothstep(1.45, 1.6, a) * (1.0 - smoothstep(1.8, 2.0, a)));  // round the ear
  return mix(y, nape, smoothstep(1.9, 2.3, a));
}

Surface build_hair(const Person& p) {
  Surface s = grid(Material::kHair, 110, 121);
  const bool is_long = p.hair == HairStyle::kLong || p.hair == HairStyle::kLongCurly;
  const bool curly = p.hair == HairStyle::kCurly || p.hair == HairStyle::kLongCurly;
  const double volume = p.hair == HairStyle::kBald ? 0.02 : p.hair_volume;
  const double bottom = is_long ? p.hair_length + 0.15 : 0.75;
  for (int r = 0; r < s.rows; ++r) {
    const double t = fraction(r, s.rows);
    for (int c = 0; c < s.columns; ++c) {
      const double phi = kPi * (2.0 * fraction(c, s.columns) - 1.0), sn = sine(phi), cs = cosine(phi);
      const double y0 = mix(-p.crown, bottom, t * mix(t, 1.0, 0.45));
      const double skull_y = std::min(y0, 0.45);  // long hair hangs down from the widest place
      double w = half_width(p, skull_y), f = front_slice(p, 0, skull_y), b = back(p, skull_y);
      const double above = hair_edge(p, phi) - y0;  // > 0 where hair grows
      double thick = volume * smoothstep(-0.06, is_long ? 0.3 : 0.22, above);
      if (p.hair == HairStyle::kFringe && std::abs(phi) < 0.9) thick = std::max(thick, 0.05);
      // More volume beside the parting and on top, less at the nape.
      thick *= 1.0 - 0.55 * hill((phi * 0.8 - p.parting) * (phi * 0.8 - p.parting) * 40.0) *
                         smoothstep(0.4, -0.6, y0);
      if (!curly) {
        const double side = p.hair == HairStyle::kShort ? 0.3 : (p.hair == HairStyle::kFringe ? 0.5 : 0.7);
        thick *= mix(1.0, is_long ? 0.85 : side, smoothstep(-0.75, -0.1, y0));
      }
      if (curly) {
        const double lump =
            noise(p.seed, 9.0 * phi + 40.0, 9.0 * y0) + 0.6 * noise(p.seed + 1, 19.0 * phi + 80.0, 19.0 * y0);
        thick *= 0.72 + 0.36 * lump;
      } else {
        thick *= 0.88 + 0.24 * noise(p.seed + 2, 14.0 * phi + 60.0, 1.3 * y0 + 9.0);
      }
      if (is_long) {  // the curtain narrows a little, then widens over the shoulders
        const double low = smoothstep(0.3, 1.3, y0);
        w = mix(w, 0.72, low) + 0.08 * smoothstep(0.9, 1.8, y0);
        b = mix(b, 0.62, low);
        f = mix(f, 0.42, low);
      }
      const double lift = thick - (above < -0.06 ? 0.06 : 0.0);
      const double top = smoothstep(-0.6, -p.crown, y0);
      const double depth = cs >= 0 ? (f + lift) * cs : (b + lift) * cs;
      const double slice =
          cs >= 0 ? std::sqrt(std::max(0.0, 1.0 - sn * sn * mix(1.0, std::abs(sn), p.squareness))) : -cs;
      const double z = cs >= 0 ? (f + lift) * slice : depth;
      s.at(r, c) = {{(w + lift) * sn, y0 - thick * 0.9 * top, z}, {}, phi, y0, above};
    }
  }
  return s;
}

Surface build_ear(const Person& p, double side) {
  Surface s = grid(Material::kEar, 22, 25);
  const double cx = half_width(p, 0.12) - 0.015, rx = 0.1 + 0.06 * p.ear_out, ry = 0.215 * p.ear_size;
  for (int r = 0; r < s.rows; ++r) {
    const double theta = kPi * fraction(r, s.rows);
    for (int c = 0; c < s.columns; ++c) {
      const double phi = 2.0 * kPi * fraction(c, s.columns);
      const double wide = 1.0 - 0.35 * smoothstep(0.3, 1.0, fraction(r, s.rows));  // narrower at the lobe
      const Vec3 q{sine(theta) * cosine(phi), -cosine(theta), sine(theta) * sine(phi)};
      const double x = side * (cx + rx * wide * q.x * 0.9 + 0.02 * p.ear_out * (q.y < 0 ? -q.y : 0.0));
      s.at(r, c) = {{x, 0.1 + ry * q.y, -0.08 + 0.075 * wide * q.z - 0.1 * q.x}, {}, q.x, q.y, q.z};
    }
  }
  return s;
}

Surface build_neck(const Person& p) {
  Surface s = grid(Material::kNeck, 24, 49);
  const double radius = mix(0.4, 0.52, p.masculine) + 0.4 * p.cheek_fat;
  for (int r = 0; r < s.rows; ++r) {
    const double t = fraction(r, s.rows), y = mix(0.55, 2.1, t);
    const double flare = radius * (1.0 + 0.1 * (1.0 - t) * (1.0 - t) + 0.75 * smoothstep(0.62, 1.0, t));
    for (int c = 0; c < s.columns; ++c) {
      const double phi = kPi * (2.0 * fraction(c, s.columns) - 1.0);
      s.at(r, c) = {{flare * sine(phi), y, -0.12 + 0.12 * t + 0.92 * flare * cosine(phi)}, {}, phi, y, t};
    }
  }
  return s;
}

Surface build_shirt(const Person& p, const Photograph& photo) {
  Surface s = grid(Material::kShirt, 30, 61);
  const double shoulder = mix(1.5, 1.85, p.masculine);
  for (int r = 0; r < s.rows; ++r) {
    const double t = fraction(r, s.rows), drop = std::sqrt(t);
    for (int c = 0; c < s.columns; ++c) {
      const double phi = kPi * (2.0 * fraction(c, s.columns) - 1.0), sn = sine(phi), cs = cosine(phi);
      // From the neckline outwards and down; lower in front, most for a V-neck.
      const double dip = (photo.collar == 1 ? 0.42 : 0.2) * smoothstep(0.5, 1.0, cs) * (1.0 - t);
      const double x = mix(0.5, shoulder, drop) * sn, z = -0.05 + mix(0.46, 0.8, drop) * cs;
      const double y =
          1.5 + dip + 0.42 * t + 1.7 * smoothstep(0.45, 1.0, t) * t + 0.08 * (1.0 - std::abs(sn));
      s.at(r, c) = {{x, y, z}, {}, phi, t, y};
    }
  }
  return s;
}

// A tube of the frame along a closed (rim) or open (bridge, temple) line.
template <class Line>
Surface tube(int steps, double radius, const Line& line) {
  Surface s = grid(Material::kFrame, steps, 9);
  for (int r = 0; r < s.rows; ++r) {
    const double t = fraction(r, s.rows);
    const Vec3 here = line(t), ahead = normalized(line(t + 1e-3) - line(t - 1e-3));
    const Vec3 side = normalized(cross(ahead, std::abs(ahead.z) > 0.8 ? Vec3{0, 1, 0} : Vec3{0, 0, 1}));
    const Vec3 up = cross(side, ahead);
    for (int c = 0; c < s.columns; ++c) {
      const double phi = 2.0 * kPi * fraction(c, s.columns);
      s.at(r, c) = {here + side * (radius * cosine(phi)) + up * (radius * sine(phi)), {}, phi, t, 0};
    }
  }
  return s;
}

void build_glasses(const Person& p, const Mouth& mouth, std::vector<Surface>& out) {
  const double z = front(p, 0.0) + relief(p, mouth, 0, -0.02) + 0.02, gap = p.glass_width + 0.005;
  const double y = 0.03, edge = 2.0 * gap;
  for (const double side : {-1.0, 1.0}) {
    const double cx = side * (p.eye_x + 0.01);
    out.push_back(tube(56, p.glass_thick, [&](double t) {
      const double c = cosine(2 * kPi * t), s = sine(2 * kPi * t);
      const double a = std::abs(c), b = std::abs(s);  // between an ellipse and a rounded rectangle
      const double k = 1.0 / root(root(a * a * a * a + b * b * b * b));
      const double q = mix(k, 1.0, p.glass_round);
      return Vec3{cx + p.glass_width * q * c, y + p.glass_height * q * s,
                  z - 0.1 * std::abs(cx + p.glass_width * q * c) * std::abs(cx)};
    }));
    const double outer = p.eye_x + 0.01 + p.glass_width, w = half_width(p, 0) + 0.03;
    out.push_back(tube(16, p.glass_thick, [&](double t) {
      return Vec3{side * mix(outer, w, smoothstep(0.0, 0.4, t)), y - 0.03,
                  mix(z - 0.1 * outer * p.eye_x, -0.12, t)};
    }));
  }
  const double inner = p.eye_x + 0.01 - p.glass_width;
  out.push_back(tube(12, p.glass_thick, [&](double t) {
    const double x = inner * (2.0 * t - 1.0), arch = 1.0 - (2.0 * t - 1.0) * (2.0 * t - 1.0);
    return Vec3{x, y - 0.02 - 0.035 * arch, z + 0.03 * arch - 0.02 * edge * 0.1};
  }));
}

}  // namespace

Mouth mouth_of(const Person& p, const Photograph& photo) {
  const double smile = photo.smile;
  return {p.mouth_y + 0.02 * photo.mouth_open, p.mouth_width * (1.0 + 0.13 * smile), 0.045 * smile,
          0.13 * photo.mouth_open + 0.035 * smoothstep(0.55, 1.0, smile)};
}

Vec3 face_point(const Person& p, const Photograph& photo, double x, double y) {
  const double q = std::min(0.999, std::max(-0.999, x / half_width(p, y)));
  return skin_point(p, mouth_of(p, photo), y, q, root(1.0 - q * q));
}

std::array<Vec3, 5> landmark_points(const Person& p, const Photograph& photo) {
  const Mouth m = mouth_of(p, photo);
  const double corner = m.y - m.corner_lift;
  return {face_point(p, photo, -p.eye_x, 0), face_point(p, photo, p.eye_x, 0),
          face_point(p, photo, 0, p.nose_y), face_point(p, photo, -m.half_width, corner),
          face_point(p, photo, m.half_width, corner)};
}

std::vector<Surface> build_surfaces(const Person& p, const Photograph& photo) {
  const Mouth mouth = mouth_of(p, photo);
  std::vector<Surface> out;
  out.push_back(build_skin(p, mouth));
  out.push_back(build_hair(p));
  out.push_back(build_ear(p, -1));
  out.push_back(build_ear(p, 1));
  out.push_back(build_neck(p));
  out.push_back(build_shirt(p, photo));
  if (p.glasses) build_glasses(p, mouth, out);
  return out;
}

void compute_normals(Surface& s) {
  for (int r = 0; r < s.rows; ++r) {
    for (int c = 0; c < s.columns; ++c) {
      const Vec3 across =
          s.at(r, std::min(c + 1, s.columns - 1)).position - s.at(r, std::max(c - 1, 0)).position;
      const Vec3 down = s.at(std::min(r + 1, s.rows - 1), c).position - s.at(std::max(r - 1, 0), c).position;
      s.at(r, c).normal = normalized(cross(across, down));
    }
  }
}

}  // namespace aikd::synth
