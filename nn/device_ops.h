// The arithmetic that training needs, on tensors of one device: forward and gradient of every op, losses,
// reductions. One implementation per kind of device; the tape (nn/tape.h) is written against this and knows
// neither kernels nor devices.
//
// Images are in storage() (fp32 on the CPU; fp32, fp16 or bf16 on CUDA), their gradients likewise; vectors
// [N, features], parameters, their gradients, statistics and losses are fp32; all tensors are on device().
// Layouts are those of nn/ops.h. Shapes have been checked by the caller. Every function returns new tensors
// and changes no argument, unless it says so.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "nn/ops.h"
#include "nn/plan.h"
#include "tensor/context.h"

namespace aikd::nn {

// What a BatchNorm in training mode keeps for its gradient.
struct BatchStatistics {
  Tensor mean, var;  // [C], fp32; var biased
};
struct BatchNormGradients {
  Tensor dx, dweight, dbias;  // dweight, dbias [C]
};
struct PreluGradients {
  Tensor dx, dslope;
};

class DeviceOps {
 public:
  virtual ~DeviceOps() = default;
  virtual Device device() const = 0;
  virtual DType storage() const = 0;

  // weight: fp32 in our layout; bias may be undefined.
  virtual Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const Conv2dOptions& options) = 0;
  virtual Tensor conv2d_data_gradient(const Tensor& dy, const Tensor& weight, const Shape& x,
                                      const Conv2dOptions& options) = 0;
  virtual Tensor conv2d_filter_gradient(const Tensor& dy, const Tensor& x, const Shape& weight,
                                        const Conv2dOptions& options) = 0;
  virtual Tensor depthwise_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                  const Conv2dOptions& options) = 0;
  virtual Tensor depthwise_data_gradient(const Tensor& dy, const Tensor& weight, const Shape& x,
                                         const Conv2dOptions& options) = 0;
  virtual Tensor depthwise_filter_gradient(const Tensor& dy, const Tensor& x, const Shape& weight,
                                           const Conv2dOptions& options) = 0;
  // Column sums over all but the last dimension: the gradient of a bias.
  virtual Tensor column_sums(const Tensor& dy) = 0;

  virtual BatchStatistics batch_statistics(const Tensor& x) = 0;
  // y = (x - mean) / sqrt(var + eps) * weight + bias; weight and bias may be undefined (1 and 0).
  virtual Tensor batch_norm(const Tensor& x, const BatchStatistics& statistics, const Tensor& weight,
                            const Tensor& bias, float eps) = 0;
  // With `batch`: the statistics came from x itself, and the gradient flows through them.
  virtual BatchNormGradients batch_norm_gradient(const Tensor& dy, const Tensor& x,
                                                 const BatchStatistics& statistics, const Tensor& weight,
                                                 float eps, bool batch) = 0;
  // running = (1 - momentum) running + momentum new, with the unbiased variance, as PyTorch. Changes
  // running_*.
  virtual void update_running(const BatchStatistics& statistics, std::int64_t rows, float momentum,
                              Tensor& running_mean, Tensor& running_var) = 0;

  virtual Tensor prelu(const Tensor& x, const Tensor& slope) = 0;  // slope [C] or [1]
  virtual PreluGradients prelu_gradient(const Tensor& dy, const Tensor& x, const Tensor& slope) = 0;
  virtual Tensor clamp(const Tensor& x, float lo, float hi) = 0;
  virtual Tensor clamp_gradient(const Tensor& dy, const Tensor& x, float lo, float hi) = 0;
  virtual Tensor gelu(const Tensor& x) = 0;
  virtual Tensor gelu_gradient(const Tensor& dy, const Tensor& x) = 0;
  virtual Tensor add(const Tensor& a, const Tensor& b) = 0;
  virtual void accumulate(Tensor& sum, const Tensor& x) = 0;  // sum += x, any one type

  virtual Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) = 0;
  virtual Tensor linear_data_gradient(const Tensor& dy, const Tensor& weight) = 0;
  virtual Tensor linear_weight_gradient(const Tensor& dy, const Tensor& x) = 0;

  virtual Tensor cast(const Tensor& x, DType to) = 0;

  // The network's input for n images of bytes (nn/plan.h, InputTable): [n, height, width, 3] in storage().
  virtual Tensor images(const InputTable& table, std::span<const std::uint8_t> bytes, std::int64_t n) = 0;

  // Losses (kernels/loss.h), fp32 on this device: the loss is [1], its gradient has the shape of the second
  // argument's (cosine) or first argument's (quality), and is multiplied by `upstream`.
  virtual Tensor cosine_loss(const Tensor& teacher, const Tensor& student) = 0;  // mean of 1 - cos
  virtual Tensor cosine_loss_gradient(const Tensor& teacher, const Tensor& student, float upstream) = 0;
  // SmoothL1 of two tensors of one size; beta 0: L1.
  virtual Tensor quality_loss(const Tensor& score, const Tensor& target, float beta) = 0;
  virtual Tensor quality_loss_gradient(const Tensor& score, const Tensor& target, float beta,
                                       float upstream) = 0;
};

// The CPU's, in fp32. `context` must be on the CPU and outlive it.
std::unique_ptr<DeviceOps> make_cpu_ops(Context& context);
// For the context's device. Error(kUsage): the CPU computes in fp32 only.
std::unique_ptr<DeviceOps> make_device_ops(Context& context, Precision precision);

}  // namespace aikd::nn
