#include "nn/multi_tensor.h"

#include <cstring>
#include <vector>

#include "nn/cuda/cuda_multi_tensor.h"
#include "tensor/config.h"

namespace aikd::nn {
namespace {

namespace cpu = kernels::cpu;

class CpuMultiTensor final : public MultiTensor {
 public:
  explicit CpuMultiTensor(Context& context) : context_(&context) {}

  StepOutcome step(std::span<const TensorSlice> slices, std::span<const TensorSlice> measured,
                   const StepRequest& request) override {
    const Chunks norm_chunks(measured), chunks(slices);
    const kernels::Context ctx = context_->kernel_context(
        cpu::gradient_norm_workspace_bytes(static_cast<std::int64_t>(norm_chunks.chunks.size())));
    float norm = 0;
    std::int32_t non_finite = 0, steps = request.steps;
    cpu::global_gradient_norm(ctx, norm_chunks.list(measured), request.inverse_scale, &norm, &non_finite);
    const cpu::StepControl control{.inverse_scale = request.inverse_scale,
                                   .norm = request.max_norm > 0 ? &norm : nullptr,
                                   .max_norm = request.max_norm,
                                   .non_finite = &non_finite,
                                   .steps = &steps};
    if (request.sgd != nullptr)
      cpu::sgd_momentum(ctx, chunks.list(slices), *request.sgd, control);
    else
      cpu::adam(ctx, chunks.list(slices), *request.adam, control);
    return {norm, non_finite == 0};
  }

  void average(std::span<const TensorSlice> slices, double decay, bool first) override {
    const Chunks chunks(slices);
    cpu::ema(context_->kernel_context(), chunks.list(slices), decay, first);
  }

 private:
  struct Chunks {
    explicit Chunks(std::span<const TensorSlice> slices) {
      const auto count = static_cast<std::int64_t>(slices.size());
      chunks.resize(static_cast<std::size_t>(kernels::tensor_chunk_count(slices.data(), count)));
      kernels::make_tensor_chunks(slices.data(), count, chunks.data());
    }
    cpu::TensorList list(std::span<const TensorSlice> slices) const {
      return {slices.data(), chunks.data(), static_cast<std::int64_t>(chunks.size())};
    }
    std::vector<kernels::TensorChunk> chunks;
  };

  Context* context_;
};

}  // namespace

std::unique_ptr<MultiTensor> make_multi_tensor(Context& context) {
  if (context.on_cuda()) {
    require(kHasCuda, ErrorKind::kInternal, "A build without CUDA was given a context on ",
            context.device().to_string(), ".");
    if constexpr (kHasCuda) return make_cuda_multi_tensor(context);
  }
  return std::make_unique<CpuMultiTensor>(context);
}

void copy_tensor(const Context& context, const Tensor& from, Tensor& to) {
  if (from.bytes() == 0) return;
  if (from.device() == Device::cpu() && to.device() == Device::cpu())
    std::memcpy(to.mutable_raw(), from.raw(), from.bytes());
  else
    copy_values(from, to, context.stream());
}

}  // namespace aikd::nn
