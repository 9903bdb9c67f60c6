// What a model is worth on the validation images, on crops by the true landmarks (aligned) and by moved ones
// (misaligned): losses, agreement with the labels, and how little the misalignment changes.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "aikd/model.h"
#include "aikd/train_config.h"
#include "aikd/train_loader.h"
#include "nn/frozen_plan.h"
#include "tensor/context.h"

namespace aikd {

struct ValidationResult {
  std::int64_t images = 0;
  // Means over the images. cosine_*: 1 - cos(teacher on the aligned crop, student on this one); NaN without a
  // teacher. loss_*: weighted as in training.
  double quality_aligned = 0, quality_misaligned = 0;
  double cosine_aligned = 0, cosine_misaligned = 0;
  double loss_aligned = 0, loss_misaligned = 0;
  // Spearman's rank correlation of scores and labels.
  double spearman_aligned = 0, spearman_misaligned = 0;
  // The point of the method: between the scores of both crops, and the mean cosine of their embeddings.
  double spearman_invariance = 0, embedding_cosine = 0;
  std::vector<float> scores_aligned;  // raw, in the order of the loader

  double value(KeepBest criterion) const noexcept;
};

class Validator {
 public:
  // `teacher`: the plan of the training step, or null; `context` and it must outlive the validator.
  Validator(nn::FrozenPlan* teacher, Context& context, const TrainConfig& config);

  // One pass of `loader` (LoaderOptions::for_validation) with the model as it is, on the scoring plan; labels
  // are mapped by the loader. Error(kInput) when no image can be used.
  ValidationResult run(const Model& model, TrainLoader& loader);

 private:
  void remember_teacher(const TrainBatch& batch, std::size_t features);

  nn::FrozenPlan* teacher_;
  Context* context_;
  TrainConfig config_;
  // The teacher's embeddings by item, kept from the first pass with it: the teacher never changes.
  std::unordered_map<std::size_t, std::vector<float>> teacher_embeddings_;
};

}  // namespace aikd
