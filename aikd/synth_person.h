// Who is on the picture (Person: the same in every photograph) and how it was taken (Photograph). Lengths are
// head units: 1 unit is about 95 mm, the eyes are 0.66 apart; x to the image's right, y down, z towards the
// camera, the origin between the eyes in the middle of the head.
#pragma once

#include <array>
#include <cstdint>

#include "aikd/synth.h"
#include "aikd/synth_math.h"

namespace aikd::synth {

enum class HairStyle { kBald, kBuzz, kShort, kFringe, kCurly, kLong, kLongCurly, kReceding, kCount };

struct Person {
  std::uint64_t seed = 0;
  double masculine = 0.5, age = 0.3;  // 0..1
  // Skull: half widths at temple, cheekbone, mouth and chin; heights of the crown and the chin.
  double temple = 0.76, cheekbone = 0.74, jaw = 0.6, chin = 0.42, crown = 1.2, chin_y = 1.2;
  double squareness = 0.4, forehead = 0.8, cheek_fat = 0, chin_forward = 0.05, brow_ridge = 0.03;
  // Eyes.
  double eye_x = 0.33, eye_width = 0.14, eye_height = 0.062, eye_tilt = 0, iris_radius = 0.066,
         lid_crease = 0.05, eye_depth = 0.1;
  Vec3 iris;
  // Brows.
  double brow_y = 0.19, brow_arch = 0.04, brow_thickness = 0.03, brow_inner = 0.13, brow_outer = 0.52,
         brow_slope = 0;
  Vec3 brow_colour;
  // Nose.
  double nose_y = 0.4, nose_length = 0.2, nose_bridge = 0.06, nose_wing = 0.12, nose_tip = 0.05,
         nose_hump = 0;
  // Mouth.
  double mouth_y = 0.76, mouth_width = 0.27, upper_lip = 0.05, lower_lip = 0.07, cupid = 0.3,
         lip_forward = 0.05;
  Vec3 lip_colour;
  // Skin.
  Vec3 skin;
  double tone = 0.3;  // 0 light to 1 dark
  double blush = 0.3, freckles = 0, folds = 0.2;
  int moles = 0;
  std::array<double, 4> mole_x{}, mole_y{};
  // Hair.
  HairStyle hair = HairStyle::kShort;
  Vec3 hair_colour;
  double hairline = 0.62, hair_volume = 0.12, parting = 0.3, hair_length = 1.6;
  double moustache = 0, beard = 0, stubble = 0;  // 0..1 density
  // Ears and glasses.
  double ear_size = 1, ear_out = 1;
  bool glasses = false;
  double glass_width = 0.24, glass_height = 0.17, glass_round = 1, glass_thick = 0.014;
  Vec3 glass_colour;
};

struct Photograph {
  std::uint64_t seed = 0;
  // Expression, -1..1 or 0..1.
  double smile = 0, mouth_open = 0, lids = 1, brow_raise = 0, gaze_x = 0, gaze_y = 0;
  double yaw = 0, pitch = 0, roll = 0;  // radians
  double body_yaw = 0;
  double face_scale = 0.24, centre_x = 0.5, centre_y = 0.47;  // eye distance / width; centre of the face
  // Light: direction of the key light, its and the surroundings' strength and colour, exposure.
  Vec3 light, light_colour, ambient_colour;
  double key = 1, ambient = 0.4, exposure = 1;
  // Background and clothes.
  int background = 0, collar = 0;
  Vec3 background_a, background_b, clothes, clothes_2;
};

Person make_person(std::uint64_t identity);
// `degradation` contributes its pose and light.
Photograph make_photograph(std::uint64_t identity, std::uint64_t variation, const Degradation& degradation);

}  // namespace aikd::synth
