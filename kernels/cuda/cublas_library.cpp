#include "kernels/cuda/cublas_library.h"

#include "kernels/cuda/cublas_api.h"
#include "kernels/cuda/dynamic_library.h"

namespace aikd::kernels::cuda {
namespace {

// cuBLAS counts 13.1.2 as 130102.
std::string dotted(std::size_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

}  // namespace

CublasLtState::~CublasLtState() {
  if (handle != nullptr) api.destroy(handle);
}

void DeleteCublasLtState::operator()(CublasLtState* state) const noexcept {
  delete state;
}

CublasLtStatePointer load_cublas_lt(std::string* description) {
  std::string why;
  // The major version is that of CUDA, in the name and in the interface.
  const DynamicLibrary library =
      open_cuda_library("libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR), &why);
  if (!library.is_open()) {
    *description = "cuBLASLt absent: " + why;
    return nullptr;
  }
  CublasLtStatePointer state(new CublasLtState);
  CublasLtApi& api = state->api;
  std::string missing;
  library.resolve("cublasLtGetVersion", api.get_version, missing);
  library.resolve("cublasLtGetStatusString", api.get_status_string, missing);
  library.resolve("cublasLtCreate", api.create, missing);
  library.resolve("cublasLtDestroy", api.destroy, missing);
  library.resolve("cublasLtMatmulDescCreate", api.matmul_create, missing);
  library.resolve("cublasLtMatmulDescDestroy", api.matmul_destroy, missing);
  library.resolve("cublasLtMatmulDescSetAttribute", api.matmul_set, missing);
  library.resolve("cublasLtMatrixLayoutCreate", api.layout_create, missing);
  library.resolve("cublasLtMatrixLayoutDestroy", api.layout_destroy, missing);
  library.resolve("cublasLtMatmulPreferenceCreate", api.preference_create, missing);
  library.resolve("cublasLtMatmulPreferenceDestroy", api.preference_destroy, missing);
  library.resolve("cublasLtMatmulPreferenceSetAttribute", api.preference_set, missing);
  library.resolve("cublasLtMatmulAlgoGetHeuristic", api.get_heuristic, missing);
  library.resolve("cublasLtMatmul", api.matmul, missing);
  if (!missing.empty()) {
    *description = "cuBLASLt absent: " + library.path() + " has no function " + missing;
    return nullptr;
  }
  const std::string name = dotted(api.get_version()) + " (" + library.path() + ")";
  if (const cublasStatus_t status = api.create(&state->handle); status != CUBLAS_STATUS_SUCCESS) {
    state->handle = nullptr;
    *description = "cuBLASLt absent: version " + name + " makes no handle: " + api.get_status_string(status);
    return nullptr;
  }
  *description = "cuBLASLt " + name;
  return state;
}

void* handle_of(CublasLtState* state) noexcept {
  return state == nullptr ? nullptr : state->handle;
}

}  // namespace aikd::kernels::cuda
