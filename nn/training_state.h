// What optimisers and averages hand to a checkpoint: tensors by name.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace aikd::nn {

struct StateTensor {
  std::string name;
  Tensor tensor;
};
// The tensor called `name`; null when there is none.
const Tensor* find_state(std::span<const StateTensor> state, const std::string& name) noexcept;
// Copies the values of `name` into `to`, both on the host. `who` begins the sentences: Error(kModel) when it
// is missing, or has another shape or type.
void restore(std::span<const StateTensor> state, const std::string& name, const char* who, Tensor& to);
// A counter as a tensor (I64, no dimensions), and back.
Tensor count_tensor(std::int64_t count);

}  // namespace aikd::nn
