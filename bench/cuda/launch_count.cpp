#include "bench/cuda/launch_count.h"

#include <cstddef>

namespace {

aikd::bench::LaunchCount total;

// As the runtime's dim3 is passed: three numbers by value.
struct Extents {
  unsigned int x, y, z;
};

}  // namespace

// What --wrap=NAME makes of a call of NAME, and how the wrapper reaches the real one. The status is an enum,
// passed as an int; handles are pointers.
extern "C" {
int __real_cudaGraphLaunch(void* graph, void* stream);
int __wrap_cudaGraphLaunch(void* graph, void* stream);
int __real_cudaLaunchKernel(const void* function, Extents grid, Extents block, void** arguments,
                            std::size_t shared, void* stream);
int __wrap_cudaLaunchKernel(const void* function, Extents grid, Extents block, void** arguments,
                            std::size_t shared, void* stream);

int __wrap_cudaGraphLaunch(void* graph, void* stream) {
  ++total.graphs;
  return __real_cudaGraphLaunch(graph, stream);
}

int __wrap_cudaLaunchKernel(const void* function, Extents grid, Extents block, void** arguments,
                            std::size_t shared, void* stream) {
  ++total.kernels;
  return __real_cudaLaunchKernel(function, grid, block, arguments, shared, stream);
}
}

aikd::bench::LaunchCount aikd::bench::launch_count() noexcept {
  return total;
}
