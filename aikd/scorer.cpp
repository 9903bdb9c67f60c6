#include "aikd/scorer.h"

#include <cmath>

#include "tensor/error.h"

namespace aikd {
namespace {

// The norm, summed in double in index order, rounded once.
float norm_of(std::span<const float> embedding) {
  double sum = 0;
  for (const float x : embedding) sum += static_cast<double>(x) * static_cast<double>(x);
  return static_cast<float>(std::sqrt(sum));
}

}  // namespace

Scorer::Scorer(std::shared_ptr<const Model> model, Context& context, const nn::PlanOptions& options)
    : model_(std::move(model)) {
  require(model_ != nullptr, ErrorKind::kInternal, "A Scorer needs a model.");
  plan_ = nn::Plan::compile(model_->backbone(), model_->head(), model_->preprocessing().table(), context,
                            options);
}

std::vector<Score> Scorer::score(std::span<const std::uint8_t> images, std::int64_t n,
                                 std::span<float> embeddings) {
  const Preprocessing& input = model_->preprocessing();
  const std::int64_t image_bytes = std::int64_t{3} * input.width * input.height;
  const std::int64_t size = model_->embedding_size();
  require(n >= 0 && static_cast<std::int64_t>(images.size()) == n * image_bytes, ErrorKind::kInternal,
          "Scorer::score: ", n, " images of ", input.width, " x ", input.height, " pixels need ",
          n * image_bytes, " bytes, got ", images.size(), ".");
  require(embeddings.empty() || static_cast<std::int64_t>(embeddings.size()) == n * size,
          ErrorKind::kInternal, "Scorer::score: ", n, " embeddings of ", size, " numbers need room for ",
          n * size, ", got ", embeddings.size(), ".");
  const bool by_head = model_->head() != nullptr;
  std::vector<float> own, raw(static_cast<std::size_t>(n));
  if (!by_head && embeddings.empty()) {
    own.resize(static_cast<std::size_t>(n * size));
    embeddings = own;
  }
  plan_->run(images, n, embeddings, by_head ? std::span<float>(raw) : std::span<float>());
  std::vector<Score> scores(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const auto width = static_cast<std::size_t>(size);
    scores[i].raw = by_head ? raw[i] : norm_of(embeddings.subspan(i * width, width));
    scores[i].mapped = model_->score_map().map(static_cast<double>(scores[i].raw));
  }
  return scores;
}

}  // namespace aikd
