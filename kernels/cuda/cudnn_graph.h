// A convolution with its epilogue as a graph of cuDNN operations. Included by cudnn_*.cpp only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cuda/cudnn_conv.h"
#include "kernels/cuda/cudnn_descriptor.h"

namespace aikd::kernels::cuda {

// For which device a graph is planned: the current one, by a handle, or one that is not there, by a
// description of it.
struct CudnnTarget {
  const CudnnApi* api = nullptr;
  cudnnHandle_t handle = nullptr;
  const CudnnDescriptor* device =
      nullptr;  // CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR; used when there is no handle
};

// Every tensor in memory begins at a multiple of this many bytes (CudnnConvPointers).
inline constexpr std::int64_t kCudnnAlignment = 16;

// The names by which the graph and the pack of pointers of a run know the tensors.
enum class CudnnTensor : std::int64_t {
  kX = 1,
  kWeight,
  kDy,
  kBias,
  kSlope,
  kResidual,
  kScale2,
  kShift2,
  kY,
  kY2,
  kZero,         // the number 0, on the host, by value
  kIntermediate  // and what follows: results that stay in registers
};

struct CudnnConvGraph {
  std::vector<CudnnDescriptor> parts;  // tensors and operations, which `graph` refers to
  CudnnDescriptor graph;
  std::vector<CudnnTensor> tensors;  // what a run must give pointers of
};

// Empty: `graph` is built and cuDNN takes it for a sound graph, which does not yet mean that it has an engine
// for it. Else why not.
std::string build_conv_graph(const CudnnTarget& target, const CudnnConvSpec& spec, CudnnConvGraph& graph);

}  // namespace aikd::kernels::cuda
