// Five landmarks and the similarity that brings them to the reference positions.
#pragma once

#include <array>

namespace aikd {

struct Point {
  double x = 0, y = 0;  // pixels; (0, 0) is the centre of the top left pixel
  friend bool operator==(const Point&, const Point&) = default;
};

// Left eye, right eye, nose tip, left and right mouth corner, "left" as seen in the image.
using Landmarks = std::array<Point, 5>;

// Where aligned 112x112 faces have them (insightface / AI-KD alignment.py).
inline constexpr Landmarks kReferenceLandmarks{
    {{38.2946, 51.6963}, {73.5318, 51.5014}, {56.0252, 71.7366}, {41.5493, 92.3655}, {70.729904, 92.2041}}};

// [x'; y'] = [a b c; d e f] [x; y; 1]
struct Affine {
  double a = 1, b = 0, c = 0, d = 0, e = 1, f = 0;
};

// Least-squares similarity with scale (Umeyama, PAMI 13(4), 1991, eq. 40-43; scikit-image
// SimilarityTransform.estimate), in double. Throws Error(kInput) when the source points coincide or are not
// finite.
Affine umeyama(const Landmarks& source, const Landmarks& target = kReferenceLandmarks);

}  // namespace aikd
