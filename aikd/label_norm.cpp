// The norm of the embedding. It tells quality where the backbone was trained so that it does (MagFace, arXiv
// 2103.06627), and to a lesser degree for others.
#include <vector>

#include "aikd/label_methods.h"
#include "nn/functional.h"

namespace aikd {
namespace {

class NormLabels final : public LabelGenerator {
 public:
  explicit NormLabels(const LabelSetup& setup)
      : context_(setup.context),
        plan_(nn::Plan::compile(*setup.backbone, nullptr, setup.input, *setup.context,
                                {.max_batch = setup.max_batch})) {}

  void label(std::span<const std::uint8_t> crops, std::int64_t n, std::span<double> labels,
             std::span<double>) override {
    embeddings_.resize(static_cast<std::size_t>(n * plan_->embedding_size()));
    plan_->run(crops, n, embeddings_, {});
    nn::row_norms(*context_, n, embeddings_, labels);
  }

 private:
  Context* context_;
  std::unique_ptr<nn::Plan> plan_;
  std::vector<float> embeddings_;
};

}  // namespace

LabelMethod norm_label_method() {
  LabelMethod method;
  method.name = "norm";
  method.description = "the norm of the embedding (1 pass per image)";
  method.make = [](const LabelSetup& setup) -> std::unique_ptr<LabelGenerator> {
    return std::make_unique<NormLabels>(setup);
  };
  return method;
}

}  // namespace aikd
