// nn/frozen_plan.h on CUDA. Nothing waits for the device but the first run of a size of batch, which records
// its graph.
#include <algorithm>
#include <cstring>
#include <optional>

#include "kernels/layout.h"
#include "nn/cuda/cuda_plan.h"
#include "nn/cuda/cuda_program.h"
#include "nn/cuda/cuda_storage.h"
#include "nn/cuda/uploads.h"
#include "nn/plan_network.h"

namespace aikd::nn {
namespace {

// The outputs that steps compute: all but the input.
std::vector<int> computed(const std::vector<int>& outputs, int input) {
  std::vector<int> nodes;
  std::ranges::copy_if(outputs, std::back_inserter(nodes), [&](int node) { return node != input; });
  return nodes;
}

class CudaFrozenPlan final : public FrozenPlan {
 public:
  CudaFrozenPlan(const GraphOps& graph, int input, const std::vector<int>& outputs, const InputTable& table,
                 Context& context, const PlanOptions& options)
      : context_(&context),
        table_(table),
        max_batch_(options.max_batch),
        storage_(storage_of(options.precision)),
        program_(context, graph, input, computed(outputs, input), table, options),
        uploads_(context) {
    for (std::size_t i = 0, step = 0; i < outputs.size(); ++i) {
      const bool is_input = outputs[i] == input;
      outputs_.push_back({graph.nodes()[static_cast<std::size_t>(outputs[i])].shape,
                          is_input ? std::nullopt : std::optional(step)});
      if (!is_input) ++step;
      computes_ = computes_ || !is_input;
    }
  }

  ~CudaFrozenPlan() override { program_.wait(); }
  CudaFrozenPlan(const CudaFrozenPlan&) = delete;
  CudaFrozenPlan& operator=(const CudaFrozenPlan&) = delete;

  std::vector<Tensor> run(std::span<const std::uint8_t> images, std::int64_t n) override {
    check_plan_images(table_, images.size(), n);
    std::vector<Tensor> results;
    for (const Output& output : outputs_) {
      const Shape& one = output.shape;
      const bool image = one.rank() == 4;
      results.push_back(context_->empty(image ? Shape{n, one[1], one[2], one[3]} : Shape{n, one[1]},
                                        image ? dtype_of_storage(storage_) : DType::kF32));
    }
    for (std::int64_t begin = 0; begin < n; begin += max_batch_) {
      const std::int64_t count = std::min(max_batch_, n - begin);
      const std::int64_t run_as = program_.rounded_batch(count);
      upload(images, begin, count, run_as);
      if (computes_) program_.run(recording_, run_as, [this, run_as] { program_.issue(run_as); });
      for (std::size_t i = 0; i < results.size(); ++i) store(outputs_[i], begin, count, results[i]);
    }
    return results;
  }

  std::size_t memory_bytes() const noexcept override { return program_.memory_bytes(); }
  const std::vector<PlanStep>& steps() const noexcept override { return program_.steps(); }

 private:
  struct Output {
    Shape shape;                      // for one image
    std::optional<std::size_t> step;  // which output of the program; none: the input
  };

  void upload(std::span<const std::uint8_t> images, std::int64_t begin, std::int64_t count,
              std::int64_t run_as) {
    const std::size_t one = program_.image_bytes(), bytes = static_cast<std::size_t>(count) * one;
    const std::size_t padding = static_cast<std::size_t>(run_as - count) * one;
    uploads_.send(program_.images(), bytes + padding, [&](void* to) {
      auto* const staging = static_cast<std::uint8_t*>(to);
      std::memcpy(staging, images.data() + static_cast<std::size_t>(begin) * one, bytes);
      // Images that only fill the batch up are black, so that every run computes on defined numbers.
      std::memset(staging + bytes, 0, padding);
    });
  }

  // Images [begin, begin + count) of `to`, without the channels that only pad.
  void store(const Output& output, std::int64_t begin, std::int64_t count, Tensor& to) {
    const std::size_t per_image = to.bytes() / static_cast<std::size_t>(to.shape()[0]);
    void* const rows =
        static_cast<unsigned char*>(to.mutable_raw()) + static_cast<std::size_t>(begin) * per_image;
    if (!output.step) {
      program_.normalise(count, storage_, 3, rows);
      return;
    }
    const CudaValue& value = program_.output(*output.step);
    const void* const from = program_.output_data(*output.step);
    if (value.padded == value.c) {
      cuda::copy_on_device(rows, from, static_cast<std::size_t>(count) * per_image, context_->stream());
    } else {
      kernels::cuda::fit_channels(context_->kernel_context(), value.storage, value.storage,
                                  count * value.pixels(), value.padded, from, value.c, rows);
    }
  }

  Context* context_;
  InputTable table_;
  std::int64_t max_batch_;
  kernels::Storage storage_;
  CudaProgram program_;
  CudaProgram::Recording recording_;
  Uploads uploads_;
  std::vector<Output> outputs_;
  bool computes_ = false;
};

}  // namespace

std::unique_ptr<FrozenPlan> compile_cuda_frozen_plan(const GraphOps& graph, int input,
                                                     const std::vector<int>& outputs, const InputTable& table,
                                                     Context& context, const PlanOptions& options) {
  check_plan_options(table, options);
  return std::make_unique<CudaFrozenPlan>(graph, input, outputs, table, context, options);
}

}  // namespace aikd::nn
