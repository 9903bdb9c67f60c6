// Where memory lives and where kernels run.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace aikd {

namespace cuda {
struct DeviceProperties;  // tensor/cuda_runtime.h
}

struct Device {
  enum class Type { kCpu, kCuda };
  Type type = Type::kCpu;
  int index = 0;

  static Device cpu() { return {}; }
  static Device cuda(int index) { return {Type::kCuda, index}; }
  // "cpu"; "cuda:N"; "cuda", the first CUDA device that this program can compute on; "auto", the same or else
  // the CPU. Throws Error(kUsage) for anything else and Error(kDevice) for a CUDA device that is not there or
  // is too old. Devices are numbered as the driver shows them to the process ($CUDA_VISIBLE_DEVICES is the
  // driver's business).
  static Device parse(std::string_view text);

  std::string to_string() const;
  friend bool operator==(const Device&, const Device&) = default;
};

struct DeviceInfo {
  Device device;
  // "AMD EPYC, 2 threads" or "NVIDIA H200, sm_90, 139.8 GiB, 132 multiprocessors, 50 MiB of L2 cache"
  std::string description;
};
// The CPU first, then every CUDA device the driver shows. Empty of CUDA devices when the build or the machine
// has none.
std::vector<DeviceInfo> list_devices();

// What was taken for what was asked, for the user: "device cuda:0 (NVIDIA H200, sm_90, 139.8 GiB)" or, where
// `asked` was "auto" and it came to nothing, "device cpu (no CUDA device: the driver shows no device)".
std::string describe_choice(std::string_view asked, Device taken);

// Device::parse() and describe_choice() for a machine that has the devices `found`, or none because of
// `why_none`.
Device choose_device(std::string_view asked, const std::vector<cuda::DeviceProperties>& found,
                     std::string_view why_none);
std::string describe_choice(std::string_view asked, Device taken,
                            const std::vector<cuda::DeviceProperties>& found, std::string_view why_none);

}  // namespace aikd
