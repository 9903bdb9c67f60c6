// Stands in for cuda_runtime.cpp in builds without the CUDA toolkit.
#include "tensor/cuda_runtime.h"

namespace aikd::cuda {

std::vector<DeviceProperties> devices(std::string* why_empty) {
  if (why_empty != nullptr) *why_empty = "this program was built without CUDA";
  return {};
}

}  // namespace aikd::cuda
