#include "tensor/device.h"

#include <charconv>
#include <fstream>
#include <iomanip>

#include "tensor/config.h"
#include "tensor/cuda_runtime.h"
#include "tensor/error.h"
#include "tensor/thread_pool.h"

namespace aikd {
namespace {

std::string cpu_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("model name")) {
      const std::size_t colon = line.find(':');
      if (colon != std::string::npos && colon + 2 <= line.size()) return line.substr(colon + 2);
    }
  }
  return "CPU";
}

}  // namespace

Device Device::parse(std::string_view text) {
  if (text == "cpu") return cpu();
  if (text == "auto") return cpu();  // this version computes on the CPU only; CUDA joins with its kernels
  if (text == "cuda" || text.starts_with("cuda:")) {
    int index = 0;
    if (text != "cuda") {
      const std::string_view digits = text.substr(5);
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
      require(error == std::errc() && end == digits.data() + digits.size() && index >= 0, ErrorKind::kUsage,
              "The device '", text, "' is not understood; give cpu, auto, cuda or cuda:N.");
    }
    std::string why;
    const auto found = cuda::devices(&why);
    require(!found.empty(), ErrorKind::kDevice, "The device '", text,
            "' was asked for, but there is no CUDA device: ", why, ".");
    fail(ErrorKind::kDevice, "The device '", text,
         "' was asked for, but this version scores on the CPU only; use --device cpu.");
  }
  fail(ErrorKind::kUsage, "The device '", text, "' is not understood; give cpu, auto, cuda or cuda:N.");
}

std::string Device::to_string() const {
  return type == Type::kCpu ? "cpu" : "cuda:" + std::to_string(index);
}

std::vector<DeviceInfo> list_devices() {
  std::vector<DeviceInfo> all;
  all.push_back({Device::cpu(), concat(cpu_name(), ", ", ThreadPool::available_processors(), " threads")});
  for (const auto& d : cuda::devices()) {
    all.push_back({Device::cuda(d.index), concat(d.name, ", sm_", d.major, d.minor, ", ", std::fixed,
                                                 std::setprecision(1), d.memory_gib, " GiB")});
  }
  return all;
}

}  // namespace aikd
