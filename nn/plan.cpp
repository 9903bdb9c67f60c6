#include "nn/plan.h"

#include <algorithm>

#include "kernels/normalise.h"
#include "nn/cpu_program.h"
#include "nn/cuda/cuda_plan.h"
#include "nn/plan_network.h"
#include "tensor/config.h"

namespace aikd::nn {
namespace {

void copy_rows(const float* from, std::int64_t stride, std::int64_t rows, std::int64_t columns, float* to) {
  for (std::int64_t i = 0; i < rows; ++i) std::copy_n(from + i * stride, columns, to + i * columns);
}

class CpuPlan final : public Plan {
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
    const kernels::NormaliseTable table{&input_.table[0][0],
                                        {input_.source[0], input_.source[1], input_.source[2]}};
    const std::int64_t pixels = std::int64_t{input_.height} * input_.width;
    run_program(n, embeddings, head_output,
                [&](const kernels::Context& ctx, std::int64_t begin, std::int64_t count, float* to) {
                  kernels::cpu::normalise(ctx, table, count * pixels, images.data() + begin * pixels * 3, to,
                                          program_.input().stored_channels());
                });
  }

  void run_values(std::span<const float> values, std::int64_t n, std::span<float> embeddings,
                  std::span<float> head_output) override {
    const std::int64_t image_floats = std::int64_t{3} * input_.height * input_.width;
    require(n < 0 || values.size() == static_cast<std::size_t>(n * image_floats), ErrorKind::kUsage,
            "Plan::run_values: ", n, " images of ", input_.width, "x", input_.height, " pixels are ",
            n * image_floats, " values, got ", values.size(), ".");
    check_plan_call(network_, input_, {values.size(), n, embeddings.size(), head_output.size()});
    const std::int64_t stride = program_.input().stored_channels();
    run_program(n, embeddings, head_output,
                [&](const kernels::Context& ctx, std::int64_t begin, std::int64_t count, float* to) {
                  const float* from = values.data() + begin * image_floats;
                  kernels::parallel_for(ctx, count * input_.height, [&](std::ptrdiff_t row, int) {
                    for (std::int64_t p = row * input_.width; p < (row + 1) * input_.width; ++p) {
                      float* pixel = to + p * stride;
                      std::copy_n(from + p * 3, 3, pixel);
                      std::fill(pixel + 3, pixel + stride, 0.0F);
                    }
                  });
                });
  }

  std::int64_t embedding_size() const noexcept override { return network_.embedding_size; }
  std::size_t memory_bytes() const noexcept override { return program_.memory_bytes(); }
  const std::vector<PlanStep>& steps() const noexcept override { return program_.steps(); }

 private:
  template <class Load>
  void run_program(std::int64_t n, std::span<float> embeddings, std::span<float> head_output,
                   const Load& load) {
    const auto take = [&](std::size_t output, std::int64_t columns, std::int64_t begin, std::int64_t count,
                          std::span<float> to) {
      if (to.empty()) return;
      const CpuProgram::Place& place = program_.output(output);
      copy_rows(program_.data(place), place.value.floats(), count, columns, to.data() + begin * columns);
    };
    program_.run(n, load, [&](const kernels::Context&, std::int64_t begin, std::int64_t count) {
      take(0, embedding_size(), begin, count, embeddings);
      if (network_.has_head()) take(1, 1, begin, count, head_output);
    });
  }

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
