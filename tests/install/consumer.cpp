// Renders a face, aligns it, and prints what the library says of itself.
#include <cstdio>

#include "aikd/preprocess.h"
#include "aikd/synth.h"
#include "tensor/config.h"

int main() {
  const aikd::SynthFace face = aikd::render_face({.identity = 1, .variation = 1});
  const aikd::io::Image crop = aikd::align_face(face.image, face.landmarks);
  std::printf("aikd %s: a %dx%d face became a %dx%d crop\n", aikd::kVersion, face.image.width,
              face.image.height, crop.width, crop.height);
  return crop.width == 112 && crop.height == 112 ? 0 : 1;
}
