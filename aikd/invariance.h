// How much landmark jitter changes what a model says of the same images: the measure of the method's purpose
// (arXiv 2404.09555: a quality score whatever the alignment).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "aikd/bootstrap.h"
#include "aikd/dataset.h"
#include "aikd/model.h"
#include "io/image.h"
#include "nn/plan.h"

namespace aikd {

struct InvarianceOptions {
  // p: each coordinate of the landmarks is moved by U[-p, p] pixels of the source image; the first is 0, the
  // aligned crop that the others are compared with.
  std::vector<double> pixels{0, 1, 2, 3, 4, 6, 8};
  bool relative = false;  // p in percent of the distance of the eyes instead
  std::uint64_t seed = 0;
  std::int64_t max_images = 0;  // spread evenly over the indices; 0: all
  io::DecodeOptions decode;
  int batch = 16;
  nn::Precision precision = nn::Precision::kFp32;
};

inline constexpr int kInvarianceDraws = 1000;

struct InvarianceResult {
  std::vector<double> pixels;
  std::int64_t images = 0;
  // Per p, in the order of the images: the score, and the cosine of the embedding with that of p = 0.
  std::vector<std::vector<float>> scores, cosines;
  // Per p, against p = 0: Spearman's rank correlation of the scores, their mean absolute difference, the
  // mean cosine of the embeddings; and Spearman's correlation of the scores with the labels.
  std::vector<double> spearman, score_change, mean_cosine, label_spearman;
  // 95 % of kInvarianceDraws bootstrap draws of people (of images where their names tell no people).
  std::vector<Interval> spearman_interval, cosine_interval;
};

// Images that cannot be decoded, or whose moved landmarks are degenerate, are left out of all p.
// Error(kInput) when fewer than two are left, Error(kUsage) for p that do not begin with 0 or are not finite.
InvarianceResult measure_invariance(const Model& model, const Dataset& dataset,
                                    std::span<const std::size_t> indices, Context& context,
                                    const InvarianceOptions& options);

// "model,pixels,images,spearman,spearman_low,spearman_high,score_change,mean_cosine,cosine_low,cosine_high,
// label_spearman" (without the line break), a row per p.
std::string invariance_header();
std::string invariance_rows(const std::string& name, const InvarianceResult& result);

}  // namespace aikd
