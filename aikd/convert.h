// From PyTorch files (and safetensors files with PyTorch's names and layouts) to model files of this program,
// and back.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "aikd/families.h"
#include "aikd/model.h"
#include "tensor/dtype.h"

namespace aikd {

struct ConvertOptions {
  FamilyRequest request;
  DType weights = DType::kF32;               // F32, F16 or BF16, see to_safetensors
  std::optional<std::string> score_map;      // instead of the family's own
  std::optional<std::string> preprocessing;  // JSON, instead of the family's own
};

// Tensors in PyTorch's names and layouts, wherever they came from.
struct SourceTensors {
  std::vector<io::StateDictEntry> tensors;
  std::string container;  // "zip", "legacy" or "safetensors"
  std::string where;      // which key of the file held them: "state_dict"; empty for the file itself
  bool is_model = false;  // a safetensors file that is a model of this program already
};
// Recognises the container by its first bytes. Error(kModel).
SourceTensors read_source(const std::filesystem::path& path);

struct Conversion {
  std::unique_ptr<Model> model;
  std::vector<std::string> dropped;  // tensors of training that scoring does not need
};
// Checks names, shapes, element types and values, and permutes to our layouts; nothing is written. `path` is
// only named and hashed, for provenance. Error(kModel), Error(kUsage).
Conversion convert(const SourceTensors& source, const std::filesystem::path& path,
                   const ConvertOptions& options);

// The tensors of a model file under their original names and in PyTorch's layouts and element types, as a
// safetensors file that safetensors.torch loads for load_state_dict(strict=True). The prefix "module." that
// DataParallel puts before every name is not restored. Error(kModel), Error(kOutput).
void write_torch_layout(const std::filesystem::path& model_file, const std::filesystem::path& output);

}  // namespace aikd
