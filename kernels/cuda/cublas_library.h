// How libraries.cpp makes what it keeps of cuBLASLt without knowing it.
#pragma once

#include <memory>
#include <string>

#include "kernels/cuda/libraries.h"

namespace aikd::kernels::cuda {

struct DeleteCublasLtState {
  void operator()(CublasLtState* state) const noexcept;
};
using CublasLtStatePointer = std::unique_ptr<CublasLtState, DeleteCublasLtState>;

// Loads cuBLASLt and makes a handle on the current device. Null: absent. `description` as in Libraries.
CublasLtStatePointer load_cublas_lt(std::string* description);
void* handle_of(CublasLtState* state) noexcept;  // null for null

}  // namespace aikd::kernels::cuda
