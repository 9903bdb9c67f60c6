#include "aikd/convert.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>

#include "aikd/model_builder.h"
#include "io/safetensors.h"
#include "io/sha256.h"
#include "io/text.h"
#include "nn/layout.h"

namespace aikd {
namespace {

// A safetensors file: 8 bytes of header length, then the header's '{'. Both PyTorch containers begin
// otherwise (zip: "PK", legacy: a pickled magic number).
bool looks_like_safetensors(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::array<char, 9> head{};
  in.read(head.data(), head.size());
  return in.gcount() == 9 && head[8] == '{' && head[7] == 0 && head[6] == 0 &&
         !(head[0] == 'P' && head[1] == 'K');
}

using Index = std::unordered_map<std::string, const Tensor*>;

bool is_dropped(const std::string& name, const std::vector<std::string>& drop) {
  return std::any_of(drop.begin(), drop.end(), [&](const std::string& d) {
    return name == d || (d.ends_with('.') && name.starts_with(d));
  });
}

// --drop must have a meaning: a misspelt name would silently keep what was to be left out.
std::vector<io::StateDictEntry> without(const std::vector<io::StateDictEntry>& tensors,
                                        const std::vector<std::string>& drop,
                                        std::vector<std::string>& dropped) {
  for (const std::string& d : drop) {
    require(std::any_of(tensors.begin(), tensors.end(),
                        [&](const io::StateDictEntry& entry) { return is_dropped(entry.name, {d}); }),
            ErrorKind::kUsage, "There is no tensor to drop named ", io::in_quotes(d), ".");
  }
  std::vector<io::StateDictEntry> kept;
  for (const io::StateDictEntry& entry : tensors) {
    if (is_dropped(entry.name, drop)) {
      dropped.push_back(entry.name);
    } else {
      kept.push_back(entry);
    }
  }
  return kept;
}

// Takes the tensors of `module` out of `index`; what is missing is added to `missing`.
void fill(nn::Module& module, const std::string& prefix, Index& index, std::vector<std::string>& missing) {
  for (const nn::NamedTensor& spec : module.tensors()) {
    const std::string name = prefix + spec.name;
    const auto found = index.find(name);
    if (found == index.end()) {
      if (!spec.optional) missing.push_back(name);
      continue;
    }
    const Tensor& tensor = *found->second;
    const Shape expected = nn::torch_shape(spec);
    require(tensor.shape() == expected, ErrorKind::kModel, "The tensor ", io::in_quotes(name),
            " has the shape ", tensor.shape(), ", expected ", expected, ".");
    const bool counter = spec.role == nn::TensorRole::kBnCount;
    require(counter ? tensor.dtype() == DType::kI64 : is_floating(tensor.dtype()), ErrorKind::kModel,
            "The tensor ", io::in_quotes(name), " has the element type ", name_of(tensor.dtype()),
            ", expected ", counter ? "I64" : "F32, F16, BF16 or F64", ".");
    check_values(tensor, name, spec.role);
    *spec.tensor = nn::from_torch_layout(counter ? tensor : tensor.to(DType::kF32), spec);
    index.erase(found);
  }
}

std::string element_types(const std::vector<io::StateDictEntry>& tensors) {
  std::set<std::string> types;
  for (const io::StateDictEntry& entry : tensors) {
    if (is_floating(entry.tensor.dtype())) types.emplace(name_of(entry.tensor.dtype()));
  }
  std::string text;
  for (const std::string& type : types) text += (text.empty() ? "" : ",") + type;
  return text;
}

std::map<std::string, std::string> provenance(const SourceTensors& source, const std::filesystem::path& path,
                                              const Recognition& recognition) {
  // A name of a file may be any bytes; metadata is UTF-8.
  std::string name = path.filename().string();
  if (!io::is_utf8(name)) name = io::escape_for_terminal(name);
  return {{"aikd.source", name},
          {"aikd.source_sha256", io::sha256_file(path)},
          {"aikd.source_container", source.container},
          {"aikd.source_key", source.where},
          {"aikd.source_dtype", element_types(source.tensors)},
          {"aikd.backbone_prefix", recognition.backbone_prefix},
          {"aikd.head_prefix", recognition.head_prefix}};
}

std::string dropped_json(const std::vector<std::string>& dropped) {
  constexpr std::size_t kAtMost = 100;
  nlohmann::json names = nlohmann::json::array();
  for (std::size_t i = 0; i < std::min(dropped.size(), kAtMost); ++i) names.push_back(dropped[i]);
  if (dropped.size() > kAtMost) names.push_back(concat("and ", dropped.size() - kAtMost, " more"));
  return names.dump();
}

Conversion convert_tensors(const SourceTensors& source, const std::filesystem::path& path,
                           const ConvertOptions& options) {
  require(!source.is_model, ErrorKind::kModel,
          "It is a model of this program already; --to-torch-layout gives PyTorch's names and layouts back.");
  Conversion result;
  const std::vector<io::StateDictEntry> tensors =
      without(source.tensors, options.request.drop, result.dropped);
  const Recognition recognition = recognise(tensors, options.request);

  ModelDescription d;
  d.family = recognition.family;
  d.architecture = recognition.architecture;
  d.head = recognition.head;
  d.embedding_size = recognition.embedding_size;
  d.hidden_size = recognition.hidden_size;
  d.batch_norm_eps = recognition.batch_norm_eps;
  d.preprocessing =
      options.preprocessing ? Preprocessing::parse(*options.preprocessing) : recognition.preprocessing;
  d.score_map = ScoreMap::parse(options.score_map ? *options.score_map : recognition.score_map);
  d.provenance = provenance(source, path, recognition);

  Index index;
  for (const io::StateDictEntry& entry : tensors) index.emplace(entry.name, &entry.tensor);
  std::vector<std::string> missing, unexpected;
  result.model = ModelBuilder::make(d);
  fill(result.model->backbone(), recognition.backbone_prefix, index, missing);
  if (result.model->head() != nullptr) {
    fill(*result.model->head(), recognition.head_prefix, index, missing);
  }
  require(missing.empty(), ErrorKind::kModel, missing.size(),
          missing.size() == 1 ? " tensor of " : " tensors of ", recognition.architecture,
          missing.size() == 1 ? " is" : " are", " missing: ", list_names(missing), ".");
  for (const io::StateDictEntry& entry : tensors) {  // in the file's order
    if (index.count(entry.name) == 0) continue;
    const bool other_head =
        options.request.family == "backbone" && !entry.name.starts_with(recognition.backbone_prefix);
    (other_head || is_training_leftover(entry.name, recognition) ? result.dropped : unexpected)
        .push_back(entry.name);
  }
  require(
      unexpected.empty(), ErrorKind::kModel, unexpected.size(),
      unexpected.size() == 1 ? " tensor does" : " tensors do", " not belong to ", recognition.architecture,
      recognition.head == "none" ? std::string() : concat(" with a head of kind '", recognition.head, "'"),
      ": ", list_names(unexpected), "; leave them out with --drop if the model does not use them.");
  if (!result.dropped.empty()) {
    ModelBuilder::set_metadata(*result.model, "aikd.dropped", dropped_json(result.dropped));
  }
  return result;
}

}  // namespace

SourceTensors read_source(const std::filesystem::path& path) {
  SourceTensors source;
  if (looks_like_safetensors(path)) {
    const io::SafetensorsFile file = io::read_safetensors(path);
    source.container = "safetensors";
    source.is_model = file.metadata.count("aikd.format") != 0;
    for (const io::SafetensorsEntry& entry : file.tensors)
      source.tensors.push_back({entry.name, entry.tensor});
    return source;
  }
  const io::TorchFile file = io::read_torch_file(path);
  source.container = file.container;
  source.tensors = io::find_state_dict(file, &source.where);
  return source;
}

Conversion convert(const SourceTensors& source, const std::filesystem::path& path,
                   const ConvertOptions& options) {
  try {
    return convert_tensors(source, path, options);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kModel) throw;
    fail(ErrorKind::kModel, "The file ", io::in_quotes(path.string()), " cannot be converted. ",
         error.what());
  }
}

void write_torch_layout(const std::filesystem::path& model_file, const std::filesystem::path& output) {
  const std::unique_ptr<Model> model = Model::load(model_file);
  const io::SafetensorsFile file = io::read_safetensors(model_file);  // for the element types as they are
  const auto prefix = [&](const char* key) {
    const auto found = model->metadata().find(key);
    return found == model->metadata().end() ? std::string() : found->second;
  };
  io::SafetensorsFile out;
  const auto add = [&](nn::Module& module, const std::string& ours, const std::string& theirs) {
    for (const nn::NamedTensor& spec : module.tensors()) {
      const Tensor* tensor = file.find(ours + spec.name);
      if (tensor != nullptr) out.tensors.push_back({theirs + spec.name, nn::to_torch_layout(*tensor, spec)});
    }
  };
  add(model->backbone(), "backbone.", prefix("aikd.backbone_prefix"));
  if (model->head() != nullptr) add(*model->head(), "head.", prefix("aikd.head_prefix"));
  out.metadata = model->metadata();
  out.metadata.erase("aikd.format");  // it is no longer a model of this program
  out.metadata["format"] = "pt";      // what safetensors.torch writes
  sort_for_writing(out);
  io::write_safetensors(output, out);
}

}  // namespace aikd
