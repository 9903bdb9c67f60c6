// Making and writing Models: what loading, converting and training share. Programs need aikd/model.h only.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "aikd/model.h"
#include "io/safetensors.h"
#include "tensor/dtype.h"

namespace aikd {

struct ModelDescription {
  std::string family, architecture, head = "none";
  std::int64_t embedding_size = 0, hidden_size = 0;
  float batch_norm_eps = 1e-5F;
  Preprocessing preprocessing;
  ScoreMap score_map;
  std::map<std::string, std::string> provenance;  // further metadata, "aikd.source" and the like
};

struct ModelBuilder {
  // A model whose tensors are undefined, ready to be filled. Error(kModel) for an unknown architecture or
  // head.
  static std::unique_ptr<Model> make(const ModelDescription& description);
  static std::unique_ptr<Model> load(const std::filesystem::path& path);
  static void set_metadata(Model& model, const std::string& key, const std::string& value) {
    model.metadata_[key] = value;
  }
};

// What a model on the backbone of `model` starts from: its architecture, sizes and pre-processing; family,
// head, score map and provenance are left to the caller. Error(kModel) where the metadata's BatchNorm epsilon
// is no number.
ModelDescription describe_backbone(const Model& model);
// Gives the tensors of `to`, a module of the same kind, the memory of those of `from`. Error(kInternal) where
// they differ in number.
void share_tensors(nn::Module& from, nn::Module& to);

// "backbone.<name>" and "head.<name>", in the order of the file.
std::vector<nn::NamedTensor> model_tensors(const Model& model);

// Error(kModel) naming `name` unless the values are finite, and not negative where they are BN variances.
void check_values(const Tensor& tensor, const std::string& name, nn::TensorRole role);

// The model as a file's contents. Convolution and linear weights are narrowed to `weights` (F32, F16 or
// BF16); everything else, a small part, stays F32, because a BatchNorm variance does not fit every half.
// Error(kModel) when a weight does not fit.
io::SafetensorsFile to_safetensors(const Model& model, DType weights = DType::kF32);
void save_model(const Model& model, const std::filesystem::path& path, DType weights = DType::kF32);

// The order in which tensors are written: wide elements first, so that each is aligned in the file.
void sort_for_writing(io::SafetensorsFile& file);

}  // namespace aikd
