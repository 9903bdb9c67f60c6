// Degradations of a finished picture (aikd/synth.h tells what the levels mean).
#pragma once

#include <cstdint>

#include "aikd/synth.h"

namespace aikd::synth {

// `seed` chooses the occluding object and the noise. Levels of 0 leave every byte as it is.
void degrade(io::Image& image, const Landmarks& landmarks, const Degradation& degradation,
             std::uint64_t seed);

// The parts, in the order they are applied; level in [0, 1].
void occlude(io::Image& image, const Landmarks& landmarks, double level, std::uint64_t seed);
void blur(io::Image& image, double sigma);               // pixels
void lower_resolution(io::Image& image, double factor);  // >= 1: this many times fewer pixels each way
void add_noise(io::Image& image, double sigma, std::uint64_t seed);  // grey levels
// What baseline JPEG with 4:2:0 chroma and the standard's example tables does to the pixels (ITU-T T.81,
// annex A and K; quality as libjpeg scales the tables), computed in double instead of by a codec, whose
// versions differ.
void jpeg_artefacts(io::Image& image, int quality);

}  // namespace aikd::synth
