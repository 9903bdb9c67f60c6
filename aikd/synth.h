// Parametric synthetic faces with exactly known landmarks: hermetic data for tests and the demo, free of
// anyone's rights.
//
// A small renderer: a head built of smooth surfaces from identity parameters (synth_person, synth_head),
// turned, projected with perspective, rasterised with 9 samples per pixel (synth_raster), painted by
// procedure (synth_skin, synth_paint) and lit by one key light with shadows and by its surroundings (synth);
// then degraded (synth_degrade). All arithmetic is IEEE double with +, -, *, / and square roots only
// (synth_math), so the bytes do not depend on the compiler, the C library or the machine.
#pragma once

#include <cstdint>
#include <string>

#include "aikd/alignment.h"
#include "io/image.h"

namespace aikd {

// Each degradation is 0 (none) to 1 (severe), applied in the order pose and light (in the scene), occlusion,
// blur, low resolution, noise, jpeg (on the picture). Lengths scale with the distance between the eyes, so
// that a level means the same at every picture size.
struct Degradation {
  double blur = 0;            // Gaussian, sigma up to 0.16 eye distances
  double noise = 0;           // sensor noise, sigma up to 0.22 of the range
  double low_resolution = 0;  // reduced until the eyes are down to 4 pixels apart, and enlarged again
  double jpeg = 0;            // JPEG's quantisation (baseline, 4:2:0), quality 5 + 90 (1 - level)^2
  double occlusion = 0;       // an object covers up to three quarters of the face
  double pose = 0;            // turned up to 55 degrees sideways, 23 up or down
  double light = 0;           // light from the side, under- or over-exposed
};

struct SynthFace {
  io::Image image;
  Landmarks landmarks;  // exact positions in `image`, also where something covers them
};

struct SynthOptions {
  std::uint64_t identity = 0;  // who: shape, colours, hair, proportions
  std::uint64_t variation =
      0;  // which photograph of that person: expression, small rotations, placement, background
  int width = 160, height = 160;  // 16..4096 each
  bool aligned = false;  // true: the face stands so that its landmarks are the reference points of a 112x112
                         // crop, scaled by min(width, height) / 112 and centred. With degradation.pose the
                         // landmarks approach, as in real crops, only the best similarity.
  Degradation degradation;
  bool markers =
      false;  // paints a small green disc on the skin round each landmark: for tests and for looking
};

// Deterministic: the same options give the same bytes on every machine. Error(kUsage) for a size or a
// degradation outside its range.
SynthFace render_face(const SynthOptions& options);

// How useful the face is by construction, in 0..1: the product over the degradations d of 1 - w_d d, with
// w = 0.75 blur, 0.45 noise, 0.85 low resolution, 0.45 jpeg, 0.8 occlusion, 0.6 pose, 0.5 light. A stated
// convention for tests and the demo, not a measurement.
double synth_utility(const Degradation& degradation);

}  // namespace aikd
