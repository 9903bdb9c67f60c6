#include "aikd/model_builder.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "io/table.h"
#include "io/text.h"
#include "nn/networks.h"
#include "tensor/config.h"

namespace aikd {
namespace {

std::string shortest(float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value);
  return std::string(text, end.ptr);
}

std::map<std::string, std::string> describe(const ModelDescription& d) {
  std::map<std::string, std::string> metadata{
      {"aikd.format", "1"},
      {"aikd.family", d.family},
      {"aikd.architecture", d.architecture},
      {"aikd.head", d.head},
      {"aikd.batch_norm_eps", shortest(d.batch_norm_eps)},
      {"aikd.preprocess", d.preprocessing.to_json()},
      {"aikd.score", d.head == "none" ? "norm" : "head"},
      {"aikd.score_map", d.score_map.defined() ? d.score_map.to_string() : "none"},
      {"aikd.created_by", concat("aikd ", kVersion)}};
  metadata.insert(d.provenance.begin(), d.provenance.end());
  return metadata;
}

bool is_large(nn::TensorRole role) {
  return role == nn::TensorRole::kConvWeight || role == nn::TensorRole::kDepthwiseWeight ||
         role == nn::TensorRole::kLinearWeight;
}

}  // namespace

std::unique_ptr<Model> ModelBuilder::make(const ModelDescription& d) {
  auto model = std::make_unique<Model>();
  model->backbone_ = nn::make_backbone(d.architecture, d.embedding_size, d.batch_norm_eps);
  model->head_ = nn::make_head(d.head, d.embedding_size, d.hidden_size);
  model->embedding_size_ = d.embedding_size;
  model->family_ = d.family;
  model->architecture_ = d.architecture;
  model->preprocessing_ = d.preprocessing;
  require(d.preprocessing.width == 112 && d.preprocessing.height == 112, ErrorKind::kModel,
          "The architecture ", d.architecture,
          " takes images of 112 x 112 pixels, but the pre-processing gives ", d.preprocessing.width, " x ",
          d.preprocessing.height, ".");
  model->score_map_ = d.score_map;
  model->metadata_ = describe(d);
  return model;
}

ModelDescription describe_backbone(const Model& model) {
  ModelDescription d;
  d.architecture = model.architecture();
  d.embedding_size = model.embedding_size();
  d.preprocessing = model.preprocessing();
  if (const auto eps = model.metadata().find("aikd.batch_norm_eps"); eps != model.metadata().end()) {
    require(io::parse_number(eps->second, d.batch_norm_eps), ErrorKind::kModel,
            "The metadata aikd.batch_norm_eps must be a number, got \"", eps->second, "\".");
  }
  return d;
}

void share_tensors(nn::Module& from, nn::Module& to) {
  const auto source = from.tensors(), target = to.tensors();
  require(source.size() == target.size(), ErrorKind::kInternal, "The module has ", source.size(),
          " tensors, its copy ", target.size(), ".");
  for (std::size_t i = 0; i < source.size(); ++i) *target[i].tensor = *source[i].tensor;
}

std::vector<nn::NamedTensor> model_tensors(const Model& model) {
  std::vector<nn::NamedTensor> all = model.backbone().tensors("backbone.");
  if (model.head() != nullptr) model.head()->collect("head.", all);
  return all;
}

void check_values(const Tensor& tensor, const std::string& name, nn::TensorRole role) {
  if (!is_floating(tensor.dtype())) return;
  const Tensor wide = tensor.to(DType::kF32);
  const auto values = wide.values<float>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) [[unlikely]] {
      fail(ErrorKind::kModel, "The tensor ", io::in_quotes(name), " holds ",
           std::isnan(values[i]) ? "a NaN" : "an infinite value (or one too large for a 32-bit float)",
           " at element ", i, ".");
    }
    if (role == nn::TensorRole::kBnVar && values[i] < 0.0F) [[unlikely]] {
      fail(ErrorKind::kModel, "The BatchNorm variance ", io::in_quotes(name), " is negative (", values[i],
           ") at element ", i, ".");
    }
  }
}

void sort_for_writing(io::SafetensorsFile& file) {
  std::stable_sort(file.tensors.begin(), file.tensors.end(),
                   [](const io::SafetensorsEntry& a, const io::SafetensorsEntry& b) {
                     return size_of(a.tensor.dtype()) > size_of(b.tensor.dtype());
                   });
}

io::SafetensorsFile to_safetensors(const Model& model, DType weights) {
  io::SafetensorsFile file;
  file.metadata = model.metadata();
  for (const nn::NamedTensor& spec : model_tensors(model)) {
    if (!spec.tensor->defined()) {
      require(spec.optional, ErrorKind::kInternal, "The model cannot be written: ", spec.name,
              " has no values.");
      continue;
    }
    Tensor tensor = *spec.tensor;
    if (is_large(spec.role) && weights != DType::kF32) {
      tensor = tensor.to(weights);
      check_values(tensor, concat(spec.name, " (as ", name_of(weights), ")"), spec.role);
    }
    file.tensors.push_back({spec.name, tensor});
  }
  sort_for_writing(file);
  return file;
}

void save_model(const Model& model, const std::filesystem::path& path, DType weights) {
  io::write_safetensors(path, to_safetensors(model, weights));
}

}  // namespace aikd
