#include "aikd/validation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "aikd/linear_probe.h"
#include "aikd/similarity.h"
#include "aikd/train_step.h"
#include "tensor/error.h"

namespace aikd {
namespace {

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();

double quality_term(double score, double label, const TrainConfig& config) {
  const double d = std::abs(score - label);
  if (config.quality_loss == QualityLoss::kL1 || d >= config.quality_beta)
    return config.quality_loss == QualityLoss::kL1 ? d : d - config.quality_beta / 2;
  return d * d / (2 * config.quality_beta);
}

}  // namespace

double ValidationResult::value(KeepBest criterion) const noexcept {
  switch (criterion) {
    case KeepBest::kQualityMisaligned:
      return quality_misaligned;
    case KeepBest::kQualityAligned:
      return quality_aligned;
    case KeepBest::kLoss:
      break;
  }
  return loss_misaligned;
}

Validator::Validator(nn::FrozenPlan* teacher, Context& context, const TrainConfig& config)
    : teacher_(teacher), context_(&context), config_(config) {}

// Which images can be read may differ from pass to pass (a network drive that fails): hence by item.
void Validator::remember_teacher(const TrainBatch& batch, std::size_t features) {
  const auto known = [this](std::size_t item) { return teacher_embeddings_.contains(item); };
  if (std::ranges::all_of(batch.items, known)) return;
  const Tensor embeddings = teacher_->run(batch.aligned, batch.n)[0].to(Device::cpu());
  const auto values = embeddings.values<float>();
  for (std::size_t i = 0; i < batch.items.size(); ++i) {
    const auto row = values.subspan(i * features, features);
    teacher_embeddings_[batch.items[i]].assign(row.begin(), row.end());
  }
}

ValidationResult Validator::run(const Model& model, TrainLoader& loader) {
  const std::unique_ptr<nn::Plan> plan = nn::Plan::compile(
      model.backbone(), model.head(), model.preprocessing().table(), *context_,
      {.max_batch = static_cast<int>(config_.val_batch), .precision = plan_precision(config_.precision)});
  const auto features = static_cast<std::size_t>(plan->embedding_size());
  ValidationResult result;
  std::vector<double> labels, aligned_scores, misaligned_scores;
  std::vector<float> aligned, misaligned, aligned_head, misaligned_head;
  const bool with_teacher = teacher_ != nullptr;
  TrainBatch batch;
  loader.start(0);
  while (loader.next(batch)) {
    const auto n = static_cast<std::size_t>(batch.n), values = n * features;
    for (auto* embeddings : {&aligned, &misaligned}) embeddings->resize(values);
    for (auto* scores : {&aligned_head, &misaligned_head}) scores->resize(n);
    plan->run(batch.aligned, batch.n, aligned, aligned_head);
    plan->run(batch.misaligned, batch.n, misaligned, misaligned_head);
    if (with_teacher) remember_teacher(batch, features);
    for (std::size_t i = 0; i < n; ++i) {
      const auto row = [&](const std::vector<float>& batch_values) {
        return std::span<const float>(batch_values).subspan(i * features, features);
      };
      const auto label = static_cast<double>(batch.labels[i]);
      const auto sa = static_cast<double>(aligned_head[i]), sm = static_cast<double>(misaligned_head[i]);
      result.quality_aligned += quality_term(sa, label, config_);
      result.quality_misaligned += quality_term(sm, label, config_);
      result.embedding_cosine += cosine_similarity(row(aligned), row(misaligned));
      if (with_teacher) {
        const std::vector<float>& t = teacher_embeddings_.at(batch.items[i]);
        result.cosine_aligned += 1 - cosine_similarity(t, row(aligned));
        result.cosine_misaligned += 1 - cosine_similarity(t, row(misaligned));
      }
      labels.push_back(label);
      aligned_scores.push_back(sa);
      misaligned_scores.push_back(sm);
      result.scores_aligned.push_back(aligned_head[i]);
    }
    result.images += batch.n;
  }
  require(result.images > 0, ErrorKind::kInput, "None of the validation images can be used.");
  for (double* sum : {&result.quality_aligned, &result.quality_misaligned, &result.cosine_aligned,
                      &result.cosine_misaligned, &result.embedding_cosine})
    *sum /= static_cast<double>(result.images);
  const auto weighted = [&](double quality, double cosine_term) {
    return config_.quality_weight * quality + (with_teacher ? config_.cosine_weight * cosine_term : 0);
  };
  result.loss_aligned = weighted(result.quality_aligned, result.cosine_aligned);
  result.loss_misaligned = weighted(result.quality_misaligned, result.cosine_misaligned);
  if (!with_teacher) result.cosine_aligned = result.cosine_misaligned = kNotANumber;
  result.spearman_aligned = spearman(labels, aligned_scores);
  result.spearman_misaligned = spearman(labels, misaligned_scores);
  result.spearman_invariance = spearman(aligned_scores, misaligned_scores);
  return result;
}

}  // namespace aikd
