#include "nn/training_state.h"

#include <cstring>

namespace aikd::nn {

const Tensor* find_state(std::span<const StateTensor> state, const std::string& name) noexcept {
  for (const StateTensor& entry : state)
    if (entry.name == name) return &entry.tensor;
  return nullptr;
}

void restore(std::span<const StateTensor> state, const std::string& name, const char* who, Tensor& to) {
  const Tensor* from = find_state(state, name);
  require(from != nullptr, ErrorKind::kModel, who, ": the saved state has no tensor '", name, "'.");
  require(from->dtype() == to.dtype() && from->shape() == to.shape(), ErrorKind::kModel, who,
          ": the saved tensor '", name, "' should be ", name_of(to.dtype()), " ", to.shape(), ", but is ",
          name_of(from->dtype()), " ", from->shape(), ".");
  if (to.bytes() != 0) std::memcpy(to.mutable_raw(), from->raw(), to.bytes());
}

Tensor count_tensor(std::int64_t count) {
  Tensor tensor = Tensor::empty({}, DType::kI64);
  *tensor.mutable_data<std::int64_t>() = count;
  return tensor;
}

}  // namespace aikd::nn
