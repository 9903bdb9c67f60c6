// A recorded graph as a sequence of fused steps on the CPU, with all memory planned and all weights packed:
// what the scoring plan (nn/plan.cpp) and the frozen part of a network in training (nn/frozen_plan.cpp) are
// made of.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "nn/graph.h"
#include "nn/plan.h"
#include "nn/plan_fuse.h"
#include "nn/plan_kernels.h"
#include "nn/plan_memory.h"
#include "tensor/buffer.h"
#include "tensor/context.h"

namespace aikd::nn {

class CpuProgram {
 public:
  // Computes the nodes `outputs` (none of them `input`) from the node `input`. The graph is read here only.
  // `winograd`: PlanOptions::winograd.
  CpuProgram(Context& context, const GraphOps& graph, int input, const std::vector<int>& outputs,
             std::int64_t max_batch, bool winograd);

  // A value of the graph as the steps leave it (nn/plan_kernels.h, PlanValue).
  struct Place {
    std::size_t offset = 0;
    PlanValue value;
  };
  const PlanValue& input() const noexcept { return input_.value; }
  const Place& output(std::size_t i) const { return outputs_[i]; }
  const float* data(const Place& place) const noexcept { return arena_floats() + place.offset; }

  // n images, at most max_batch at a time: load(ctx, begin, count, to) writes the input of the images [begin,
  // begin + count), the steps follow, store(ctx, begin, count) reads the outputs by data().
  template <class Load, class Store>
  void run(std::int64_t n, const Load& load, const Store& store) {
    for (std::int64_t begin = 0; begin < n; begin += max_batch_) {
      const std::int64_t count = std::min<std::int64_t>(max_batch_, n - begin);
      const kernels::Context ctx = context_->kernel_context(workspace_bytes_);
      load(ctx, begin, count, arena_floats() + input_.offset);
      run_steps(ctx, count);
      store(ctx, begin, count);
    }
  }

  // The same for n images of bytes, by `table`.
  template <class Store>
  void run_images(const InputTable& table, std::span<const std::uint8_t> images, std::int64_t n,
                  const Store& store) {
    run(
        n,
        [&](const kernels::Context& ctx, std::int64_t begin, std::int64_t count, float* to) {
          normalise_images(ctx, table, images, begin, count, to);
        },
        store);
  }
  // The vectors that `count` images have left at `place`, without padding: to [count, columns].
  void copy_vectors(const Place& place, std::int64_t count, std::int64_t columns, float* to) const;

  std::size_t memory_bytes() const noexcept;
  const std::vector<PlanStep>& steps() const noexcept { return described_; }

 private:
  struct Step {
    std::unique_ptr<PlanKernel> kernel;
    std::size_t input = 0, output = 0;  // offsets into the arena, in floats
    std::size_t residual = 0;
    bool has_residual = false;
  };
  void normalise_images(const kernels::Context& ctx, const InputTable& table,
                        std::span<const std::uint8_t> images, std::int64_t begin, std::int64_t count,
                        float* to) const;
  void run_steps(const kernels::Context& ctx, std::int64_t count) const;
  static void reuse_place(const FusedOp& op, const PlanKernel& kernel,
                          const std::map<int, std::size_t>& index, std::vector<ValueLife>& lives);
  float* arena_floats() const noexcept { return static_cast<float*>(arena_.mutable_data()); }

  Context* context_;
  std::int64_t max_batch_;
  std::vector<Step> steps_;
  std::vector<PlanStep> described_;
  mutable Buffer arena_;
  std::size_t workspace_bytes_ = 0;
  Place input_;
  std::vector<Place> outputs_;
};

}  // namespace aikd::nn
