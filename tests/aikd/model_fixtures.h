// Small models and PyTorch-like tensor lists for the tests of recognising, converting and loading.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "aikd/convert.h"
#include "aikd/model_builder.h"
#include "io/torch_file.h"
#include "nn/initialise.h"
#include "nn/layout.h"
#include "nn/networks.h"
#include "tests/support/test.h"

namespace aikd::test {

using StateDict = std::vector<io::StateDictEntry>;

// The module's tensors as PyTorch would store them, every name prefixed. Without `seed` all are zero (only
// names and shapes matter).
inline void append(StateDict& out, nn::Module& module, const std::string& prefix, bool seeded = false) {
  if (seeded) nn::initialise(module, 3);
  for (const nn::NamedTensor& spec : module.tensors()) {
    const DType dtype = spec.role == nn::TensorRole::kBnCount ? DType::kI64 : DType::kF32;
    const Tensor ours = seeded ? *spec.tensor : Tensor::zeros(spec.shape, dtype);
    out.push_back({prefix + spec.name, nn::to_torch_layout(ours, spec)});
  }
}

inline StateDict backbone_dict(const std::string& architecture, const std::string& prefix,
                               bool seeded = false, std::int64_t embedding = 16) {
  StateDict out;
  append(out, *nn::make_backbone(architecture, embedding, 1e-5F), prefix, seeded);
  return out;
}

inline void append_head(StateDict& out, const std::string& kind, const std::string& prefix,
                        bool seeded = false, std::int64_t embedding = 16) {
  append(out, *nn::make_head(kind, embedding, 32), prefix, seeded);
}

inline Tensor& tensor_named(StateDict& dict, const std::string& name) {
  for (auto& entry : dict) {
    if (entry.name == name) return entry.tensor;
  }
  throw std::runtime_error("no tensor " + name);
}

inline void remove_named(StateDict& dict, const std::string& name) {
  std::erase_if(dict, [&](const io::StateDictEntry& entry) { return entry.name == name; });
}

// AI-KD's names around a MobileFaceNet: small, with every kind of tensor.
inline StateDict small_ai_kd() {
  StateDict dict = backbone_dict("mobilefacenet", "feature_extractor.", true);
  append_head(dict, "mlp", "quality_head.", true);
  return dict;
}

inline SourceTensors source_of(StateDict dict) {
  SourceTensors source;
  source.tensors = std::move(dict);
  source.container = "zip";
  source.where = "state_dict";
  return source;
}

// The message of the Error that `body` throws; empty when it throws none.
template <class Body>
std::string message_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
#define CHECK_CONTAINS(text, part) CHECK_MESSAGE(::aikd::test::contains((text), (part)), (text))

}  // namespace aikd::test
