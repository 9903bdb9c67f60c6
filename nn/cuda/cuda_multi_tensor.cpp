#include "nn/cuda/cuda_multi_tensor.h"

#include <cstring>

#include "nn/cuda/uploads.h"
#include "tensor/cuda_runtime.h"

namespace aikd::nn {
namespace {

namespace cuda_kernels = kernels::cuda;
using kernels::Storage;

// A list of tensors and their chunks as the kernels want it, in one piece of memory.
class PackedList {
 public:
  explicit PackedList(std::span<const TensorSlice> slices)
      : slices_(slices),
        chunks_(kernels::tensor_chunk_count(slices.data(), static_cast<std::int64_t>(slices.size()))) {}

  std::size_t bytes() const noexcept {
    return slice_bytes() + static_cast<std::size_t>(chunks_) * sizeof(kernels::TensorChunk);
  }
  void write(unsigned char* to) const {
    auto* slice = reinterpret_cast<cuda_kernels::TensorSlice*>(to);
    for (const TensorSlice& s : slices_)
      *slice++ = {.parameter = s.parameter,
                  .gradient = s.gradient,
                  .first = s.first,
                  .second = s.second,
                  .average = s.average,
                  .count = s.count,
                  .group = s.group};
    kernels::make_tensor_chunks(slices_.data(), static_cast<std::int64_t>(slices_.size()),
                                reinterpret_cast<kernels::TensorChunk*>(to + slice_bytes()));
  }
  // What was written, copied to `at` on the device.
  cuda_kernels::TensorList at(const unsigned char* at) const {
    return {reinterpret_cast<const cuda_kernels::TensorSlice*>(at),
            reinterpret_cast<const kernels::TensorChunk*>(at + slice_bytes()), chunks_};
  }

 private:
  std::size_t slice_bytes() const noexcept { return slices_.size() * sizeof(cuda_kernels::TensorSlice); }
  std::span<const TensorSlice> slices_;
  std::int64_t chunks_;
};
static_assert(sizeof(cuda_kernels::TensorSlice) % alignof(kernels::TensorChunk) == 0 &&
              sizeof(kernels::TensorChunk) % alignof(cuda_kernels::TensorSlice) == 0);

class CudaMultiTensor final : public MultiTensor {
 public:
  explicit CudaMultiTensor(Context& context)
      : context_(&context), numbers_(sizeof(Numbers)), uploads_(context) {}

  // Gradients are new tensors in every step, so the list goes to the device in every step: 64 bytes per
  // tensor and 16 per 16384 elements, some 100 KB for an iResNet-100.
  StepOutcome step(std::span<const TensorSlice> slices, std::span<const TensorSlice> measured,
                   const StepRequest& request) override {
    const bool same = slices.data() == measured.data() && slices.size() == measured.size();
    const PackedList stepped(slices), others(same ? std::span<const TensorSlice>() : measured);
    const Numbers before{.steps = request.steps};
    Buffer memory = context_->scratch(sizeof before + stepped.bytes() + others.bytes());
    auto* const base = static_cast<unsigned char*>(memory.mutable_data());
    uploads_.send(base, memory.bytes(), [&](void* to) {
      auto* const bytes = static_cast<unsigned char*>(to);
      std::memcpy(bytes, &before, sizeof before);
      stepped.write(bytes + sizeof before);
      others.write(bytes + sizeof before + stepped.bytes());
    });
    auto* const numbers = reinterpret_cast<Numbers*>(base);
    const cuda_kernels::TensorList list = stepped.at(base + sizeof before);
    const cuda_kernels::TensorList norm_list =
        same ? list : others.at(base + sizeof before + stepped.bytes());

    const kernels::Context ctx =
        context_->kernel_context(cuda_kernels::gradient_norm_workspace_bytes(norm_list.chunk_count));
    cuda_kernels::global_gradient_norm(ctx, Storage::kF32, norm_list, request.inverse_scale, &numbers->norm,
                                       &numbers->non_finite);
    const cuda_kernels::StepControl control{.inverse_scale = request.inverse_scale,
                                            .norm = request.max_norm > 0 ? &numbers->norm : nullptr,
                                            .max_norm = request.max_norm,
                                            .non_finite = &numbers->non_finite,
                                            .steps = &numbers->steps};
    if (request.sgd != nullptr)
      cuda_kernels::sgd_momentum(ctx, Storage::kF32, list, *request.sgd, control);
    else
      cuda_kernels::adam(ctx, Storage::kF32, list, *request.adam, control);
    cuda::copy_to_host(numbers_.data(), numbers, sizeof(Numbers), context_->stream());
    context_->stream().synchronize();
    const auto& after = *static_cast<const Numbers*>(numbers_.data());
    return {after.norm, after.non_finite == 0};
  }

  void average(std::span<const TensorSlice> slices, double decay, bool first) override {
    const PackedList list(slices);
    if (list.bytes() == 0) return;
    Buffer memory = context_->scratch(list.bytes());
    auto* const base = static_cast<unsigned char*>(memory.mutable_data());
    uploads_.send(base, memory.bytes(), [&](void* to) { list.write(static_cast<unsigned char*>(to)); });
    cuda_kernels::ema(context_->kernel_context(), list.at(base), decay, first);
  }

 private:
  struct alignas(16) Numbers {  // before the lists, which stay aligned behind it
    float norm = 0;
    std::int32_t non_finite = 0, steps = 0;
  };

  Context* context_;
  cuda::PinnedBuffer numbers_;  // on their way back
  Uploads uploads_;
};

}  // namespace

std::unique_ptr<MultiTensor> make_cuda_multi_tensor(Context& context) {
  require(context.on_cuda(), ErrorKind::kInternal, "make_cuda_multi_tensor was given a context on ",
          context.device().to_string(), ".");
  return std::make_unique<CudaMultiTensor>(context);
}

}  // namespace aikd::nn
