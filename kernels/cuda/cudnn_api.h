// The functions of cuDNN that this library calls, found at run time. Included by cudnn_*.cpp only.
#pragma once

#include <cudnn.h>

#include <memory>
#include <string>

namespace aikd::kernels::cuda {

struct CudnnApi {
  decltype(&cudnnGetVersion) get_version = nullptr;
  decltype(&cudnnGetCudartVersion) get_cudart_version = nullptr;
  decltype(&cudnnGetErrorString) get_error_string = nullptr;
  decltype(&cudnnGetLastErrorString) get_last_error_string = nullptr;
  decltype(&cudnnCreate) create = nullptr;
  decltype(&cudnnDestroy) destroy = nullptr;
  decltype(&cudnnSetStream) set_stream = nullptr;
  decltype(&cudnnBackendCreateDescriptor) create_descriptor = nullptr;
  decltype(&cudnnBackendDestroyDescriptor) destroy_descriptor = nullptr;
  decltype(&cudnnBackendSetAttribute) set_attribute = nullptr;
  decltype(&cudnnBackendGetAttribute) get_attribute = nullptr;
  decltype(&cudnnBackendFinalize) finalize = nullptr;
  decltype(&cudnnBackendExecute) execute = nullptr;

  std::string path;         // of libcudnn
  std::size_t version = 0;  // 91900 is 9.19.0

  // "status (the library's own last words)"
  std::string explain(cudnnStatus_t status) const;
  std::string version_text() const;
};

// Null: not there, too old, or without one of the functions; `why` is then a sentence's end. Needs no driver.
std::unique_ptr<CudnnApi> load_cudnn_api(std::string* why);

// What a Libraries keeps of cuDNN.
struct CudnnState {
  std::unique_ptr<CudnnApi> api;
  cudnnHandle_t handle = nullptr;

  CudnnState() = default;
  CudnnState(const CudnnState&) = delete;
  CudnnState& operator=(const CudnnState&) = delete;
  ~CudnnState();
};

}  // namespace aikd::kernels::cuda
