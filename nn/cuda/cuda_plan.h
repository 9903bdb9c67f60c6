// The scoring plan on CUDA (nn/plan.h): NHWC activations, BatchNorm folded, one step per convolution with its
// epilogue, all memory planned, each batch size recorded as a graph and replayed with one launch.
#pragma once

#include <memory>
#include <vector>

#include "nn/frozen_plan.h"
#include "nn/plan.h"

namespace aikd::nn {

// Called by Plan::compile for a context on a CUDA device, in builds with CUDA; and by the tests of the host
// emulator.
std::unique_ptr<Plan> compile_cuda_plan(const Module& backbone, const Module* head, const InputTable& input,
                                        Context& context, const PlanOptions& options);

// The same for FrozenPlan::compile (nn/frozen_plan.h).
std::unique_ptr<FrozenPlan> compile_cuda_frozen_plan(const GraphOps& graph, int input,
                                                     const std::vector<int>& outputs, const InputTable& table,
                                                     Context& context, const PlanOptions& options);

}  // namespace aikd::nn
