// A Module owns its tensors by name (one enumeration, used by loading, saving, checking, counting, training
// alike) and describes its forward pass on an Ops.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "nn/ops.h"
#include "tensor/tensor.h"

namespace aikd::nn {

enum class TensorRole {
  kConvWeight,       // [K,R,S,C]; PyTorch [K,C,R,S]
  kDepthwiseWeight,  // [R,S,C];   PyTorch [C,1,R,S]
  kLinearWeight,  // [out,in];  PyTorch the same, unless the input was a flattened image (then CHW -> HWC, see
                  // flattened_channels)
  kBias,
  kBnWeight,
  kBnBias,
  kBnMean,   // a buffer, not trained
  kBnVar,    // a buffer, not trained; must be >= 0
  kBnCount,  // num_batches_tracked: a scalar I64 buffer; kept so that files go back to PyTorch complete
  kPreluSlope,
};
bool is_buffer(TensorRole role) noexcept;

struct NamedTensor {
  std::string name;  // PyTorch's dotted name below this module: "layer1.0.conv1.weight"
  Tensor* tensor = nullptr;
  Shape shape;  // what it must be
  TensorRole role = TensorRole::kBias;
  // For a linear layer that reads a flattened H x W x C image: C (else 0). PyTorch flattens C,H,W; we flatten
  // H,W,C.
  std::int64_t flattened_channels = 0;
  bool optional = false;  // may be absent from a file (num_batches_tracked; BN1d weight fixed at 1)
};

class Module {
 public:
  virtual ~Module() = default;
  // Appends every tensor of this module in a fixed order (PyTorch's state_dict order), each name prefixed.
  virtual void collect(const std::string& prefix, std::vector<NamedTensor>& out) = 0;
  virtual Value forward(Ops& ops, const Value& x) const = 0;

  std::vector<NamedTensor> tensors(const std::string& prefix = "");
  std::int64_t parameter_count();  // trained tensors only, as PyTorch counts parameters()
};

}  // namespace aikd::nn
