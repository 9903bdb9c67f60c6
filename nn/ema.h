// Exponential moving average of a model: over its parameters and over the statistics of its BatchNorms, so
// that what is averaged is a model that can be validated and saved as it is.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "nn/module.h"
#include "nn/multi_tensor.h"
#include "nn/training_state.h"
#include "tensor/context.h"

namespace aikd::nn {

struct EmaOptions {
  double decay = 0.999;  // in [0, 1)
  // With it update number t (from 0) uses min(decay, (1 + t) / (10 + t)): early averages forget their start.
  bool warm_up = false;
};

class Ema {
 public:
  // `tensors`: of one or several modules, e.g. module.tensors(); their memory is the modules'. fp32 tensors
  // are averaged, on the context's device; others (num_batches_tracked) copied, there or on the host;
  // undefined ones left out. `context` must outlive it. Throws Error(kUsage) for a decay out of range,
  // Error(kInternal) for a repeated name and for a tensor on another device.
  Ema(Context& context, std::span<const NamedTensor> tensors, const EmaOptions& options = {});
  // The same with the kernels of that device given (the tests of the host emulator give CUDA's).
  Ema(Context& context, std::span<const NamedTensor> tensors, const EmaOptions& options,
      std::unique_ptr<MultiTensor> kernels);

  // average = decay average + (1 - decay) value; the first one copies. On CUDA nothing is waited for.
  void update();
  std::int64_t updates() const noexcept { return updates_; }
  double decay_of(std::int64_t update) const noexcept;

  // Copies the averages into tensors of the same names and shapes (another module's, or the same one's), on
  // the context's device or on the host.
  // Error(kInternal) before the first update or when a tensor has no average.
  void copy_to(std::span<const NamedTensor> tensors) const;

  // Tensors on the CPU (there: handles to the averages themselves; on CUDA: copies, which are waited for):
  // "<prefix>updates" and "<prefix><name>".
  std::vector<StateTensor> state(const std::string& prefix = "ema.") const;
  // Copies them back. Other names are ignored; Error(kModel) when one is missing or of another shape: nothing
  // has changed then.
  void restore_state(std::span<const StateTensor> saved, const std::string& prefix = "ema.");

 private:
  struct Entry {
    std::string name;
    Tensor value, average;
  };

  Context* context_;
  EmaOptions options_;
  std::vector<Entry> entries_;
  std::vector<TensorSlice> slices_;  // of the fp32 ones
  std::unique_ptr<MultiTensor> kernels_;
  std::int64_t updates_ = 0;
};

}  // namespace aikd::nn
