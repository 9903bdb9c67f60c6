#include "nn/frozen_plan.h"

#include <optional>

#include "kernels/cpu/blocked_copy.h"
#include "nn/cpu_program.h"
#include "nn/cuda/cuda_plan.h"
#include "nn/functional.h"
#include "nn/plan_network.h"
#include "tensor/config.h"

namespace aikd::nn {
namespace {

class CpuFrozenPlan final : public FrozenPlan {
 public:
  CpuFrozenPlan(const GraphOps& graph, int input, const std::vector<int>& outputs, const InputTable& table,
                Context& context, const PlanOptions& options)
      : context_(&context), table_(table) {
    std::vector<int> computed;
    for (const int output : outputs) {
      shapes_.push_back(graph.nodes()[static_cast<std::size_t>(output)].shape);
      is_input_.push_back(output == input);
      if (output != input) computed.push_back(output);
    }
    if (!computed.empty())
      program_.emplace(context, graph, input, computed, options.max_batch, options.winograd);
  }

  std::vector<Tensor> run(std::span<const std::uint8_t> images, std::int64_t n) override {
    check_plan_images(table_, images.size(), n);
    std::vector<Tensor> results;
    for (std::size_t i = 0; i < shapes_.size(); ++i) {
      if (is_input_[i]) {
        results.push_back(normalise(*context_, table_, images, n));
        continue;
      }
      const Shape& one = shapes_[i];
      results.push_back(Tensor::empty(one.rank() == 4 ? Shape{n, one[1], one[2], one[3]} : Shape{n, one[1]}));
    }
    if (!program_) return results;
    program_->run_images(table_, images, n,
                         [&](const kernels::Context& ctx, std::int64_t begin, std::int64_t count) {
                           for (std::size_t i = 0, computed = 0; i < results.size(); ++i)
                             if (!is_input_[i])
                               store(ctx, program_->output(computed++), begin, count, results[i]);
                         });
    return results;
  }

  std::size_t memory_bytes() const noexcept override { return program_ ? program_->memory_bytes() : 0; }
  const std::vector<PlanStep>& steps() const noexcept override {
    static const std::vector<PlanStep> kNone;
    return program_ ? program_->steps() : kNone;
  }

 private:
  void store(const kernels::Context& ctx, const CpuProgram::Place& place, std::int64_t begin,
             std::int64_t count, Tensor& to) const {
    const std::int64_t floats = to.numel() / to.shape()[0];
    float* const out = to.mutable_data<float>() + begin * floats;
    if (to.shape().rank() == 4)
      kernels::cpu::from_blocked(ctx, count, place.value.c,
                                 kernels::cpu::same_pixels(place.value.h, place.value.w),
                                 program_->data(place), out);
    else
      program_->copy_vectors(place, count, floats, out);
  }

  Context* context_;
  InputTable table_;
  std::vector<Shape> shapes_;
  std::vector<bool> is_input_;
  std::optional<CpuProgram> program_;
};

}  // namespace

std::unique_ptr<FrozenPlan> FrozenPlan::compile(const GraphOps& graph, int input,
                                                const std::vector<int>& outputs, const InputTable& table,
                                                Context& context, const PlanOptions& options) {
  check_plan_options(table, options);
  check_plan_device(context, options);
  if constexpr (kHasCuda)
    if (context.on_cuda()) return compile_cuda_frozen_plan(graph, input, outputs, table, context, options);
  return std::make_unique<CpuFrozenPlan>(graph, input, outputs, table, context, options);
}

}  // namespace aikd::nn
