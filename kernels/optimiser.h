// One step of an optimiser over all tensors of a model.
//
// Tensors are described by an array of TensorSlice. The work is cut into chunks of kOptimiserChunk elements,
// listed in a second array (make_tensor_chunks); what changes from step to step (learning rates) is given by
// value, per group. Parameters, momentum buffers, moments and averages are fp32.
//
// global_gradient_norm assigns *norm = sqrt(sum of (inverse_scale g)^2 over all gradients) and *non_finite =
// 1 if any gradient is infinite or NaN (the norm is then of no use), else 0. inverse_scale: 1 / loss scale.
// ctx.workspace: gradient_norm_workspace_bytes.
//
// sgd_momentum: stochastic gradient descent with momentum, as torch.optim.SGD. g: the gradient, unscaled and
// clipped (StepControl).
//
//   d = g + weight_decay p
//   buffer = d in the first step (*steps == 0), else momentum buffer + (1 - dampening) d     (momentum != 0)
//   d = nesterov ? d + momentum buffer : buffer                                              (momentum != 0)
//   p = p - learning_rate d
//
// Products and sums that belong together are fused. `first` may hold anything before the first step. Bytes
// per element: parameter and buffer read and written (16), the gradient.
//
// adam: Adam, as torch.optim.Adam (weight decay is L2, added to the gradient; no amsgrad). t = *steps + 1:
//
//   g = g + weight_decay p
//   m = m + (1 - beta1) (g - m)
//   v = beta2 v + (1 - beta2) g^2
//   p = p - learning_rate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
//
// m (`first`) and v (`second`) are zeros before the first step. The factors are computed in double. Bytes per
// element: 24, the gradient.
//
// ema: exponential moving average, average = decay average + (1 - decay) parameter, as
// torch.optim.swa_utils.AveragedModel: the first update copies (`first`, or decay = 0). Computed as average +
// (1 - decay) (parameter - average), or, for decay <= 0.5, from the parameter's end: what is equal stays
// equal. 12 bytes per element.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/context.h"
#include "kernels/storage.h"

namespace aikd::kernels {

inline constexpr std::int64_t kOptimiserChunk = 16 * 1024;
inline constexpr int kOptimiserGroups = 8;  // at most

// Elements [begin, begin + kOptimiserChunk) of a tensor, as far as they exist.
struct TensorChunk {
  std::int64_t tensor = 0, begin = 0;
};
// Host code, on cpu::TensorSlice or a host copy of cuda::TensorSlice (only `count` is read): how many chunks
// there are, and the chunks in the order of the tensors. Empty tensors have none.
template <class TensorSlice>
std::int64_t tensor_chunk_count(const TensorSlice* tensors, std::int64_t count) noexcept {
  std::int64_t chunks = 0;
  for (std::int64_t i = 0; i < count; ++i)
    chunks += (tensors[i].count + kOptimiserChunk - 1) / kOptimiserChunk;
  return chunks;
}
template <class TensorSlice>
void make_tensor_chunks(const TensorSlice* tensors, std::int64_t count, TensorChunk* chunks) noexcept {
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t begin = 0; begin < tensors[i].count; begin += kOptimiserChunk)
      *chunks++ = {.tensor = i, .begin = begin};
}

struct SgdGroup {
  double learning_rate = 0, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
};
struct SgdOptions {
  SgdGroup groups[kOptimiserGroups];
};
struct AdamGroup {
  double learning_rate = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
};
struct AdamOptions {
  AdamGroup groups[kOptimiserGroups];
};

// In fp32. The threads share the chunks; every element's arithmetic is its own, and sums go from chunk to
// chunk in order, so the bits do not depend on the number of threads.
namespace cpu {

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

struct TensorList {
  const TensorSlice* tensors = nullptr;
  const TensorChunk* chunks = nullptr;
  std::int64_t chunk_count = 0;
};

// *norm = inverse_scale sqrt(sum of g^2), inverse_scale > 0. Squares and sums are double. 4 bytes read per
// element.
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

void sgd_momentum(const Context& ctx, const TensorList& list, const SgdOptions& options,
                  const StepControl& control);
void adam(const Context& ctx, const TensorList& list, const AdamOptions& options, const StepControl& control);
void ema(const Context& ctx, const TensorList& list, double decay, bool first);

}  // namespace cpu

// A single launch for any number of tensors, one block per chunk. Both arrays lie in device memory and stay
// valid as long as nothing is reallocated.
//
// Nothing here waits for the device: gradients are unscaled and clipped, and a step with a non-finite
// gradient is left out, by what lies in device memory.
namespace cuda {

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

// Both arrays in device memory.
struct TensorList {
  const TensorSlice* tensors = nullptr;
  const TensorChunk* chunks = nullptr;
  std::int64_t chunk_count = 0;
};

// Squares are fp32, runs of at most 16 of them are added in fp32, everything after that in double, in a fixed
// order: relative error below 1e-6. Two launches. bytes_of(storage) read per element.
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

// The low-precision copy is written too: its bytes come on top.
void sgd_momentum(const Context& ctx, Storage gradient, const TensorList& list, const SgdOptions& options,
                  const StepControl& control);
void adam(const Context& ctx, Storage gradient, const TensorList& list, const AdamOptions& options,
          const StepControl& control);
void ema(const Context& ctx, const TensorList& list, double decay, bool first);

}  // namespace cuda
}  // namespace aikd::kernels
