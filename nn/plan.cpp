#include "nn/plan.h"

#include <algorithm>

#include "nn/cpu_program.h"
#include "nn/cuda/cuda_plan.h"
#include "nn/plan_network.h"
#include "tensor/config.h"

namespace aikd::nn {
namespace {

class CpuPlan final : public Plan {
  // Takes the results that are wanted (spans that are not empty).
  auto store(std::span<float> embeddings, std::span<float> head_output) const {
    return [=, this](const kernels::Context&, std::int64_t begin, std::int64_t count) {
      if (!embeddings.empty())
        program_.copy_vectors(program_.output(0), count, embedding_size(),
                              embeddings.data() + begin * embedding_size());
      if (!head_output.empty())
        program_.copy_vectors(program_.output(1), count, 1, head_output.data() + begin);
    };
  }

 public:
  CpuPlan(const Module& backbone, const Module* head, const InputTable& input, Context& context,
          const PlanOptions& options)
      : input_(input),
        network_(record_network(backbone, head, input)),
        program_(context, network_.graph, network_.input, network_.outputs, options.max_batch,
                 options.winograd) {}

  void run(std::span<const std::uint8_t> images, std::int64_t n, std::span<float> embeddings,
           std::span<float> head_output) override {
    check_plan_call(network_, input_, {images.size(), n, embeddings.size(), head_output.size()});
    program_.run_images(input_, images, n, store(embeddings, head_output));
  }

  void run_values(std::span<const float> values, std::int64_t n, std::span<float> embeddings,
                  std::span<float> head_output) override {
    const std::int64_t image_floats = std::int64_t{3} * input_.height * input_.width;
    require(n < 0 || values.size() == static_cast<std::size_t>(n * image_floats), ErrorKind::kUsage,
            "Plan::run_values: ", n, " images of ", input_.width, "x", input_.height, " pixels are ",
            n * image_floats, " values, got ", values.size(), ".");
    check_plan_call(network_, input_, {values.size(), n, embeddings.size(), head_output.size()});
    const std::int64_t stride = program_.input().stored_channels();
    program_.run(
        n,
        [&](const kernels::Context& ctx, std::int64_t begin, std::int64_t count, float* to) {
          const float* from = values.data() + begin * image_floats;
          kernels::parallel_for(ctx, count * input_.height, [&](std::ptrdiff_t row, int) {
            for (std::int64_t p = row * input_.width; p < (row + 1) * input_.width; ++p) {
              float* pixel = to + p * stride;
              std::copy_n(from + p * 3, 3, pixel);
              std::fill(pixel + 3, pixel + stride, 0.0F);
            }
          });
        },
        store(embeddings, head_output));
  }

  std::int64_t embedding_size() const noexcept override { return network_.embedding_size; }
  std::size_t memory_bytes() const noexcept override { return program_.memory_bytes(); }
  const std::vector<PlanStep>& steps() const noexcept override { return program_.steps(); }

 private:
  InputTable input_;
  PlanNetwork network_;
  CpuProgram program_;
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
  check_plan_device(context, options);
  if constexpr (kHasCuda)
    if (context.on_cuda()) return compile_cuda_plan(backbone, head, input, context, options);
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
