#include "aikd/synth_paint.h"

namespace aikd::synth {
namespace {

bool is_curly(const Person& p) {
  return p.hair == HairStyle::kCurly || p.hair == HairStyle::kLongCurly;
}

double strands(const Person& p, const Vertex& point) {
  if (is_curly(p)) {
    return 0.6 * noise(p.seed + 51, 26.0 * point.u + 90.0, 30.0 * point.v + 90.0) +
           0.4 * noise(p.seed + 52, 55.0 * point.u + 190.0, 60.0 * point.v + 190.0);
  }
  const double wave = 0.12 * noise(p.seed + 53, 3.0 * point.u + 20.0, 3.0 * point.v + 20.0);
  const double lean = 0.35 * p.parting * point.v;
  return 0.6 * noise(p.seed + 54, 38.0 * (point.u + wave + lean) + 200.0, 2.2 * point.v + 20.0) +
         0.4 * noise(p.seed + 55, 90.0 * (point.u + wave + lean) + 400.0, 3.5 * point.v + 40.0);
}

}  // namespace

bool hair_covers(const Person& p, const Vertex& point) {
  const double rough = p.hair == HairStyle::kBuzz || p.hair == HairStyle::kBald ? 0.03 : 0.075;
  return point.w > rough * (strands(p, point) * 1.6 - 0.9);
}

Paint paint_hair(const Person& p, const Vertex& point, double pixel) {
  Paint out;
  const double s = strands(p, point), detail = smoothstep(0.08, 0.015, pixel);
  out.albedo = p.hair_colour * mix(0.85, 0.35 + 1.0 * s, detail);
  const double root = smoothstep(0.0, 0.15, point.w);
  out.open = mix(0.6, 0.9, root) * (is_curly(p) ? 0.45 + 0.65 * s : 0.7 + 0.4 * s);
  out.shine = is_curly(p) ? 0.35 : 1.1 * (0.5 + s);
  out.bend = {0.5 * (s - 0.5), is_curly(p) ? 0.9 * (s - 0.5) : 0.0, 0};
  if (p.hair == HairStyle::kBuzz || p.hair == HairStyle::kBald) {  // scalp shows through
    out.albedo = mix(p.hair_colour, p.skin, p.hair == HairStyle::kBald ? 0.35 : 0.2);
    out.albedo = out.albedo * (0.75 + 0.4 * s);
    out.shine = 0.2;
  }
  return out;
}

Paint paint_other(const Person& p, const Photograph& photo, Material material, const Vertex& point) {
  Paint out;
  switch (material) {
    case Material::kEar: {
      const double hollow = hill(point.u * 1.4 + 0.1, point.v * 1.2, 0, 0, 1, 1);
      out.albedo = p.skin * mix(Vec3{0.98, 0.84, 0.82}, Vec3{0.62, 0.42, 0.4}, 0.75 * hollow);
      out.open = 0.85 - 0.35 * hollow;
      out.shine = 0.5;
      out.translucent = 1.0;
      break;
    }
    case Material::kNeck: {
      const double under = smoothstep(0.5, 0.05, point.w);  // shade below the jaw
      out.albedo = p.skin * mix(Vec3{0.95, 0.92, 0.91}, Vec3{0.8, 0.7, 0.68}, under);
      out.open = mix(0.85, 0.42, under);
      out.shine = 0.4;
      out.translucent = 1.0;
      break;
    }
    case Material::kShirt: {
      const double weave = 0.93 + 0.1 * noise(photo.seed + 61, 60.0 * point.u, 70.0 * point.v);
      Vec3 cloth = photo.clothes;
      if (photo.collar == 2) {  // stripes
        const double t = point.w * 7.0 - std::floor(point.w * 7.0);
        cloth = mix(photo.clothes, photo.clothes_2, smoothstep(0.42, 0.5, t) * smoothstep(1.0, 0.92, t));
      }
      const double seam = smoothstep(0.0, 0.008, point.v) * smoothstep(0.05, 0.04, point.v);
      out.albedo = cloth * weave * (1.0 - 0.3 * seam);
      out.open = 0.5 + 0.5 * smoothstep(0.0, 0.3, point.v);
      break;
    }
    case Material::kFrame:
      out.albedo = p.glass_colour;
      out.gloss = 0.6;
      out.shine = 0.5;
      break;
    case Material::kSkin:
    case Material::kHair:
      break;
  }
  return out;
}

Vec3 background(const Photograph& photo, double x, double y) {
  const double vignette = 1.0 - 0.35 * ((x - 0.5) * (x - 0.5) + (y - 0.5) * (y - 0.5));
  Vec3 colour = mix(photo.background_a, photo.background_a * 0.6, y * 0.8);
  if (photo.background == 1) {  // a diagonal change of light
    colour = mix(photo.background_a, photo.background_b, smoothstep(0.1, 0.9, 0.6 * x + 0.4 * y));
  } else if (photo.background == 2) {  // something out of focus
    const double blobs =
        0.65 * noise(photo.seed + 71, 3.0 * x, 3.0 * y) + 0.35 * noise(photo.seed + 72, 7.0 * x, 7.0 * y);
    colour = mix(photo.background_a, photo.background_b, smoothstep(0.3, 0.7, blobs));
  } else if (photo.background == 3) {  // upright panels
    const double t = x * 3.3 + 0.17,
                 panel = lattice(photo.seed + 73, static_cast<std::int64_t>(std::floor(t)), 0);
    const double edge = t - std::floor(t);
    colour =
        mix(photo.background_a, photo.background_b, 0.6 * panel) * (1.0 - 0.25 * hill(edge * edge * 120.0));
  }
  return colour * vignette;
}

}  // namespace aikd::synth
