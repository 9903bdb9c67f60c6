#include "nn/plan.h"

#include <algorithm>
#include <map>
#include <utility>

#include "kernels/isa.h"
#include "kernels/normalise.h"
#include "nn/cuda/cuda_plan.h"
#include "nn/graph.h"
#include "nn/plan_fuse.h"
#include "nn/plan_kernels.h"
#include "nn/plan_memory.h"
#include "nn/plan_network.h"
#include "tensor/config.h"

namespace aikd::nn {
namespace {

struct CpuStep {
  std::unique_ptr<PlanKernel> kernel;
  std::size_t input = 0, output = 0;  // offsets into the arena, in floats
  std::size_t residual = 0;
  bool has_residual = false;
};

class CpuPlan final : public Plan {
 public:
  CpuPlan(const Module& backbone, const Module* head, const InputTable& input, Context& context,
          const PlanOptions& options)
      : context_(&context),
        input_(input),
        max_batch_(options.max_batch),
        network_(record_network(backbone, head, input)) {
    build(network_.graph, network_.input, network_.outputs);
  }

  void run(std::span<const std::uint8_t> images, std::int64_t n, std::span<float> embeddings,
           std::span<float> head_output) override {
    check_plan_call(network_, input_, {images.size(), n, embeddings.size(), head_output.size()});
    const kernels::NormaliseTable table{&input_.table[0][0],
                                        {input_.source[0], input_.source[1], input_.source[2]}};
    const std::int64_t pixels = std::int64_t{input_.height} * input_.width;
    run_pieces(n, embeddings, head_output,
               [&](const kernels::Context& ctx, std::int64_t begin, std::int64_t count, float* to) {
                 kernels::cpu::normalise(ctx, table, count * pixels, images.data() + begin * pixels * 3, to,
                                         input_stride_);
               });
  }

  void run_values(std::span<const float> values, std::int64_t n, std::span<float> embeddings,
                  std::span<float> head_output) override {
    const std::int64_t image_floats = std::int64_t{3} * input_.height * input_.width;
    require(n < 0 || values.size() == static_cast<std::size_t>(n * image_floats), ErrorKind::kUsage,
            "Plan::run_values: ", n, " images of ", input_.width, "x", input_.height, " pixels are ",
            n * image_floats, " values, got ", values.size(), ".");
    check_plan_call(network_, input_, {values.size(), n, embeddings.size(), head_output.size()});
    run_pieces(n, embeddings, head_output,
               [&](const kernels::Context& ctx, std::int64_t begin, std::int64_t count, float* to) {
                 const float* from = values.data() + begin * image_floats;
                 kernels::parallel_for(ctx, count * input_.height, [&](std::ptrdiff_t row, int) {
                   for (std::int64_t p = row * input_.width; p < (row + 1) * input_.width; ++p) {
                     float* pixel = to + p * input_stride_;
                     std::copy_n(from + p * 3, 3, pixel);
                     std::fill(pixel + 3, pixel + input_stride_, 0.0F);
                   }
                 });
               });
  }

  std::int64_t embedding_size() const noexcept override { return network_.embedding_size; }
  std::size_t memory_bytes() const noexcept override {
    std::size_t sum = arena_.bytes() + workspace_bytes_;
    for (const CpuStep& step : steps_) sum += step.kernel->parameter_bytes();
    return sum;
  }
  const std::vector<PlanStep>& steps() const noexcept override { return described_; }

 private:
  void build(const GraphOps& graph, int input_node, const std::vector<int>& outputs) {
    const std::vector<FusedOp> ops = fuse(graph, outputs);
    const auto value_of = [&](int node) {
      return PlanValue(graph.nodes()[static_cast<std::size_t>(node)].shape);
    };
    std::map<int, std::size_t> index;  // node -> its value's place in `lives`
    std::vector<ValueLife> lives;
    const auto define = [&](int node, int step) {
      index[node] = lives.size();
      lives.push_back({static_cast<std::size_t>(value_of(node).floats() * max_batch_), step, step, -1});
    };
    define(input_node, -1);
    for (std::size_t i = 0; i < ops.size(); ++i) {
      const FusedOp& op = ops[i];
      const auto step = static_cast<int>(i);
      lives[index.at(op.input)].last = step;
      if (op.residual >= 0) lives[index.at(op.residual)].last = step;
      define(op.output, step);
      steps_.push_back(
          {make_plan_kernel(op, value_of(op.input), value_of(op.output)), 0, 0, 0, op.residual >= 0});
      described_.push_back({steps_.back().kernel->name(), steps_.back().kernel->macs()});
      workspace_bytes_ = std::max(workspace_bytes_, steps_.back().kernel->workspace_bytes(max_batch_));
    }
    for (const int output : outputs) lives[index.at(output)].last = static_cast<int>(ops.size());
    for (std::size_t i = 0; i < ops.size(); ++i) reuse_place(ops[i], *steps_[i].kernel, index, lives);

    const ArenaLayout layout = lay_out(lives);
    arena_ = Buffer(layout.floats * sizeof(float), Device::cpu());
    // Never read before it is written, but a lane of padding may be multiplied by a zero filter: no NaN may
    // be there.
    std::fill_n(static_cast<float*>(arena_.mutable_data()), layout.floats, 0.0F);
    const auto place = [&](int node) { return layout.offsets[index.at(node)]; };
    for (std::size_t i = 0; i < ops.size(); ++i) {
      steps_[i].input = place(ops[i].input);
      steps_[i].output = place(ops[i].output);
      if (ops[i].residual >= 0) steps_[i].residual = place(ops[i].residual);
    }
    input_offset_ = place(input_node);
    input_stride_ = value_of(input_node).stored_channels();
    embedding_ = place(outputs[0]);
    embedding_stride_ = value_of(outputs[0]).floats();
    if (outputs.size() > 1) {
      head_ = place(outputs[1]);
      head_stride_ = value_of(outputs[1]).floats();
    }
  }

