#include "aikd/model_info.h"

#include <nlohmann/json.hpp>

#include "aikd/convert.h"
#include "aikd/model_builder.h"
#include "io/safetensors.h"
#include "io/sha256.h"
#include "io/text.h"

namespace aikd {
namespace {

std::int64_t count_parameters(const Model& model) {
  return model.backbone().parameter_count() + (model.head() == nullptr ? 0 : model.head()->parameter_count());
}

void describe_model(const Model& model, ModelInfo& info) {
  info.family = model.family();
  info.architecture = model.architecture();
  info.head = model.metadata().at("aikd.head");
  info.embedding_size = model.embedding_size();
  info.parameters = count_parameters(model);
  info.metadata = model.metadata();
}

}  // namespace

ModelInfo inspect_model(const std::filesystem::path& path) {
  ModelInfo info;
  const SourceTensors source = read_source(path);
  info.container = source.is_model ? "model" : source.container;
  info.where = source.where;
  info.file_bytes = std::filesystem::file_size(path);
  info.sha256 = io::sha256_file(path);
  info.tensors = static_cast<std::int64_t>(source.tensors.size());
  for (const io::StateDictEntry& entry : source.tensors) {
    info.dtype_bytes[std::string(name_of(entry.tensor.dtype()))] += entry.tensor.bytes();
  }
  try {
    if (source.is_model) {
      describe_model(*Model::load(path), info);
    } else {
      describe_model(*convert(source, path, {}).model, info);
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kModel) throw;
    info.not_recognised = error.what();
  }
  if (source.container == "safetensors") info.metadata = io::read_safetensors(path).metadata;
  return info;
}

std::string ModelInfo::to_text() const {
  std::string text;
  const auto line = [&](const std::string& name, const std::string& value) {
    text += name + ": " + value + "\n";
  };
  line("container", container == "model" ? "safetensors, a model of this program"
                    : where.empty()      ? container
                                         : concat(container, ", tensors under ", io::in_quotes(where)));
  if (not_recognised.empty()) {
    line("architecture", architecture);
    line("family", family);
    line("head", head);
    line("embedding", std::to_string(embedding_size));
    line("parameters", std::to_string(parameters));
  } else {
    line("not recognised", not_recognised);
  }
  line("tensors", std::to_string(tensors));
  for (const auto& [dtype, bytes] : dtype_bytes) line("bytes as " + dtype, std::to_string(bytes));
  line("file bytes", std::to_string(file_bytes));
  line("sha256", sha256);
  for (const auto& [key, value] : metadata) {
    line("metadata " + io::escape_for_terminal(key), io::escape_for_terminal(value));
  }
  return text;
}

std::string ModelInfo::to_json() const {
  nlohmann::ordered_json json;
  json["container"] = container;
  json["state_dict_key"] = where;
  json["recognised"] = not_recognised.empty();
  if (not_recognised.empty()) {
    json["architecture"] = architecture;
    json["family"] = family;
    json["head"] = head;
    json["embedding_size"] = embedding_size;
    json["parameters"] = parameters;
  } else {
    json["reason"] = not_recognised;
  }
  json["tensors"] = tensors;
  json["dtype_bytes"] = dtype_bytes;
  json["file_bytes"] = file_bytes;
  json["sha256"] = sha256;
  json["metadata"] = metadata;
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace aikd
