#include "nn/module.h"

namespace aikd::nn {

bool is_buffer(TensorRole role) noexcept {
  return role == TensorRole::kBnMean || role == TensorRole::kBnVar || role == TensorRole::kBnCount;
}

std::vector<NamedTensor> Module::tensors(const std::string& prefix) {
  std::vector<NamedTensor> all;
  collect(prefix, all);
  return all;
}

std::int64_t Module::parameter_count() {
  std::int64_t count = 0;
  for (const NamedTensor& t : tensors()) {
    if (!is_buffer(t.role)) count += t.shape.numel();
  }
  return count;
}

}  // namespace aikd::nn
