// Where memory lives and where kernels run.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace aikd {

struct Device {
  enum class Type { kCpu, kCuda };
  Type type = Type::kCpu;
  int index = 0;

  static Device cpu() { return {}; }
  static Device cuda(int index) { return {Type::kCuda, index}; }
  // "cpu", "cuda", "cuda:N", or "auto" (the first CUDA device that this build can compute on, else the CPU).
  // Throws Error(kUsage) for anything else and Error(kDevice) for a CUDA device that is not there.
  static Device parse(std::string_view text);

  std::string to_string() const;
  friend bool operator==(const Device&, const Device&) = default;
};

struct DeviceInfo {
  Device device;
  std::string description;  // "AMD EPYC, 2 threads, AVX3_ZEN4" or "NVIDIA H200, sm_90, 139.8 GiB"
};
// The CPU first, then every CUDA device the driver shows. Empty of CUDA devices when the build or the machine
// has none.
std::vector<DeviceInfo> list_devices();

}  // namespace aikd
