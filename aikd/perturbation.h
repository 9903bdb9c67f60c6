// The misalignment AI-KD trains against: landmarks moved at random before the face is aligned by them
// (arXiv 2404.09555, section III; method 3.1).
#pragma once

#include <cstdint>

#include "aikd/alignment.h"

namespace aikd {

struct Perturbation {
  double pixels = 3;  // p: each coordinate + U[-p, p], in pixels of the source image
  double relative =
      0;  // > 0: p = relative times the distance of the eyes (points 0 and 1), instead of pixels
  std::uint64_t seed = 0;
};

// The epoch of validation passes: one perturbation for all of them. Epochs of training are smaller.
inline constexpr std::uint64_t kValidationEpoch = std::uint64_t{1} << 63;

// Error(kUsage) unless both sizes are finite and not negative.
void check_perturbation(const Perturbation& perturbation);

// A moved copy; `points` stays as it is (the published script added in place, method 3.2 item 4). p = 0
// returns the very same numbers. Coordinates are drawn in the order x0, y0, x1, ..., y4 as
//   -p + 2 p u,  u the next uniform of Random(splitmix64(splitmix64(splitmix64(seed) ^ epoch) ^ item))
// (tensor/random.h), so they depend on (seed, epoch, item) alone: not on who draws them, nor when.
Landmarks perturb(const Landmarks& points, const Perturbation& perturbation, std::uint64_t epoch,
                  std::uint64_t item);

}  // namespace aikd
