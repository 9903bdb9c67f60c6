#include "aikd/perturbation.h"

#include <cmath>

#include "tensor/error.h"
#include "tensor/random.h"

namespace aikd {

void check_perturbation(const Perturbation& perturbation) {
  require(std::isfinite(perturbation.pixels) && perturbation.pixels >= 0, ErrorKind::kUsage,
          "The perturbation of the landmarks must be a number of pixels from 0 up, got ", perturbation.pixels,
          ".");
  require(std::isfinite(perturbation.relative) && perturbation.relative >= 0, ErrorKind::kUsage,
          "The perturbation relative to the distance of the eyes must be a number from 0 up, got ",
          perturbation.relative, ".");
}

Landmarks perturb(const Landmarks& points, const Perturbation& perturbation, std::uint64_t epoch,
                  std::uint64_t item) {
  double p = perturbation.pixels;
  const double dx = points[1].x - points[0].x, dy = points[1].y - points[0].y;
  if (perturbation.relative > 0) p = perturbation.relative * std::sqrt(dx * dx + dy * dy);
  if (p == 0) return points;
  Random random(splitmix64(splitmix64(splitmix64(perturbation.seed) ^ epoch) ^ item));
  Landmarks moved = points;
  for (Point& point : moved) {
    point.x += random.uniform(-p, p);
    point.y += random.uniform(-p, p);
  }
  return moved;
}

}  // namespace aikd
