// What scoring plans share, whatever they compute on: the network recorded as a graph and its arguments
// checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "nn/graph.h"
#include "nn/plan.h"

namespace aikd::nn {

struct PlanNetwork {
  GraphOps graph;
  int input = -1;            // node
  std::vector<int> outputs;  // the embedding's node and, with a head, the score's
  std::int64_t embedding_size = 0;
  bool has_head() const noexcept { return outputs.size() > 1; }
};

// Walks backbone (image -> embedding [N, features]) and head (-> [N, 1], may be null). Throws Error(kModel)
// when the shapes are others.
PlanNetwork record_network(const Module& backbone, const Module* head, const InputTable& input);

// Throws Error(kUsage) for options or an input table that no plan can follow.
void check_plan_options(const InputTable& input, const PlanOptions& options);

// What a context's device can compute in. Throws Error(kUsage) for a precision that the CPU does not have,
// Error(kInternal) for a CUDA context in a build without CUDA.
void check_plan_device(const Context& context, const PlanOptions& options);

// `bytes` of n >= 0 images. Throws Error(kUsage).
void check_plan_images(const InputTable& input, std::size_t bytes, std::int64_t n);

// The arguments of Plan::run. Throws Error(kUsage).
struct PlanCall {
  std::size_t image_bytes = 0;  // in all
  std::int64_t n = 0;
  std::size_t embeddings = 0, head_output = 0;
};
void check_plan_call(const PlanNetwork& network, const InputTable& input, const PlanCall& call);

}  // namespace aikd::nn
