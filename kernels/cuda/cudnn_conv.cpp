// From a spec to a plan: the graph, the engines, the choice among them. cudnn_graph.*, cudnn_engines.*,
// cudnn_tune.*.
#include "kernels/cuda/cudnn_conv.h"

#include <exception>
#include <utility>
#include <vector>

#include "kernels/cuda/cudnn_engines.h"
#include "kernels/cuda/cudnn_spec.h"
#include "kernels/cuda/cudnn_tune.h"

namespace aikd::kernels::cuda {
namespace {

constexpr const char* kName = "cudnn_conv";
constexpr std::size_t kMostTimed = 16;

class Plan final : public CudnnConv {
 public:
  Plan(const CudnnTarget& target, CudnnConvGraph graph, CudnnCandidate candidate, CudnnPlan plan,
       std::string engine)
      : target_(target),
        graph_(std::move(graph)),
        candidate_(std::move(candidate)),
        plan_(std::move(plan)),
        engine_(std::move(engine)) {}

  std::size_t workspace_bytes() const noexcept override { return plan_.workspace_bytes; }
  std::string engine() const override { return engine_; }

  void run(const Context& ctx, const CudnnConvPointers& pointers) const override {
    if (ctx.workspace_bytes < plan_.workspace_bytes)
      return report_library_failure(ctx, kName,
                                    "the workspace has " + std::to_string(ctx.workspace_bytes) +
                                        " bytes and the plan needs " + std::to_string(plan_.workspace_bytes));
    const std::string why = run_plan(target_, graph_, plan_, pointers, ctx.workspace, ctx.stream);
    if (!why.empty()) report_library_failure(ctx, kName, why);
  }

 private:
  CudnnTarget target_;
  CudnnConvGraph graph_;      // the plan refers to it
  CudnnCandidate candidate_;  // and to this
  CudnnPlan plan_;
  std::string engine_;
};

CudnnConvChoice choose(const CudnnTarget& target, const CudnnConvSpec& spec, bool autotune,
                       std::size_t workspace_limit, void* stream) {
  CudnnConvGraph graph;
  CudnnConvChoice choice;
  choice.why = build_conv_graph(target, spec, graph);
  if (!choice.why.empty()) return choice;
  std::vector<CudnnCandidate> candidates = list_candidates(target, spec, graph, &choice.why);
  if (candidates.empty()) return choice;

  // Without timing, the first plan that can be built; with it, the best-placed ones. Compiling takes a second
  // for each.
  const std::size_t wanted = autotune ? kMostTimed : 1;
  struct Built {
    std::size_t index;
    CudnnPlan plan;
  };
  std::vector<Built> built;
  for (std::size_t i = 0; i < candidates.size() && built.size() < wanted; ++i) {
    std::string refusal = candidates[i].refusal;
    CudnnPlan plan;
    if (refusal.empty()) refusal = build_plan(target, candidates[i], workspace_limit, plan);
    if (refusal.empty()) {
      built.push_back({i, std::move(plan)});
    } else if (choice.why.empty()) {
      choice.why = "none of " + std::to_string(candidates.size()) + " engines will do; the first, engine " +
                   std::to_string(candidates[i].engine) + ": " + refusal;
    }
  }
  if (built.empty()) return choice;

  std::size_t best = 0;
  std::string timing;
  if (autotune && built.size() > 1) {
    std::vector<const CudnnPlan*> plans;
    for (const Built& b : built) plans.push_back(&b.plan);
    const CudnnTiming timed = fastest_plan(target, spec, graph, plans, stream);
    if (timed.ran) {
      best = timed.index;
      timing =
          ", fastest of " + std::to_string(built.size()) + ": " + std::to_string(timed.milliseconds) + " ms";
    } else {
      timing = ", not timed: " + timed.why;
    }
  }
  Built& winner = built[best];
  CudnnCandidate& candidate = candidates[winner.index];
  std::string engine = "engine " + std::to_string(candidate.engine) + ", heuristic " +
                       std::to_string(winner.index + 1) + " of " + std::to_string(candidates.size()) + timing;
  choice.why.clear();
  choice.plan = std::make_unique<Plan>(target, std::move(graph), std::move(candidate), std::move(winner.plan),
                                       std::move(engine));
  return choice;
}

}  // namespace

CudnnConvChoice make_cudnn_conv(Libraries& libraries, const CudnnConvSpec& spec, bool autotune,
                                std::size_t workspace_limit, void* stream) {
  CudnnConvChoice choice;
  try {
    CudnnState* const state = libraries.cudnn_state();
    if (state == nullptr) {
      choice.why = libraries.cudnn_description();
      return choice;
    }
    choice.why = check(spec);
    if (choice.why.empty())
      choice = choose({state->api.get(), state->handle, nullptr}, spec, autotune, workspace_limit, stream);
    if (choice.plan == nullptr) choice.why = "cuDNN, " + describe(spec) + ": " + choice.why;
  } catch (const std::exception& error) {  // memory for a string or a vector
    choice.plan.reset();
    choice.why = error.what();
  }
  return choice;
}

}  // namespace aikd::kernels::cuda
