// The paint of the face: eyes, brows, nostrils, lips, beard and skin, each as soft-edged areas in the face's
// own (x, y).
#include <array>

#include "aikd/synth_paint.h"

namespace aikd::synth {
namespace {

// 1 inside (distance > 0), 0 outside, softened over one pixel.
double inside(double distance, double pixel) {
  return smoothstep(-pixel, pixel, distance);
}

// A line of half width `half` at `distance` from the point; thinner than a pixel it fades instead of
// vanishing.
double line(double distance, double half, double pixel) {
  const double wide = std::max(half, 0.7 * pixel);
  return (half / wide) * (1.0 - smoothstep(0.0, wide * 1.4, std::abs(distance)));
}

void paint_eye(const Person& p, const Photograph& photo, double x, double y, double pixel, Paint& out) {
  const double side = x < 0 ? -1.0 : 1.0;
  // (dx, dy): from the eye's centre, dx outwards, turned by the tilt of the eye.
  const double ox = side * x - p.eye_x, dx = ox, dy = y - p.eye_tilt * ox;
  if (dx * dx > 0.09 || dy > 0.2 || dy < -0.2) return;
  const double a = p.eye_width, q = dx / a, lids = photo.lids * (1.0 - 0.15 * std::max(0.0, photo.smile));
  const double span = std::max(0.0, 1.0 - q * q);
  // Upper lid: highest a little inside the middle; lower lid flatter, lowest a little outside.
  const double upper = -(p.eye_height * lids) * std::sqrt(span) * (0.55 + 0.45 * span) * (1.0 - 0.12 * q);
  const double lower =
      0.72 * p.eye_height * (1.0 - 0.25 * std::max(0.0, photo.smile)) * span * (1.0 + 0.15 * q);
  const double within = q * q < 1.0 ? std::min(dy - upper, lower - dy) : -1.0;
  const double opening = q * q < 1.0 ? inside(within, pixel * 0.8) : 0.0;

  // Lids and the hollow around the eye.
  const double hollow = hill(dx / 0.27, (dy + 0.02) / 0.17, 0, 0, 1, 1);
  out.open *= 1.0 - 0.3 * hollow;
  out.albedo = out.albedo * mix(Vec3{1, 1, 1}, Vec3{0.86, 0.74, 0.72}, hollow * (0.45 + 0.2 * p.age));
  const double crease = upper - p.lid_crease * (0.45 + 0.55 * std::sqrt(span));
  if (q * q < 1.25) {
    out.albedo = out.albedo * (1.0 - 0.42 * line(dy - crease, 0.008, pixel) * smoothstep(1.25, 0.7, q * q));
  }
  // Bags below.
  const double bag = line(dy - 0.095 - 0.03 * span, 0.022, pixel) * smoothstep(1.1, 0.4, q * q);
  out.albedo = out.albedo * (1.0 - (0.08 + 0.16 * p.age) * bag);

  if (opening > 0) {
    const double ix = ox * side - photo.gaze_x, iy = y - photo.gaze_y;  // image directions
    const double r = std::sqrt(ix * ix + iy * iy);
    Vec3 eye =
        mix(from_display(236, 232, 226), from_display(214, 176, 166), smoothstep(0.45, 1.05, std::abs(q)));
    const double iris = inside(p.iris_radius - r, pixel * 0.8);
    const double spoke = noise(p.seed + 11, 7.0 * ix / (r + 0.01) + 20.0, 7.0 * iy / (r + 0.01) + 20.0);
    Vec3 colour = p.iris * (0.8 + 0.6 * spoke) * mix(1.35, 0.75, clamp01(r / p.iris_radius));
    colour = mix(colour, colour * 0.18, smoothstep(0.78, 1.0, r / p.iris_radius));
    colour = mix(colour, Vec3{0.006, 0.005, 0.005}, inside(0.031 - r, pixel * 0.8));
    eye = mix(eye, colour, iris);
    const double lid_shadow = smoothstep(0.05, 0.0, dy - upper);  // cast by the lid and its lashes
    eye = eye * (1.0 - 0.55 * lid_shadow);
    out.albedo = mix(out.albedo, eye, opening);
    out.shine *= 1.0 - opening;
    out.translucent *= 1.0 - opening;
    out.open = mix(out.open, 0.95, opening);
    out.bend = out.bend * (1.0 - opening);
    const double lx = photo.light.x > 0 ? 0.024 : -0.024;
    const double spark =
        inside(0.0155 - std::sqrt((ix - lx) * (ix - lx) + (iy + 0.024) * (iy + 0.024)), pixel * 0.7);
    out.glow = out.glow + Vec3{0.85, 0.87, 0.9} * (spark * opening * clamp01(photo.key));
    const double corner = hill((q + 0.97) / 0.2, dy / 0.03, 0, 0, 1, 1);  // the pink inner corner
    out.albedo = mix(out.albedo, from_display(196, 128, 118), 0.8 * corner * opening);
  }
  // Lashes: a dark rim above, thicker outwards; a faint one below.
  if (q * q < 1.3) {
    const double reach = std::sqrt(std::max(0.0, 1.02 - q * q));
    const double rim = q * q < 1.02 ? upper - 0.004 : 0.004 - 0.05 * (std::abs(q) - 1.0);
    const double thick = (0.0085 + 0.006 * (1.0 - p.masculine)) * (1.0 + 0.35 * q) * (0.5 + 0.5 * reach);
    const double edge = q > -0.98 && q < mix(1.04, 1.2, 1.0 - p.masculine) ? 1.0 : 0.0;
    const double lash = edge * line(dy - rim, thick, pixel);
    out.albedo = mix(out.albedo, from_display(26, 18, 16), 0.92 * lash);
    out.glow = out.glow * (1.0 - lash);
    const double under = line(dy - lower - 0.003, 0.0045, pixel) * smoothstep(1.0, 0.8, q * q);
    out.albedo = mix(out.albedo, out.albedo * Vec3{0.5, 0.4, 0.38}, 0.75 * under);
  }
}

void paint_brow(const Person& p, const Photograph& photo, double x, double y, double pixel, Paint& out) {
  const double ax = std::abs(x), t = (ax - p.brow_inner) / (p.brow_outer - p.brow_inner);
  if (t < -0.15 || t > 1.1) return;
  const double raise = 0.035 * photo.brow_raise;
  const double peak =
      t < 0.62 ? smoothstep(0.0, 0.62, t) : 1.0 - 1.4 * (t - 0.62) * (t - 0.62) / (0.38 * 0.38) * 0.9;
  const double centre = -(p.brow_y + raise) + 0.012 - p.brow_slope * t - p.brow_arch * peak;
  const double thick = p.brow_thickness * (t < 0.3 ? mix(0.75, 1.0, smoothstep(-0.1, 0.3, t))
                                                   : mix(1.0, 0.22, (t - 0.3) / 0.75));
  const double strands = noise(p.seed + 21, 90.0 * ax + 55.0 * y, 26.0 * y - 18.0 * ax);
  const double soft = std::max(pixel, 0.013);
  const double edge = inside(thick - std::abs(y - centre) + 0.014 * (strands - 0.5), soft);
  const double ends = smoothstep(-0.08, 0.12, t) * smoothstep(1.06, 0.92, t);
  const double cover = edge * ends * (0.62 + 0.38 * strands);
  out.albedo = mix(out.albedo, p.brow_colour * (0.6 + 0.6 * strands), cover * 0.92);
  out.shine *= 1.0 - 0.8 * cover;
}

void paint_nose(const Person& p, double x, double y, double pixel, Paint& out) {
  const double ax = std::abs(x);
  const double wing_x = p.nose_wing, wing_y = p.nose_y + 0.06;
  // Nostrils, shade under the nose, the furrow round the wing.
  const double nx = (ax - 0.56 * wing_x) / (0.36 * wing_x + 0.012),
               ny = (y - wing_y - 0.032 + 0.12 * (ax - 0.5 * wing_x)) / 0.026;
  const double hole = inside(1.0 - std::sqrt(nx * nx + ny * ny), std::max(pixel / 0.035, 0.35));
  out.albedo = mix(out.albedo, p.skin * Vec3{0.24, 0.11, 0.1}, 0.85 * hole);
  out.shine *= 1.0 - hole;
  const double under = hill(x, y, 0, p.nose_y + 0.125, wing_x * 1.35, 0.07);
  out.open *= 1.0 - 0.28 * under;
  const double ring =
      std::sqrt((ax - wing_x) * (ax - wing_x) + (y - wing_y + 0.005) * (y - wing_y + 0.005)) - 0.075;
  const double furrow =
      line(ring, 0.014, pixel) * smoothstep(0.0, 0.05, ax - wing_x) * smoothstep(-0.09, -0.02, y - wing_y);
  out.albedo = out.albedo * mix(Vec3{1, 1, 1}, Vec3{0.6, 0.48, 0.46}, 0.6 * furrow);
  // Smile lines from the wing to beside the mouth.
  const double fx = wing_x + 0.09 + 0.5 * std::max(0.0, y - wing_y), fold = line(ax - fx, 0.02, pixel);
  const double along =
      smoothstep(wing_y - 0.03, wing_y + 0.06, y) * smoothstep(p.mouth_y + 0.06, p.mouth_y - 0.08, y);
  out.albedo = out.albedo * mix(Vec3{1, 1, 1}, Vec3{0.62, 0.52, 0.5}, 0.6 * p.folds * fold * along);
}

void paint_mouth(const Person& p, const Photograph& photo, const Mouth& m, double x, double y, double pixel,
                 Paint& out) {
  const double q = x / m.half_width, span = std::max(0.0, 1.0 - q * q);
  const double below = y - m.centre_line(x);
  out.open *= 1.0 - 0.32 * hill(x, y, 0, m.y + 0.17, 0.24, 0.06);
  if (q * q > 1.25 || std::abs(below) > 0.4) return;
  const double gap_up = -0.35 * m.gap * span, gap_down = 0.65 * m.gap * span;
  const double bow = 1.0 - p.cupid * hill(q * q * 45.0) +
                     0.25 * p.cupid * hill((std::abs(q) - 0.22) * (std::abs(q) - 0.22) * 25.0);
  const double stretch = 1.0 - 0.22 * std::max(0.0, photo.smile);
  const double upper = gap_up - p.upper_lip * stretch * bow * (0.25 * std::sqrt(span) + 0.75 * span);
  const double lower = gap_down + p.lower_lip * stretch * std::sqrt(span) * (0.3 + 0.7 * span);
  const double soft = std::max(pixel, 0.012);
  const double lip = q * q < 1.0 ? inside(std::min(below - upper, lower - below), soft) : 0.0;
  const double wrinkle = 0.9 + 0.2 * noise(p.seed + 31, 60.0 * q + 90.0, 4.0 * below);
  Vec3 colour = p.lip_colour * wrinkle;
  if (below < 0) colour = colour * 0.82;  // the upper lip faces down
  out.albedo = mix(out.albedo, colour, 0.9 * lip);
  out.gloss += 0.3 * lip * (below > 0 ? 1.0 : 0.3);
  // Between the lips: darkness with the upper teeth, or only the line.
  const double hole =
      m.gap > 0.004 && q * q < 1.0 ? inside(std::min(below - gap_up, gap_down - below), pixel) : 0.0;
  if (hole > 0) {
    const double tooth =
        0.9 + 0.1 * smoothstep(0.0, 0.2, std::abs(2.0 * (12.0 * q * 0.5 - std::floor(12.0 * q * 0.5)) - 1.0));
    const double teeth = inside(gap_up + 0.052 - below, pixel) * smoothstep(0.98, 0.6, q * q);
    const Vec3 inner =
        mix(from_display(58, 20, 20), from_display(232, 224, 210) * tooth * (0.5 + 0.5 * span), teeth);
    out.albedo = mix(out.albedo, inner, hole);
    out.gloss *= 1.0 - hole;
    out.shine *= 1.0 - hole;
    out.bend = out.bend * (1.0 - hole);
    out.open *= 1.0 - 0.25 * hole;
  }
  const double seam =
      m.gap > 0.004 ? std::min(std::abs(below - gap_up), std::abs(below - gap_down)) : std::abs(below);
  const double dark = line(seam, 0.0075 + 0.004 * span, pixel) * smoothstep(1.06, 0.9, q * q);
  out.albedo = mix(out.albedo, p.lip_colour * Vec3{0.2, 0.12, 0.12}, 0.8 * dark);
  const double corner = hill(std::abs(q), below, 1.02, 0.0, 0.16, 0.035);
  out.albedo = out.albedo * mix(Vec3{1, 1, 1}, Vec3{0.5, 0.38, 0.36}, 0.7 * corner);
}

void paint_beard(const Person& p, const Mouth& m, double x, double y, double pixel, Paint& out) {
  if (p.beard <= 0 && p.moustache <= 0 && p.stubble <= 0) return;
  const double ax = std::abs(x), top = m.y - 0.11 - 0.75 * std::max(0.0, ax - 0.42);
  double area =
      smoothstep(top - 0.04, top + 0.1, y) * smoothstep(0.2, 0.3, ax + 0.6 * std::max(0.0, y - m.y - 0.1));
  area = std::max(area, smoothstep(m.y + 0.1, m.y + 0.17, y));
  const double clear = hill(ax, y, 0.0, m.y + 0.035, m.half_width + 0.06, 0.19);  // round the lips
  area *= 1.0 - smoothstep(0.1, 0.45, clear);
  // The moustache: a band from under the nose to the lip, drooping beside the mouth's corners.
  const double reach = ax / (m.half_width * 1.12), lip_edge = m.y - 0.6 * p.upper_lip + 0.1 * reach * reach;
  const double height = 0.12 * std::max(0.0, 1.0 - reach * reach);
  const double upper = smoothstep(-0.03, 0.02, lip_edge - y) *
                       smoothstep(-0.03, 0.02, y - lip_edge + height) * smoothstep(1.06, 0.86, reach) *
                       (1.0 - 0.5 * hill(x * x * 900.0));
  const double strands = noise(p.seed + 41, 75.0 * x, 34.0 * y),
               fine = noise(p.seed + 42, 120.0 * x, 120.0 * y);
  const double cover = std::max(p.beard * area, p.moustache * upper);
  const double hairs =
      smoothstep(0.25, 0.75, cover * 1.15 + 0.45 * (strands - 0.5)) * std::min(1.0, cover * 1.6);
  const Vec3 grown = p.hair_colour * (0.45 + 0.75 * strands);
  const double shadow = p.stubble * std::max(area, 0.8 * upper) *
                        (0.5 + 0.5 * smoothstep(0.3, 0.8, fine) * smoothstep(0.05, 0.01, pixel));
  out.albedo = mix(out.albedo, mix(out.albedo * Vec3{0.55, 0.56, 0.6}, p.hair_colour, 0.3), 0.6 * shadow);
  out.albedo = mix(out.albedo, grown, hairs);
  out.shine *= 1.0 - 0.85 * hairs;
  out.translucent *= 1.0 - hairs;
}

}  // namespace

Paint paint_skin(const Person& p, const Photograph& photo, const Mouth& mouth, const Vertex& point,
                 double pixel) {
  const double x = point.u, y = point.v;
  Paint out;
  const double mottle = noise(p.seed + 1, 9.0 * x + 30.0, 9.0 * y + 30.0) +
                        0.5 * noise(p.seed + 2, 23.0 * x + 60.0, 23.0 * y + 60.0);
  out.albedo = p.skin * (0.95 + 0.07 * mottle);
  out.shine = 0.9;
  out.translucent = 1.0;
  if (point.w <= 0) return out;
  // Blood under the skin: cheeks, nose, ears, chin; a paler forehead.
  const double ax = std::abs(x);
  const double red = hill(ax, y, 0.4, 0.36, 0.34, 0.28) + 0.8 * hill(x, y, 0, p.nose_y + 0.02, 0.2, 0.16) +
                     0.4 * hill(x, y, 0, p.chin_y - 0.16, 0.25, 0.16);
  out.albedo = out.albedo * mix(Vec3{1, 1, 1}, Vec3{1.0, 0.8, 0.79}, clamp01(p.blush * red));
  const double oil = hill(x, y, 0, -0.42, 0.4, 0.26) + hill(x, y, 0, 0.2, 0.12, 0.34) +
                     hill(x, y, 0, p.chin_y - 0.2, 0.18, 0.12);
  out.shine *= 0.75 + 0.5 * oil;
  if (p.freckles > 0) {
    const double spots = noise(p.seed + 3, 42.0 * x + 70.0, 42.0 * y + 70.0);
    const double where = hill(ax, y, 0.28, 0.26, 0.5, 0.34);
    out.albedo = out.albedo * mix(Vec3{1, 1, 1}, Vec3{0.72, 0.56, 0.46},
                                  p.freckles * where * smoothstep(0.6, 0.85, spots));
  }
  for (int i = 0; i < p.moles; ++i) {
    const auto k = static_cast<std::size_t>(i);
    const double spot = hill(x, y, p.mole_x[k], p.mole_y[k], 0.024, 0.024);
    out.albedo = mix(out.albedo, p.skin * Vec3{0.3, 0.2, 0.17}, spot);
  }
  // Lines of the forehead.
  for (const double row : {-0.4, -0.5}) {
    const double wave = row + 0.03 * ax + 0.01 * noise(p.seed + 4, 6.0 * x + 10.0, row * 40.0);
    out.albedo = out.albedo * (1.0 - 0.2 * std::max(0.0, p.age - 0.45) * line(y - wave, 0.012, pixel) *
                                         smoothstep(0.42, 0.2, ax));
  }
  const double front = smoothstep(0.0, 0.6, point.w);
  Paint face = out;
  paint_beard(p, mouth, x, y, pixel, face);
  paint_nose(p, x, y, pixel, face);
  paint_mouth(p, photo, mouth, x, y, pixel, face);
  paint_brow(p, photo, x, y, pixel, face);
  paint_eye(p, photo, x, y, pixel, face);
  face.albedo = mix(out.albedo, face.albedo, front);
  return face;
}

}  // namespace aikd::synth
