// From a decoded photograph to the pixels and numbers the network sees (method: resize or align, then
// normalise).
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "aikd/alignment.h"
#include "io/image.h"
#include "kernels/resize.h"
#include "nn/plan.h"

namespace aikd {

// What a model expects of its input; stored as JSON in the metadata key "aikd.preprocess":
//   {"width":112,"height":112,"order":"RGB","divide":255,"mean":[0.5,0.5,0.5],"std":[0.5,0.5,0.5]}
struct Preprocessing {
  int width = 112, height = 112;
  bool bgr = false;       // the network's first channel is blue
  float divide = 255.0F;  // value = (byte / divide - mean[c]) / std[c], in float32, in this order
  std::array<float, 3> mean{0.5F, 0.5F, 0.5F};  // per network channel
  std::array<float, 3> std{0.5F, 0.5F, 0.5F};

  static Preprocessing parse(std::string_view json);  // Error(kModel) with a sentence
  std::string to_json() const;
  nn::InputTable table() const;
  friend bool operator==(const Preprocessing&, const Preprocessing&) = default;
};

// "horizontal-first" or "pillow13"; Error(kUsage) for any other name.
kernels::ResizeOrder parse_resize_order(std::string_view name);

// Pillow's antialiased bilinear resize, byte for byte (kernels/resize.h, also for `order`). The same size is
// a copy.
io::Image resize(const io::Image& image, int width, int height,
                 kernels::ResizeOrder order = kernels::ResizeOrder::kHorizontalFirst);

// OpenCV's warpAffine (bilinear, border 0), byte for byte (kernels/warp_affine.h).
io::Image warp_affine(const io::Image& image, const Affine& source_to_target, int width, int height);

// Alignment by five points: similarity to the reference points, then warp_affine to width x height. Throws
// Error(kInput) when the points are degenerate or not finite.
io::Image align_face(const io::Image& image, const Landmarks& points, int width = 112, int height = 112);

}  // namespace aikd
