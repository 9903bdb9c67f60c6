// One step of the method (arXiv 2404.09555; method.md 3.4): teacher on aligned crops, student on misaligned
// ones, loss, gradients, clipping, optimiser, EMA. What a run is made of besides data and files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "aikd/checkpoint.h"
#include "aikd/loss_scale.h"
#include "aikd/model.h"
#include "aikd/train_config.h"
#include "aikd/train_loader.h"
#include "nn/device_ops.h"
#include "nn/ema.h"
#include "nn/frozen_plan.h"
#include "nn/optimiser.h"
#include "nn/trainable_network.h"

namespace aikd {

struct StepResult {
  double loss = 0;           // quality_weight quality_loss + cosine_weight cosine_loss
  double quality_loss = 0;   // L1 or SmoothL1 of the scores
  double cosine_loss = 0;    // mean of 1 - cos(teacher, student); 0 without a teacher
  double gradient_norm = 0;  // before clipping, without the loss scale
  bool skipped = false;      // a gradient was not finite: nothing was changed but BatchNorm statistics
  std::string not_finite;    // then: the first of "the loss", "the gradient of head.l1.weight", ...
};

class TrainStep {
 public:
  // `teacher` may be null where cosine_weight is 0; it is read here only. `student` has a head; what is
  // trained of it changes with every step and lies on the context's device. context and student must outlive
  // it. pretrain_steps: TrainPhases::pretrain_end, the default interval of the loss scale.
  TrainStep(const Model* teacher, Model& student, Context& context, const TrainConfig& config,
            std::int64_t pretrain_steps);

  // The teacher sees batch.aligned, the student batch.misaligned (which are the same without misalignment).
  // Rates are those of the configuration times `learning_rate_factor`. Error(kUsage) for a batch of one
  // image: BatchNorm has no variance of it.
  StepResult run(const TrainBatch& batch, double learning_rate_factor);
  // The same up to the gradients, which stay in network().gradients() until the next call: for tests.
  StepResult gradients_of(const TrainBatch& batch);

  // Rates as the last step had them.
  double head_rate() const;
  double backbone_rate() const;  // 0 where nothing of it is trained
  std::int64_t steps_taken() const noexcept { return optimiser_->steps(); }  // skipped ones not counted
  double loss_scale() const noexcept { return scale_.value(); }

  nn::TrainableNetwork& network() noexcept { return *network_; }
  nn::FrozenPlan* teacher_plan() noexcept { return teacher_.get(); }  // null: there is none

  // What is to be validated and saved: the average where there is one, else the student as it is. Gives the
  // tensors of `model`, of the student's architecture, that training changes new memory on the CPU.
  void copy_result(Model& model) const;

  // Tensors "model.<name>", "optimiser.<...>", "ema.<...>" and {"loss_scale": ...}: everything the next step
  // depends on.
  void save(Checkpoint& checkpoint) const;
  void restore(const Checkpoint& checkpoint);  // Error(kModel)

 private:
  void forward_backward(const TrainBatch& batch, StepResult& result);
  std::string find_not_finite(const StepResult& result);

  TrainConfig config_;
  Context* context_;
  std::unique_ptr<nn::DeviceOps> ops_;
  std::unique_ptr<nn::FrozenPlan> teacher_;
  std::unique_ptr<nn::TrainableNetwork> network_;
  std::unique_ptr<nn::Optimiser> optimiser_;
  std::unique_ptr<nn::Ema> ema_;  // null: off
  LossScale scale_;
};

// A model to train: the backbone of `teacher` (copied), with a new head as `config` says. Linear layers of
// the head begin as torch.nn.Linear does, weight and bias U(-1/sqrt(in), 1/sqrt(in)), value i of tensor t
// drawn from Random(splitmix64(seed) ^ fnv1a64(name)). A head that `from` has is kept where kind and size are
// those of the configuration. Error(kModel) for a model in another storage than fp32.
std::unique_ptr<Model> make_student(const Model& from, const TrainConfig& config);

nn::Precision plan_precision(Precision precision) noexcept;

}  // namespace aikd
