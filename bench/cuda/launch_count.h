// How often this process asked the CUDA runtime to launch something: counted by the linker's --wrap, which
// puts launch_count.cpp between every caller and the runtime (bench/CMakeLists.txt).
#pragma once

#include <cstdint>

namespace aikd::bench {

struct LaunchCount {
  std::int64_t graphs = 0;
  std::int64_t kernels = 0;  // our own, outside of graphs; those of cuDNN and cuBLASLt do not come this way
};
LaunchCount launch_count() noexcept;  // since the start

}  // namespace aikd::bench
