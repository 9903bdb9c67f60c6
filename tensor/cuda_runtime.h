// What the library asks of the CUDA runtime. Two implementations stand in tensor/cuda/; CMake links one of
// them.
#pragma once

#include <string>
#include <vector>

namespace aikd::cuda {

struct DeviceProperties {
  int index = 0;
  std::string name;
  int major = 0, minor = 0;  // compute capability
  double memory_gib = 0;
};

// Never throws: without a driver or without CUDA in the build the list is empty and `why_empty` says why.
std::vector<DeviceProperties> devices(std::string* why_empty = nullptr);

}  // namespace aikd::cuda
