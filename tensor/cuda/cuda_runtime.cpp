#include "tensor/cuda_runtime.h"

#include <cuda_runtime_api.h>

namespace aikd::cuda {

std::vector<DeviceProperties> devices(std::string* why_empty) {
  int count = 0;
  if (const cudaError_t status = cudaGetDeviceCount(&count); status != cudaSuccess || count == 0) {
    if (why_empty != nullptr) {
      *why_empty = status == cudaSuccess ? "the driver shows no device" : cudaGetErrorString(status);
    }
    return {};
  }
  std::vector<DeviceProperties> found;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp p;
    if (cudaGetDeviceProperties(&p, i) != cudaSuccess) continue;
    found.push_back(
        {i, p.name, p.major, p.minor, static_cast<double>(p.totalGlobalMem) / (1024.0 * 1024 * 1024)});
  }
  return found;
}

}  // namespace aikd::cuda
