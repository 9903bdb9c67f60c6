// The part of a network that training leaves alone, compiled like a scoring plan (nn/plan.h): the teacher,
// and the layers of the student in front of the first one that is trained. Its results are values of the
// network, as tensors that a tape takes as constants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "nn/graph.h"
#include "nn/plan.h"
#include "tensor/context.h"

namespace aikd::nn {

class FrozenPlan {
 public:
  // `graph` was recorded from an image [1, height, width, 3], the node `input`; `outputs`: nodes, each wanted
  // once; the input itself may be one. The graph's tensors are on the CPU and read here only. Error(kUsage)
  // as Plan::compile.
  static std::unique_ptr<FrozenPlan> compile(const GraphOps& graph, int input,
                                             const std::vector<int>& outputs, const InputTable& table,
                                             Context& context, const PlanOptions& options = {});
  virtual ~FrozenPlan() = default;

  // images: n x height x width x 3 bytes, n >= 1. One tensor per output, on the context's device, new ones in
  // every call: images [n, H, W, C] in the storage of DeviceOps for the plan's precision, vectors [n,
  // features] in fp32. Values are those of Plan::run with the same options, bit for
  // bit on the CPU. On CUDA nothing is waited for
  // but the first run of a size of batch. Error(kUsage) for another number of bytes.
  virtual std::vector<Tensor> run(std::span<const std::uint8_t> images, std::int64_t n) = 0;

  virtual std::size_t memory_bytes() const noexcept = 0;  // packed weights and activations
  virtual const std::vector<PlanStep>& steps() const noexcept = 0;
};

}  // namespace aikd::nn
