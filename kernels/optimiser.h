// One step of an optimiser over all tensors of a model, on CUDA devices: a single launch for any number of
// tensors.
//
// Tensors are described by an array of TensorSlice in device memory, which stays valid as long as nothing is
// reallocated; what changes from step to step (learning rates) is given by value, per group. The work is cut
// into chunks of kOptimiserChunk elements, one block each, listed in a second array in device memory
// (make_tensor_chunks).
//
// Nothing here waits for the device: gradients are unscaled and clipped, and a step with a non-finite
// gradient is left out, by what lies in device memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/context.h"
#include "kernels/storage.h"

namespace aikd::kernels::cuda {

inline constexpr std::int64_t kOptimiserChunk = 16 * 1024;
inline constexpr int kOptimiserGroups = 8;  // at most

// Device pointers, which need no alignment (multiples of 16 bytes are faster). Null is what an operation does
// not use.
struct TensorSlice {
  float* parameter = nullptr;
  const void* gradient = nullptr;  // in the storage given to the call
  float* first = nullptr;          // momentum buffer; Adam: first moment
  float* second = nullptr;         // Adam: second moment
  float* average = nullptr;        // moving average of the parameter
  void* low_precision = nullptr;   // the parameter again, rounded to StepControl::low_precision; null: none
  std::int64_t count = 0;
  std::int32_t group = 0;  // index into SgdOptions::groups or AdamOptions::groups
};

// Elements [begin, begin + kOptimiserChunk) of a tensor, as far as they exist.
struct TensorChunk {
  std::int64_t tensor = 0, begin = 0;
};
// Host code, on a host copy of the slices (only `count` is read): how many chunks there are, and the chunks
// in the order of the tensors. Empty tensors have none.
std::int64_t tensor_chunk_count(const TensorSlice* tensors, std::int64_t count) noexcept;
void make_tensor_chunks(const TensorSlice* tensors, std::int64_t count, TensorChunk* chunks) noexcept;

// Both arrays in device memory.
struct TensorList {
  const TensorSlice* tensors = nullptr;
  const TensorChunk* chunks = nullptr;
  std::int64_t chunk_count = 0;
};

// Assigns *norm = sqrt(sum of (inverse_scale g)^2 over all gradients) and *non_finite = 1 if any gradient is
// infinite or NaN (the norm is then of no use), else 0. inverse_scale: 1 / loss scale. Squares are fp32, runs
// of at most 16 of them are added in fp32, everything after that in double, in a fixed order: relative error
// below 1e-6. Two launches. ctx.workspace: gradient_norm_workspace_bytes. bytes_of(storage) read per element.
std::size_t gradient_norm_workspace_bytes(std::int64_t chunk_count) noexcept;
void global_gradient_norm(const Context& ctx, Storage storage, const TensorList& list, float inverse_scale,
                          float* norm, std::int32_t* non_finite);

// What happens to a gradient before the optimiser's own arithmetic, and whether there is a step at all.
struct StepControl {
  float inverse_scale = 1;  // 1 / loss scale; applied first
  const float* norm =
      nullptr;  // device; with it gradients are multiplied by min(1, max_norm / (norm + 1e-6))
  float max_norm = 0;
  const std::int32_t* non_finite = nullptr;  // device; if not 0, the call changes nothing at all
  std::int32_t* steps =
      nullptr;  // device, required: steps taken so far; the call adds 1 (not to a skipped one)
  Storage low_precision = Storage::kF16;  // of TensorSlice::low_precision
};

// Stochastic gradient descent with momentum, as torch.optim.SGD. g: the gradient, unscaled and clipped.
//
//   d = g + weight_decay p
//   buffer = d in the first step (*steps == 0), else momentum buffer + (1 - dampening) d     (momentum != 0)
//   d = nesterov ? d + momentum buffer : buffer                                              (momentum != 0)
//   p = p - learning_rate d
//
// Parameters and buffers are fp32; products and sums that belong together are fused. `first` may hold
// anything before the first step. Bytes per element: parameter and buffer read and written (16), the
// gradient, the low-precision copy.
struct SgdGroup {
  double learning_rate = 0, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
};
struct SgdOptions {
  SgdGroup groups[kOptimiserGroups];
};
void sgd_momentum(const Context& ctx, Storage gradient, const TensorList& list, const SgdOptions& options,
                  const StepControl& control);

// Adam, as torch.optim.Adam (weight decay is L2, added to the gradient; no amsgrad). t = *steps + 1:
//
//   g = g + weight_decay p
//   m = m + (1 - beta1) (g - m)
//   v = beta2 v + (1 - beta2) g^2
//   p = p - learning_rate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
//
// m (`first`) and v (`second`) are zeros before the first step. The factors are computed in double. Bytes per
// element: 24, the gradient, the low-precision copy.
struct AdamGroup {
  double learning_rate = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
};
struct AdamOptions {
  AdamGroup groups[kOptimiserGroups];
};
void adam(const Context& ctx, Storage gradient, const TensorList& list, const AdamOptions& options,
          const StepControl& control);

// Exponential moving average, average = decay average + (1 - decay) parameter, as
// torch.optim.swa_utils.AveragedModel: the first update copies (`first`, or decay = 0). Computed as average +
// (1 - decay) (parameter - average), or, for decay <= 0.5, from the parameter's end: what is equal stays
// equal. 12 bytes per element.
void ema(const Context& ctx, const TensorList& list, double decay, bool first);

}  // namespace aikd::kernels::cuda
