// Networks computed at once, op by op, on plain NHWC tensors: the readable reference for the compiled plan,
// and what CalibrateOps runs on.
#pragma once

#include <cstdint>
#include <span>

#include "nn/ops.h"
#include "nn/plan.h"
#include "tensor/context.h"

namespace aikd::nn {

class EagerOps : public Ops {
 public:
  // `context` must outlive the EagerOps. Throws Error(kUsage) when AIKD_ISA names an instruction set that is
  // not here, and Error(kDevice) for a context that is not on the CPU.
  explicit EagerOps(Context& context);

  // Each checks shapes (nn/op_shapes.h, Error(kModel)) and returns a new tensor; flatten shares the buffer.
  Value conv2d(const Value& x, const Tensor& weight, const Tensor& bias,
               const Conv2dOptions& options) override;
  Value depthwise_conv2d(const Value& x, const Tensor& weight, const Tensor& bias,
                         const Conv2dOptions& options) override;
  Value batch_norm(const Value& x, const BatchNormTensors& bn) override;
  Value prelu(const Value& x, const Tensor& slope) override;
  Value clamp(const Value& x, float lo, float hi) override;
  Value add(const Value& a, const Value& b) override;
  Value linear(const Value& x, const Tensor& weight, const Tensor& bias) override;
  Value gelu(const Value& x) override;
  Value flatten(const Value& x) override;

 protected:
  Context& context() noexcept { return *context_; }

 private:
  Context* context_;
};

// n images of height x width x 3 bytes (RGB) -> [n, height, width, 3] by the table. Throws Error(kInput) when
// the number of bytes differs from n * height * width * 3.
Tensor normalise(Context& context, const InputTable& table, std::span<const std::uint8_t> images,
                 std::int64_t n);

// The Euclidean norm of every row of x [rows, columns], in double. y: rows values.
void row_norms(Context& context, std::int64_t rows, std::span<const float> x, std::span<double> y);

}  // namespace aikd::nn
