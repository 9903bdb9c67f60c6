// Which engines cuDNN offers for a graph, which of them keep this library's promises, and plans made of them.
// Included by cudnn_*.cpp only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cuda/cudnn_graph.h"

namespace aikd::kernels::cuda {

// One engine with its settings, as the heuristics propose it.
struct CudnnCandidate {
  CudnnDescriptor config;
  std::int64_t engine = 0;                         // cuDNN's number of it
  std::vector<cudnnBackendNumericalNote_t> notes;  // what cuDNN says of its arithmetic
  bool fallback = false;                           // from the fallback list
  std::string refusal;                             // why the spec does not allow it; empty: it does
};

// In order of preference: mode A (a model of the time each takes), then the fallback list (nearly always
// there, and often far slower). Of a graph with an epilogue the fallback list is refused: a fast convolution
// followed by our own epilogue kernel beats a slow fused one. Empty, with `why`, when cuDNN offers nothing.
std::vector<CudnnCandidate> list_candidates(const CudnnTarget& target, const CudnnConvSpec& spec,
                                            const CudnnConvGraph& graph, std::string* why);

struct CudnnPlan {
  CudnnDescriptor plan;
  std::size_t workspace_bytes = 0;
};
// Compiles what must be compiled (engines made at run time: a second or so). Empty: done; else why not.
std::string build_plan(const CudnnTarget& target, const CudnnCandidate& candidate,
                       std::size_t workspace_limit, CudnnPlan& plan);

// A device by description (cuDNN's JSON), for planning without it; cuDNN 9.8 or newer. Without: `why` tells.
CudnnDescriptor describe_device(const CudnnApi& api, const std::string& json, std::string* why);

// "tensor cores, not deterministic"; "" for none.
std::string text_of(const std::vector<cudnnBackendNumericalNote_t>& notes);

}  // namespace aikd::kernels::cuda
