// A quality model: backbone, optional head, pre-processing, score mapping and provenance, as one safetensors
// file.
//
// In our files tensors are named "backbone.<PyTorch name>" and "head.<PyTorch name>" whatever the family was
// called in PyTorch, in our layout (nn/module.h), and the metadata tells the rest:
//   aikd.format        "1"
//   aikd.family        "ai-kd" | "diffiqa-r" | "ediffiqa" | "cr-fiqa" | "magface" | "backbone"
//   aikd.architecture  "iresnet18" ... "iresnet200" | "mobilefacenet" ...
//   aikd.head          "none" | "linear" | "mlp"
//   aikd.preprocess    JSON, aikd/preprocess.h
//   aikd.score         "head" | "norm"       what the raw score is
//   aikd.score_map     aikd/score_map.h
//   aikd.batch_norm_eps  "1e-05"; MagFace's networks use 2e-05
//   aikd.backbone_prefix, aikd.head_prefix   what stood before the PyTorch names
//   aikd.untrained     "1" for seeded weights that nobody trained
//   aikd.source, aikd.source_sha256, aikd.created_by   provenance
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "aikd/preprocess.h"
#include "aikd/score_map.h"
#include "nn/module.h"

namespace aikd {

class Model {
 public:
  // Maps the file and checks everything: header, exact names, shapes, dtypes, finite values, BN variances.
  // Error(kModel).
  static std::unique_ptr<Model> load(const std::filesystem::path& path);

  nn::Module& backbone() const { return *backbone_; }
  nn::Module* head() const { return head_.get(); }  // null: the score is the norm of the embedding
  std::int64_t embedding_size() const noexcept { return embedding_size_; }

  const std::string& family() const noexcept { return family_; }
  const std::string& architecture() const noexcept { return architecture_; }
  const Preprocessing& preprocessing() const noexcept { return preprocessing_; }
  const ScoreMap& score_map() const noexcept { return score_map_; }
  const std::map<std::string, std::string>& metadata() const noexcept { return metadata_; }
  const std::string& sha256() const noexcept { return sha256_; }  // of the whole file, lower-case hex

 private:
  friend struct ModelBuilder;
  std::unique_ptr<nn::Module> backbone_, head_;
  std::int64_t embedding_size_ = 0;
  std::string family_, architecture_, sha256_;
  Preprocessing preprocessing_;
  ScoreMap score_map_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace aikd
