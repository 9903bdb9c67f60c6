// Running a plan, and timing several. Included by cudnn_*.cpp only.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "kernels/cuda/cudnn_engines.h"

namespace aikd::kernels::cuda {

// Launches `plan` on `stream`. Empty: launched; else why not.
std::string run_plan(const CudnnTarget& target, const CudnnConvGraph& graph, const CudnnPlan& plan,
                     const CudnnConvPointers& pointers, void* workspace, void* stream);

struct CudnnTiming {
  bool ran = false;  // at least one plan did
  std::size_t index = 0;
  double milliseconds = 0;
  std::string why;  // why none did
};
// Times each plan on memory of its own, filled with random values: constant ones draw less power, so clocks
// would be higher than in use. `stream` null: on a stream of its own.
CudnnTiming fastest_plan(const CudnnTarget& target, const CudnnConvSpec& spec, const CudnnConvGraph& graph,
                         const std::vector<const CudnnPlan*>& plans, void* stream);

}  // namespace aikd::kernels::cuda
