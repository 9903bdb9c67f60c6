#include "aikd/synth_person.h"

#include <cstddef>

namespace aikd::synth {
namespace {

// A bell-shaped value around `mean`, never further than `spread` from it: the mean of three uniforms.
double around(Random& random, double mean, double spread) {
  const double sum = random.uniform() + random.uniform() + random.uniform();
  return mean + spread * (sum / 1.5 - 1.0);
}

template <std::size_t N>
Vec3 ramp(const std::array<Vec3, N>& stops, double t) {
  const double position = clamp01(t) * static_cast<double>(N - 1);
  const std::size_t i = std::min(static_cast<std::size_t>(position), N - 2);
  return mix(stops[i], stops[i + 1], position - static_cast<double>(i));
}

Vec3 pick_hair_colour(Random& random, double tone, double age) {
  static const std::array<Vec3, 6> natural{from_display(24, 20, 19),   from_display(46, 32, 25),
                                           from_display(78, 52, 36),   from_display(118, 84, 56),
                                           from_display(188, 150, 98), from_display(214, 184, 132)};
  const double u = random.uniform(), red = random.uniform(), grey = random.uniform();
  Vec3 colour = ramp(natural, u * (tone > 0.5 ? 0.25 : 1.0));
  if (red < 0.12 && tone < 0.4) colour = from_display(142, 66, 32);
  const double silver = clamp01((age - 0.55) * 2.2) * grey;
  return mix(colour, from_display(188, 186, 184), silver);
}

void draw_skull(Random& random, Person& p) {
  p.temple = around(random, 0.755, 0.05);
  p.cheekbone = around(random, 0.725, 0.06);
  p.jaw = around(random, mix(0.555, 0.62, p.masculine), 0.085);
  p.chin = around(random, mix(0.36, 0.45, p.masculine), 0.09);
  p.crown = around(random, 1.2, 0.08);
  p.chin_y = around(random, mix(1.15, 1.22, p.masculine), 0.09);
  p.squareness = around(random, 0.4, 0.25);
  p.forehead = around(random, 0.8, 0.04);
  p.cheek_fat = around(random, 0.0, 0.06);
  p.chin_forward = around(random, 0.05, 0.05);
  p.brow_ridge = mix(0.01, 0.055, p.masculine) * random.uniform(0.7, 1.2);
}

void draw_features(Random& random, Person& p) {
  p.eye_x = around(random, 0.33, 0.028);
  p.eye_width = around(random, 0.146, 0.02);
  p.eye_height = around(random, 0.062, 0.02);
  p.eye_tilt = around(random, -0.04, 0.14);
  p.iris_radius = around(random, 0.067, 0.005);
  p.lid_crease = around(random, 0.045, 0.025);
  p.eye_depth = around(random, 0.1, 0.04);
  p.brow_y = around(random, 0.195, 0.04);
  p.brow_arch = around(random, mix(0.05, 0.025, p.masculine), 0.04);
  p.brow_thickness = around(random, mix(0.026, 0.046, p.masculine), 0.014);
  p.brow_inner = around(random, 0.13, 0.05);
  p.brow_outer = around(random, 0.53, 0.05);
  p.brow_slope = around(random, 0.0, 0.03);
  p.nose_y = around(random, 0.395, 0.055);
  p.nose_length = around(random, 0.2, 0.06);
  p.nose_bridge = around(random, 0.075, 0.025);
  p.nose_wing = around(random, mix(0.115, 0.165, p.tone * 0.6 + random.uniform(0, 0.4)), 0.025);
  p.nose_tip = around(random, 0.05, 0.035);
  p.nose_hump = around(random, 0.0, 0.035);
  p.mouth_y = around(random, 0.755, 0.045);
  p.mouth_width = around(random, 0.272, 0.045);
  p.upper_lip = around(random, mix(0.072, 0.052, p.masculine) + 0.02 * p.tone, 0.02);
  p.lower_lip = around(random, mix(0.094, 0.074, p.masculine) + 0.02 * p.tone, 0.024);
  p.cupid = random.uniform(0.1, 0.5);
  p.lip_forward = around(random, 0.05, 0.02);
  p.ear_size = around(random, 1.0, 0.18);
  p.ear_out = around(random, 1.0, 0.45);
}

void draw_colours(Random& random, Person& p) {
  static const std::array<Vec3, 6> skins{from_display(244, 212, 192), from_display(236, 194, 166),
                                         from_display(218, 168, 134), from_display(186, 132, 96),
                                         from_display(140, 92, 64),   from_display(94, 61, 45)};
  static const std::array<Vec3, 6> irises{from_display(48, 30, 20),   from_display(84, 52, 28),
                                          from_display(116, 92, 48),  from_display(92, 116, 78),
                                          from_display(88, 128, 164), from_display(122, 136, 144)};
  p.skin = ramp(skins, p.tone);
  const double under = around(random, 0.0, 0.06);  // warmer or cooler
  p.skin = p.skin * Vec3{1.0 + under * 0.4, 1.0, 1.0 - under};
  p.iris = ramp(irises, random.uniform() * (p.tone > 0.5 ? 0.25 : 1.0));
  const Vec3 rose = from_display(mix(206, 122, p.tone), mix(112, 62, p.tone), mix(108, 60, p.tone));
  p.lip_colour = mix(p.skin * Vec3{0.86, 0.6, 0.6}, rose, random.uniform(0.1, mix(0.95, 0.5, p.masculine)));
  p.hair_colour = pick_hair_colour(random, p.tone, p.age);
  p.brow_colour = mix(p.hair_colour, from_display(40, 28, 22), 0.5);
  p.blush = random.uniform(0.1, 0.7);
  p.freckles = random.uniform() < 0.2 && p.tone < 0.35 ? random.uniform(0.4, 1.0) : 0.0;
  p.folds = mix(0.1, 1.0, p.age) * random.uniform(0.6, 1.0);
  p.moles = static_cast<int>(random.below(3));
  for (std::size_t i = 0; i < p.mole_x.size(); ++i) {
    p.mole_x[i] = random.uniform(-0.5, 0.5);
    p.mole_y[i] = random.uniform(0.12, 1.0);
  }
}

void draw_hair(Random& random, Person& p) {
  const bool man = p.masculine > 0.5;
  constexpr std::array<HairStyle, 8> men{HairStyle::kShort,  HairStyle::kShort, HairStyle::kBuzz,
                                         HairStyle::kFringe, HairStyle::kCurly, HairStyle::kReceding,
                                         HairStyle::kBald,   HairStyle::kShort};
  constexpr std::array<HairStyle, 8> women{HairStyle::kLong,  HairStyle::kLong,     HairStyle::kLongCurly,
                                           HairStyle::kShort, HairStyle::kFringe,   HairStyle::kLong,
                                           HairStyle::kCurly, HairStyle::kLongCurly};
  const std::size_t style = random.below(8);
  p.hair = man ? men[style] : women[style];
  p.hairline = around(random, 0.66, 0.08);
  p.hair_volume = random.uniform(0.07, 0.16);
  if (p.hair == HairStyle::kCurly) p.hair_volume = random.uniform(0.16, 0.34);
  if (p.hair == HairStyle::kLongCurly) p.hair_volume = random.uniform(0.16, 0.26);
  if (p.hair == HairStyle::kBuzz) p.hair_volume = 0.03;
  if (p.hair == HairStyle::kReceding) p.hair_volume = 0.06;
  p.parting = random.uniform(-0.5, 0.5);
  p.hair_length = random.uniform(0.9, 2.0);
  const double beard = random.uniform(), moustache = random.uniform(), stubble = random.uniform();
  if (man) {
    p.beard = beard < 0.28 ? random.uniform(0.6, 1.0) : 0.0;
    p.moustache = p.beard > 0 ? p.beard : (moustache < 0.15 ? random.uniform(0.6, 1.0) : 0.0);
    p.stubble = stubble < 0.6 ? stubble * 0.8 : 0.0;
  }
  static const std::array<Vec3, 5> frames{from_display(26, 24, 26), from_display(92, 54, 30),
                                          from_display(150, 142, 132), from_display(112, 30, 36),
                                          from_display(36, 50, 92)};
  p.glasses = random.uniform() < 0.22;
  p.glass_width = random.uniform(0.225, 0.265);
  p.glass_height = random.uniform(0.14, 0.2);
  p.glass_round = random.uniform();
  p.glass_thick = random.uniform(0.009, 0.021);
  p.glass_colour = frames[random.below(frames.size())];
}

}  // namespace

Person make_person(std::uint64_t identity) {
  Random random(splitmix64(identity) ^ 0x706572736f6eU);
  Person p;
  p.seed = random.bits();
  // Two humps, so that faces read as women and men more often than not.
  p.masculine = random.uniform() < 0.5 ? random.uniform(0.0, 0.4) : random.uniform(0.6, 1.0);
  p.age = random.uniform();
  p.tone = random.uniform();
  draw_skull(random, p);
  draw_features(random, p);
  draw_colours(random, p);
  draw_hair(random, p);
  return p;
}

Photograph make_photograph(std::uint64_t identity, std::uint64_t variation, const Degradation& degradation) {
  Random random(splitmix64(identity) ^ splitmix64(variation + 0x70686f746fU));
  Photograph s;
  s.seed = random.bits();
  s.smile = random.uniform(-0.25, 1.0);
  const double open = random.uniform();
  s.mouth_open = open < 0.3 ? open : 0.0;
  s.lids = random.uniform(0.8, 1.12);
  s.brow_raise = random.uniform(-0.5, 1.0);
  s.gaze_x = random.uniform(-0.02, 0.02);
  s.gaze_y = random.uniform(-0.008, 0.008);
  s.yaw = around(random, 0.0, 0.3);
  s.pitch = around(random, 0.0, 0.16);
  s.roll = around(random, 0.0, 0.18);
  s.body_yaw = around(random, 0.0, 0.4);
  s.face_scale = around(random, 0.22, 0.035);
  s.centre_x = around(random, 0.5, 0.04);
  s.centre_y = around(random, 0.5, 0.04);
  s.light = {random.uniform(-0.8, 0.8), random.uniform(-0.9, -0.15), 1.0};
  s.key = random.uniform(0.75, 1.05);
  s.ambient = random.uniform(0.3, 0.5);
  const double warmth = around(random, 0.0, 0.09);
  s.light_colour = {1.0 + warmth, 1.0, 1.0 - warmth};
  s.ambient_colour = {1.0 - 0.5 * warmth, 1.0, 1.0 + 0.6 * warmth};
  s.background = static_cast<int>(random.below(4));
  s.collar = static_cast<int>(random.below(3));
  const auto colour = [&random](double lo, double hi) {
    const double base = random.uniform(lo, hi);
    std::array<double, 3> c{};
    for (double& channel : c) channel = 255.0 * clamp01((base + random.uniform(-45.0, 45.0)) / 255.0);
    return from_display(c[0], c[1], c[2]);
  };
  s.background_a = colour(60, 210);
  s.background_b = colour(40, 190);
  s.clothes = colour(30, 220);
  s.clothes_2 = colour(30, 220);

  // Degradations of the scene, drawn last so that a level of 0 leaves the photograph as it was.
  const double side = s.yaw < 0 ? -1.0 : 1.0, nod = random.uniform(-1.0, 1.0);
  const double light_side = random.uniform() < 0.5 ? -1.0 : 1.0;
  const double light_height = random.uniform(-0.6, 0.5);
  const bool bright = random.uniform() < 0.3;
  s.yaw += degradation.pose * (side * 0.95 - s.yaw);  // up to about 55 degrees
  s.pitch += degradation.pose * 0.4 * nod;            // up to about 23 degrees
  const double dark = degradation.light;
  s.light = mix(normalized(s.light), Vec3{light_side, light_height, 0.12}, dark);
  s.ambient *= mix(1.0, 0.22, dark);
  s.exposure = bright ? mix(1.0, 3.6, dark) : mix(1.0, 0.32, dark);
  s.light = normalized(s.light);
  return s;
}

}  // namespace aikd::synth
