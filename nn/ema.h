// Exponential moving average of a model: over its parameters and over the statistics of its BatchNorms, so
// that what is averaged is a model that can be validated and saved as it is.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/optimiser.h"
#include "nn/module.h"
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
  // are averaged, others (num_batches_tracked) copied; undefined ones left out. `context` must outlive it.
  // Throws Error(kUsage) for a decay out of range, Error(kInternal) for a repeated name.
  Ema(Context& context, std::span<const NamedTensor> tensors, const EmaOptions& options = {});

  // average = decay average + (1 - decay) value; the first one copies.
  void update();
  std::int64_t updates() const noexcept { return updates_; }
  double decay_of(std::int64_t update) const noexcept;

  // Copies the averages into tensors of the same names and shapes (another module's, or the same one's).
  // Error(kInternal) before the first update or when a tensor has no average.
  void copy_to(std::span<const NamedTensor> tensors) const;

  // Handles to "<prefix>updates" and "<prefix><name>".
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
  std::vector<kernels::cpu::TensorSlice> slices_;  // of the fp32 ones
  std::vector<kernels::TensorChunk> chunks_;
  std::int64_t updates_ = 0;
};

}  // namespace aikd::nn
