#include "aikd/process_memory.h"

#include <fstream>
#include <limits>
#include <string>

namespace aikd {

double peak_memory_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace aikd
