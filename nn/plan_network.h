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

// The arguments of Plan::run. Throws Error(kUsage).
struct PlanCall {
  std::size_t image_bytes = 0;  // in all
  std::int64_t n = 0;
  std::size_t embeddings = 0, head_output = 0;
};
void check_plan_call(const PlanNetwork& network, const InputTable& input, const PlanCall& call);

}  // namespace aikd::nn
