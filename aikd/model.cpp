#include "aikd/model.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "aikd/families.h"
#include "aikd/model_builder.h"
#include "io/sha256.h"
#include "io/text.h"
#include "nn/networks.h"

namespace aikd {
namespace {

const std::string& metadata_value(const io::SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata.find(key);
  require(found != file.metadata.end(), ErrorKind::kModel, "The metadata lacks '", key, "'.");
  return found->second;
}

void check_choice(const std::string& key, const std::string& value, const std::vector<std::string>& choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  std::string known;
  for (const std::string& choice : choices) known += (known.empty() ? "" : ", ") + choice;
  fail(ErrorKind::kModel, "The metadata '", key, "' is ", io::in_quotes(value), ", expected one of ", known,
       ".");
}

float parse_eps(const io::SafetensorsFile& file) {
  const std::string& text = metadata_value(file, "aikd.batch_norm_eps");
  float eps = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), eps);
  require(end.ec == std::errc() && end.ptr == text.data() + text.size() && eps > 0.0F && eps <= 0.1F,
          ErrorKind::kModel, "The metadata 'aikd.batch_norm_eps' is ", io::in_quotes(text),
          ", expected a number above 0 and at most 0.1.");
  return eps;
}

// The first extent of a tensor that tells a size; ranks are checked again, with all shapes, later.
std::int64_t extent(const io::SafetensorsFile& file, const std::string& name) {
  const Tensor* tensor = file.find(name);
  require(tensor != nullptr, ErrorKind::kModel, "The tensor '", name, "' is missing.");
  require(tensor->shape().rank() >= 1, ErrorKind::kModel, "The tensor '", name,
          "' has the shape [], expected a matrix.");
  return tensor->shape()[0];
}

ModelDescription read_description(const io::SafetensorsFile& file) {
  const auto format = file.metadata.find("aikd.format");
  require(format != file.metadata.end(), ErrorKind::kModel,
          "It is a safetensors file without this program's metadata; make a model of it with aikd-convert.");
  require(format->second == "1", ErrorKind::kModel, "The metadata 'aikd.format' is ",
          io::in_quotes(format->second), ", but this program reads format 1 only.");
  ModelDescription d;
  d.family = metadata_value(file, "aikd.family");
  check_choice("aikd.family", d.family, family_names());
  d.architecture = metadata_value(file, "aikd.architecture");
  check_choice("aikd.architecture", d.architecture, nn::backbone_names());
  d.head = metadata_value(file, "aikd.head");
  check_choice("aikd.head", d.head, {"none", "linear", "mlp"});
  const std::string score = d.head == "none" ? "norm" : "head";
  const std::string& stored_score = metadata_value(file, "aikd.score");
  require(stored_score == score, ErrorKind::kModel, "The metadata 'aikd.score' is ",
          io::in_quotes(stored_score), ", expected '", score, "' for a head of kind '", d.head, "'.");
  d.batch_norm_eps = parse_eps(file);
  d.preprocessing = Preprocessing::parse(metadata_value(file, "aikd.preprocess"));
  d.score_map = ScoreMap::parse(metadata_value(file, "aikd.score_map"));
  const bool iresnet = d.architecture.starts_with("iresnet");
  d.embedding_size = extent(file, iresnet                             ? "backbone.fc.weight"
                                  : d.architecture == "mobilefacenet" ? "backbone.features.weight"
                                                                      : "backbone.conv3.weight");
  if (d.head == "mlp") d.hidden_size = extent(file, "head.l1.weight");
  return d;
}

void check_dtype(const Tensor& tensor, const nn::NamedTensor& spec) {
  const bool counter = spec.role == nn::TensorRole::kBnCount;
  require(counter ? tensor.dtype() == DType::kI64 : is_floating(tensor.dtype()), ErrorKind::kModel,
          "The tensor ", io::in_quotes(spec.name), " has the element type ", name_of(tensor.dtype()),
          ", expected ", counter ? "I64" : "F32, F16, BF16 or F64", ".");
}

void fill(const Model& model, const io::SafetensorsFile& file) {
  std::vector<std::string> missing, unexpected;
  std::set<std::string> expected;
  for (const nn::NamedTensor& spec : model_tensors(model)) {
    expected.insert(spec.name);
    const Tensor* tensor = file.find(spec.name);
    if (tensor == nullptr) {
      if (!spec.optional) missing.push_back(spec.name);
      continue;
    }
    require(tensor->shape() == spec.shape, ErrorKind::kModel, "The tensor ", io::in_quotes(spec.name),
            " has the shape ", tensor->shape(), ", expected ", spec.shape, ".");
    check_dtype(*tensor, spec);
    check_values(*tensor, spec.name, spec.role);
    *spec.tensor = is_floating(tensor->dtype()) ? tensor->to(DType::kF32) : *tensor;
  }
  require(missing.empty(), ErrorKind::kModel, missing.size(),
          missing.size() == 1 ? " tensor of " : " tensors of ", model.architecture(),
          missing.size() == 1 ? " is" : " are", " missing: ", list_names(missing), ".");
  for (const io::SafetensorsEntry& entry : file.tensors) {
    if (expected.count(entry.name) == 0) unexpected.push_back(entry.name);
  }
  require(unexpected.empty(), ErrorKind::kModel, unexpected.size(),
          unexpected.size() == 1 ? " tensor does" : " tensors do", " not belong to ", model.architecture(),
          " with a head of kind '", model.metadata().at("aikd.head"), "': ", list_names(unexpected), ".");
}

}  // namespace

std::unique_ptr<Model> ModelBuilder::load(const std::filesystem::path& path) {
  const io::SafetensorsFile file = io::read_safetensors(path);
  try {
    std::unique_ptr<Model> model = make(read_description(file));
    model->metadata_ = file.metadata;
    fill(*model, file);
    model->sha256_ = io::sha256_file(path);
    return model;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInternal) throw;
    fail(ErrorKind::kModel, "The model file ", io::in_quotes(path.string()), " cannot be used. ",
         error.what());
  }
}

std::unique_ptr<Model> Model::load(const std::filesystem::path& path) {
  return ModelBuilder::load(path);
}

}  // namespace aikd
