// What a model file is, for people and scripts: works on files of this program, on PyTorch files and on other
// safetensors files, and says why where it is not recognised.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace aikd {

struct ModelInfo {
  std::string container;  // "model" (of this program), "safetensors", "zip" or "legacy"
  std::string where;      // the key that held the state_dict
  std::uint64_t file_bytes = 0;
  std::string sha256;
  std::string family, architecture, head;  // empty where not recognised
  std::string not_recognised;              // the sentence that says why
  std::int64_t embedding_size = 0;
  std::int64_t tensors = 0;
  std::int64_t parameters = 0;  // trained ones, as PyTorch counts; 0 where not recognised
  std::map<std::string, std::uint64_t> dtype_bytes;  // "F32" -> bytes
  std::map<std::string, std::string> metadata;

  std::string to_text() const;  // lines "name: value", everything from the file escaped
  std::string to_json() const;
};

// Error(kModel) when the file cannot be read at all.
ModelInfo inspect_model(const std::filesystem::path& path);

}  // namespace aikd
