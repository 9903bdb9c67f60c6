// How libraries.cpp makes what it keeps of cuDNN without knowing it. cudnn_library.cpp or, in builds with
// AIKD_CUDNN=OFF, cudnn_absent.cpp.
#pragma once

#include <memory>
#include <string>

#include "kernels/cuda/libraries.h"

namespace aikd::kernels::cuda {

struct DeleteCudnnState {
  void operator()(CudnnState* state) const noexcept;
};
using CudnnStatePointer = std::unique_ptr<CudnnState, DeleteCudnnState>;

// Loads cuDNN and makes a handle on the current device. Null: absent. `description` as in Libraries.
CudnnStatePointer load_cudnn(std::string* description);
void* handle_of(CudnnState* state) noexcept;  // null for null

}  // namespace aikd::kernels::cuda
