// What an optimiser and an average ask of a device: one pass over all tensors of a model
// (kernels/optimiser.h). One implementation per kind of device, so that Optimiser and Ema know neither
// kernels nor devices.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/optimiser.h"
#include "tensor/context.h"

namespace aikd::nn {

// Pointers on the context's device; gradients are fp32.
using TensorSlice = kernels::cpu::TensorSlice;

struct StepRequest {
  // The rates of each group; exactly one is set.
  const kernels::SgdOptions* sgd = nullptr;
  const kernels::AdamOptions* adam = nullptr;
  float inverse_scale = 1;  // 1 / loss scale
  float max_norm = 0;       // 0: gradients are not clipped
  std::int32_t steps = 0;   // taken before this one
};
struct StepOutcome {
  float norm = 0;
  bool finite = true;  // else nothing was changed
};

class MultiTensor {
 public:
  virtual ~MultiTensor() = default;
  // One step of the tensors `slices`; the norm is that of the gradients of `measured` (`slices` again, or
  // others: only `gradient` and `count` are read). Waits for the device, once.
  virtual StepOutcome step(std::span<const TensorSlice> slices, std::span<const TensorSlice> measured,
                           const StepRequest& request) = 0;
  // average = decay average + (1 - decay) parameter; the first one copies. Waits for nothing.
  virtual void average(std::span<const TensorSlice> slices, double decay, bool first) = 0;
};

// For the context's device; `context` must outlive it.
std::unique_ptr<MultiTensor> make_multi_tensor(Context& context);

// Copies values, bit for bit, between tensors of one shape and type of which each is on the host or on the
// context's device. From the device to the host it waits for what the context's stream was given before;
// else it is ordered on the stream.
void copy_tensor(const Context& context, const Tensor& from, Tensor& to);

}  // namespace aikd::nn
