// Scores batches of pre-processed faces with a model's compiled plan.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "aikd/model.h"
#include "nn/plan.h"

namespace aikd {

struct Score {
  float raw = 0;      // the head's output, or the norm of the embedding (computed in double, rounded once)
  double mapped = 0;  // 0..100, NaN where the model has no mapping
};

class Scorer {
 public:
  // `model` is read while compiling and kept for its mapping; `context` must outlive the scorer.
  Scorer(std::shared_ptr<const Model> model, Context& context, const nn::PlanOptions& options = {});

  const Model& model() const noexcept { return *model_; }
  const nn::Plan& plan() const noexcept { return *plan_; }
  // images: n x height x width x 3 bytes as the model's Preprocessing wants them. embeddings: n x
  // embedding_size() or empty.
  std::vector<Score> score(std::span<const std::uint8_t> images, std::int64_t n,
                           std::span<float> embeddings = {});

 private:
  std::shared_ptr<const Model> model_;
  std::unique_ptr<nn::Plan> plan_;
};

}  // namespace aikd
