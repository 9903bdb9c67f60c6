// Optimisers over groups of named parameters, with clipping by the norm of all gradients together and a state
// that a checkpoint can hold. On the device of the context, in fp32.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "nn/multi_tensor.h"
#include "nn/tape.h"
#include "nn/training_state.h"
#include "tensor/context.h"

namespace aikd::nn {

enum class OptimiserKind {
  kSgd,   // with momentum, as torch.optim.SGD: buffer = d in the first step
  kAdam,  // as torch.optim.Adam: weight decay is added to the gradient
};

struct ParameterGroup {
  std::string name;                       // "head", "backbone": for logs
  std::vector<StateTensor> tensors = {};  // names must differ over all groups; memory is the module's
  double learning_rate = 0;
  double weight_decay = 0;
  double momentum = 0;                            // SGD, in [0, 1)
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  // Adam
};

struct StepOptions {
  // Gradients are multiplied by min(1, max_norm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_ over
  // the tensors of the groups (but see norm_over_all); 0: not.
  double max_norm = 0;
  double loss_scale = 1;  // what the loss had been multiplied by; gradients are divided by it
  // The norm (and whether it is finite) is taken over all gradients that the TrainedParameters hold, in the
  // order of their add(), also over those of tensors in no group: backward() computed them, and they count
  // against max_norm although nothing changes by them. Trained tensors that backward() did not reach count 0.
  bool norm_over_all = false;
};

struct StepReport {
  double norm = 0;     // what max_norm is compared with: before clipping, without the loss scale
  bool finite = true;  // false: a gradient was infinite or NaN, and nothing was changed or counted
};

class Optimiser {
 public:
  // `context` must outlive it. Throws Error(kUsage) for rates out of range (learning rate and weight decay >=
  // 0, momentum and betas in [0, 1), eps > 0), Error(kInternal) for no or too many groups, empty or repeated
  // names, undefined tensors, and tensors that are not fp32 on the context's device.
  Optimiser(Context& context, OptimiserKind kind, std::vector<ParameterGroup> groups);
  // The same with the kernels of that device given (the tests of the host emulator give CUDA's).
  Optimiser(Context& context, OptimiserKind kind, std::vector<ParameterGroup> groups,
            std::unique_ptr<MultiTensor> kernels);

  // One step with the gradients of `trained`; throws Error(kInternal) for a parameter that has none: the loss
  // does not depend on it, or backward() has not run. On CUDA this waits for the device, for the report.
  StepReport step(const TrainedParameters& trained, const StepOptions& options = {});

  std::span<const ParameterGroup> groups() const noexcept { return groups_; }
  void set_learning_rate(std::size_t group, double rate);  // as the constructor
  std::int64_t steps() const noexcept { return steps_; }   // taken so far, skipped ones not counted

  // Tensors on the CPU (there: handles to the state itself; on CUDA: copies, which are waited for):
  // "<prefix>steps" and, per parameter, "<prefix>momentum.<name>", or "<prefix>first.<name>" and
  // "<prefix>second.<name>". Rates are not state: a schedule gives them from the step.
  std::vector<StateTensor> state(const std::string& prefix = "optimiser.") const;
  // Copies them back; steps then go on bit for bit. Other names in `saved` are ignored. Error(kModel) when
  // one is missing or of another shape; nothing has changed then.
  void restore_state(std::span<const StateTensor> saved, const std::string& prefix = "optimiser.");

 private:
  struct Parameter {
    std::string name;
    Tensor tensor, first, second;
    std::size_t group;
  };
  std::vector<StateTensor> moments(const std::string& prefix) const;

  Context* context_;
  OptimiserKind kind_;
  std::vector<ParameterGroup> groups_;
  std::vector<Parameter> parameters_;
  std::vector<TensorSlice> slices_;
  std::unique_ptr<MultiTensor> kernels_;
  std::int32_t steps_ = 0;
};

}  // namespace aikd::nn