  // Lets an output take the place of a residual, or of an elementwise step's input, that dies at this step.
  static void reuse_place(const FusedOp& op, const PlanKernel& kernel,
                          const std::map<int, std::size_t>& index, std::vector<ValueLife>& lives) {
    ValueLife& y = lives[index.at(op.output)];
    const auto dies_here = [&](int node) {
      const ValueLife& life = lives[index.at(node)];
      return life.last == y.first && life.floats == y.floats;
    };
    if (op.residual >= 0 && op.residual != op.input && kernel.overwrites_residual() &&
        dies_here(op.residual)) {
      y.replaces = static_cast<int>(index.at(op.residual));
    } else if (kernel.elementwise() && op.residual < 0 && dies_here(op.input)) {
      y.replaces = static_cast<int>(index.at(op.input));
    }
  }

  // At most max_batch_ images at a time: load(ctx, begin, count, to) writes the network's input for images
  // [begin, begin + count), the steps follow.
  template <class Load>
  void run_pieces(std::int64_t n, std::span<float> embeddings, std::span<float> head_output, Load&& load) {
    auto* arena = static_cast<float*>(arena_.mutable_data());
    for (std::int64_t begin = 0; begin < n; begin += max_batch_) {
      const std::int64_t count = std::min<std::int64_t>(max_batch_, n - begin);
      const kernels::Context ctx = context_->kernel_context(workspace_bytes_);
      load(ctx, begin, count, arena + input_offset_);
      for (const CpuStep& step : steps_)
        step.kernel->run(ctx, count, arena + step.input, step.has_residual ? arena + step.residual : nullptr,
                         arena + step.output);
      if (!embeddings.empty())
        copy_rows(arena + embedding_, embedding_stride_, count, embedding_size(),
                  embeddings.data() + begin * embedding_size());
      if (!head_output.empty()) copy_rows(arena + head_, head_stride_, count, 1, head_output.data() + begin);
    }
  }

  static void copy_rows(const float* from, std::int64_t stride, std::int64_t rows, std::int64_t columns,
                        float* to) {
    for (std::int64_t i = 0; i < rows; ++i) std::copy_n(from + i * stride, columns, to + i * columns);
  }

  Context* context_;
  InputTable input_;
  std::int64_t max_batch_;
  PlanNetwork network_;
  std::vector<CpuStep> steps_;
  std::vector<PlanStep> described_;
  Buffer arena_;
  std::size_t workspace_bytes_ = 0;
  std::size_t input_offset_ = 0, embedding_ = 0, head_ = 0;
  std::int64_t input_stride_ = 0, embedding_stride_ = 0, head_stride_ = 0;
};

}  // namespace

std::int64_t Plan::macs_per_image() const noexcept {
  std::int64_t sum = 0;
  for (const PlanStep& step : steps()) sum += step.macs;
  return sum;
}

void Plan::run_values(std::span<const float>, std::int64_t, std::span<float>, std::span<float>) {
  fail(
      ErrorKind::kDevice,
      "This plan takes images of bytes only; images of floating-point values run on the CPU (--device cpu).");
}

std::unique_ptr<Plan> Plan::compile(const Module& backbone, const Module* head, const InputTable& input,
                                    Context& context, const PlanOptions& options) {
  check_plan_options(input, options);
  if (context.device().type == Device::Type::kCuda) {
    if constexpr (kHasCuda) return compile_cuda_plan(backbone, head, input, context, options);
    fail(ErrorKind::kInternal, "A build without CUDA was given a context on ", context.device().to_string(),
         ".");
  }
  require(options.precision == Precision::kFp32, ErrorKind::kUsage, "The precision ",
          name_of(options.precision),
          " was asked for, but on the CPU scores are computed in fp32 only; use --precision fp32 or a CUDA "
          "device.");
  const std::string problem = kernels::isa_problem();
  require(problem.empty(), ErrorKind::kUsage, problem);
  return std::make_unique<CpuPlan>(backbone, head, input, context, options);
}

const char* name_of(Precision precision) noexcept {
  switch (precision) {
    case Precision::kTf32:
      return "tf32";
    case Precision::kFp16:
      return "fp16";
    case Precision::kBf16:
      return "bf16";
    case Precision::kFp32:
      break;
  }
  return "fp32";
}

std::optional<Precision> precision_from_name(std::string_view name) noexcept {
  for (const Precision p : {Precision::kFp32, Precision::kTf32, Precision::kFp16, Precision::kBf16})
    if (name == name_of(p)) return p;
  return std::nullopt;
}

}  // namespace aikd::nn
