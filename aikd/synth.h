// Parametric synthetic faces with exactly known landmarks: hermetic data for tests and the demo, free of
// anyone's rights.
#pragma once

#include <cstdint>
#include <string>

#include "aikd/alignment.h"
#include "io/image.h"

namespace aikd {

// Each degradation is 0 (none) to 1 (severe).
struct Degradation {
  double blur = 0, noise = 0, low_resolution = 0, jpeg = 0, occlusion = 0, pose = 0, light = 0;
};

struct SynthFace {
  io::Image image;
  Landmarks landmarks;  // exact positions in `image`, also where something covers them
};

struct SynthOptions {
  std::uint64_t identity = 0;  // who: shape, colours, hair, proportions
  std::uint64_t variation =
      0;  // which photograph of that person: expression, small rotations, placement, background
  int width = 160, height = 160;
  bool aligned = false;  // true: the face stands so that its landmarks are the reference points of a 112x112
                         // crop (scaled to the size)
  Degradation degradation;
};

// Deterministic: the same options give the same bytes on every machine.
SynthFace render_face(const SynthOptions& options);

}  // namespace aikd
