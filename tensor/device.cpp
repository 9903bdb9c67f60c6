#include "tensor/device.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iomanip>
#include <optional>

#include "tensor/config.h"
#include "tensor/cuda_runtime.h"
#include "tensor/error.h"
#include "tensor/thread_pool.h"

namespace aikd {
namespace {

using cuda::DeviceProperties;

// The oldest cards that CUDA 13 compiles for (Turing); their tensor cores take fp16, which the kernels count
// on.
constexpr int kLeastMajor = 7, kLeastMinor = 5;

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

std::string cpu_description() {
  const int threads = ThreadPool::available_processors();
  return concat(cpu_name(), ", ", threads, threads == 1 ? " thread" : " threads");
}

bool usable(const DeviceProperties& d) {
  return d.major > kLeastMajor || (d.major == kLeastMajor && d.minor >= kLeastMinor);
}

std::string too_old(const DeviceProperties& d) {
  return concat(d.name, " has compute capability ", d.major, '.', d.minor, ", this program needs ",
                kLeastMajor, '.', kLeastMinor);
}

std::string short_description(const DeviceProperties& d) {
  return concat(d.name, ", sm_", d.major, d.minor, ", ", std::fixed, std::setprecision(1), d.memory_gib,
                " GiB");
}

std::string long_description(const DeviceProperties& d) {
  return concat(short_description(d), ", ", d.multiprocessors, " multiprocessors, ", d.l2_bytes >> 20,
                " MiB of L2 cache", usable(d) ? "" : concat(" (", "cannot be used: ", too_old(d), ")"));
}

std::optional<Device> first_usable(const std::vector<DeviceProperties>& found) {
  const auto at = std::ranges::find_if(found, usable);
  return at == found.end() ? std::nullopt : std::optional(Device::cuda(at->index));
}

// Why first_usable() has nothing to give.
std::string why_not(const std::vector<DeviceProperties>& found, std::string_view why_none) {
  return found.empty() ? concat("no CUDA device: ", why_none)
                       : concat("no CUDA device that can be used: ", too_old(found.front()));
}

[[noreturn]] void not_understood(std::string_view asked) {
  fail(ErrorKind::kUsage, "The device '", asked, "' is not understood; give cpu, auto, cuda or cuda:N.");
}

}  // namespace

Device choose_device(std::string_view asked, const std::vector<DeviceProperties>& found,
                     std::string_view why_none) {
  if (asked == "cpu") return Device::cpu();
  if (asked == "auto") return first_usable(found).value_or(Device::cpu());
  if (!asked.starts_with("cuda")) not_understood(asked);
  std::optional<int> index;
  if (asked != "cuda") {
    const std::string_view digits = asked.substr(4).starts_with(':') ? asked.substr(5) : "";
    int number = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size() || number < 0) not_understood(asked);
    index = number;
  }
  const std::optional<Device> first = first_usable(found);
  require(!found.empty() && (index.has_value() || first.has_value()), ErrorKind::kDevice, "The device '",
          asked, "' was asked for, but there is ", why_not(found, why_none), ".");
  if (!index.has_value()) return *first;
  const auto at = std::ranges::find(found, *index, &DeviceProperties::index);
  require(at != found.end(), ErrorKind::kDevice, "The device '", asked, "' was asked for, but there ",
          found.size() == 1 ? "is 1 CUDA device" : concat("are ", found.size(), " CUDA devices"), ", ",
          found.size() == 1 ? "" : "the last of them ", "cuda:", found.back().index, ".");
  require(usable(*at), ErrorKind::kDevice, "The device '", asked, "' cannot be used: ", too_old(*at), ".");
  return Device::cuda(*index);
}

Device Device::parse(std::string_view text) {
  if (text == "cpu") return cpu();  // without bringing up a driver
  std::string why_none;
  const auto found =
      text == "auto" || text.starts_with("cuda") ? cuda::devices(&why_none) : std::vector<DeviceProperties>();
  return choose_device(text, found, why_none);
}

std::string describe_choice(std::string_view asked, Device taken, const std::vector<DeviceProperties>& found,
                            std::string_view why_none) {
  std::string description;
  if (taken.type == Device::Type::kCpu) {
    description = asked == "auto" ? why_not(found, why_none) : cpu_description();
  } else if (const auto at = std::ranges::find(found, taken.index, &DeviceProperties::index);
             at != found.end()) {
    description = short_description(*at);
  } else {
    description = "not there any more";
  }
  return concat("device ", taken.to_string(), " (", description, ")");
}

std::string describe_choice(std::string_view asked, Device taken) {
  std::string why_none;
  const bool of_cuda = asked == "auto" || taken.type == Device::Type::kCuda;
  const auto found = of_cuda ? cuda::devices(&why_none) : std::vector<DeviceProperties>();
  return describe_choice(asked, taken, found, why_none);
}

std::string Device::to_string() const {
  return type == Type::kCpu ? "cpu" : "cuda:" + std::to_string(index);
}

std::vector<DeviceInfo> list_devices() {
  std::vector<DeviceInfo> all;
  all.push_back({Device::cpu(), cpu_description()});
  for (const DeviceProperties& d : cuda::devices())
    all.push_back({Device::cuda(d.index), long_description(d)});
  return all;
}

}  // namespace aikd
