// One step of an optimiser over all tensors of a model, on the CPU, in fp32. The tensors are cut into chunks
// of kOptimiserChunk elements, which the threads share; every element's arithmetic is its own, and sums go
// from chunk to chunk in order, so the bits do not depend on the number of threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/context.h"

namespace aikd::kernels::cpu {

inline constexpr std::int64_t kOptimiserChunk = 16 * 1024;
inline constexpr int kOptimiserGroups = 8;  // at most

// Null is what an operation does not use. No alignment needed; no two arrays overlap.
struct TensorSlice {
  float* parameter = nullptr;
  const float* gradient = nullptr;
  float* first = nullptr;    // momentum buffer; Adam: first moment
  float* second = nullptr;   // Adam: second moment
  float* average = nullptr;  // moving average of the parameter
  std::int64_t count = 0;
  std::int32_t group = 0;  // index into SgdOptions::groups or AdamOptions::groups
};

// Elements [begin, begin + kOptimiserChunk) of a tensor, as far as they exist.
struct TensorChunk {
  std::int64_t tensor = 0, begin = 0;
};
// How many chunks there are (only `count` of the slices is read), and the chunks in the order of the tensors.
// Empty tensors have none.
std::int64_t tensor_chunk_count(const TensorSlice* tensors, std::int64_t count) noexcept;
void make_tensor_chunks(const TensorSlice* tensors, std::int64_t count, TensorChunk* chunks) noexcept;

struct TensorList {
  const TensorSlice* tensors = nullptr;
  const TensorChunk* chunks = nullptr;
  std::int64_t chunk_count = 0;
};

// Assigns *norm = inverse_scale sqrt(sum of g^2 over all gradients) and *non_finite = 1 if any gradient is
// infinite or NaN (the norm is then of no use), else 0. inverse_scale: 1 / loss scale, > 0. Squares and sums
// are double. ctx.workspace: gradient_norm_workspace_bytes. 4 bytes read per element.
std::size_t gradient_norm_workspace_bytes(std::int64_t chunk_count) noexcept;
void global_gradient_norm(const Context& ctx, const TensorList& list, float inverse_scale, float* norm,
                          std::int32_t* non_finite);

// What happens to a gradient before the optimiser's own arithmetic, and whether there is a step at all.
struct StepControl {
  float inverse_scale = 1;      // 1 / loss scale; applied first
  const float* norm = nullptr;  // with it gradients are multiplied by min(1, max_norm / (norm + 1e-6))
  float max_norm = 0;
  const std::int32_t* non_finite = nullptr;  // if not 0, the call changes nothing at all
  std::int32_t* steps = nullptr;  // required: steps taken so far; the call adds 1 (not to a skipped one)
};

// Stochastic gradient descent with momentum, as torch.optim.SGD. g: the gradient, unscaled and clipped.
//
//   d = g + weight_decay p
//   buffer = d in the first step (*steps == 0), else momentum buffer + (1 - dampening) d     (momentum != 0)
//   d = nesterov ? d + momentum buffer : buffer                                              (momentum != 0)
//   p = p - learning_rate d
//
// Products and sums that belong together are fused. `first` may hold anything before the first step. Bytes
// per element: parameter and buffer read and written (16), the gradient.
struct SgdGroup {
  double learning_rate = 0, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
};
struct SgdOptions {
  SgdGroup groups[kOptimiserGroups];
};
void sgd_momentum(const Context& ctx, const TensorList& list, const SgdOptions& options,
                  const StepControl& control);

// Adam, as torch.optim.Adam (weight decay is L2, added to the gradient; no amsgrad). t = *steps + 1:
//
//   g = g + weight_decay p
//   m = m + (1 - beta1) (g - m)
//   v = beta2 v + (1 - beta2) g^2
//   p = p - learning_rate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
//
// m (`first`) and v (`second`) are zeros before the first step. The factors are computed in double. Bytes per
// element: 24, the gradient.
struct AdamGroup {
  double learning_rate = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
};
struct AdamOptions {
  AdamGroup groups[kOptimiserGroups];
};
void adam(const Context& ctx, const TensorList& list, const AdamOptions& options, const StepControl& control);

// Exponential moving average, average = decay average + (1 - decay) parameter, as
// torch.optim.swa_utils.AveragedModel: the first update copies (`first`, or decay = 0). Computed as average +
// (1 - decay) (parameter - average), or, for decay <= 0.5, from the parameter's end: what is equal stays
// equal. 12 bytes per element.
void ema(const Context& ctx, const TensorList& list, double decay, bool first);

}  // namespace aikd::kernels::cpu
