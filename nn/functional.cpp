#include "nn/functional.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/activation.h"
#include "kernels/add.h"
#include "kernels/batch_norm.h"
#include "kernels/conv2d.h"
#include "kernels/depthwise_conv2d.h"
#include "kernels/isa.h"
#include "kernels/linear.h"
#include "kernels/normalise.h"
#include "kernels/reduce.h"
#include "nn/batch_norm_factors.h"
#include "nn/op_dims.h"
#include "nn/op_shapes.h"

namespace aikd::nn {
namespace {

namespace cpu = kernels::cpu;

}  // namespace

EagerOps::EagerOps(Context& context) : context_(&context) {
  require(context.device() == Device::cpu(), ErrorKind::kDevice,
          "EagerOps computes on the CPU; the context is on ", context.device().to_string(), ".");
  const std::string problem = kernels::isa_problem();
  require(problem.empty(), ErrorKind::kUsage, problem);
}

Value EagerOps::conv2d(const Value& x, const Tensor& weight, const Tensor& bias,
                       const Conv2dOptions& options) {
  const Shape shape = conv2d_shape(x.tensor.shape(), weight, bias, options);
  Tensor y = Tensor::empty(shape);
  const kernels::Conv2dDims dims = conv2d_dims(x.tensor.shape(), weight.shape(), options);
  cpu::conv2d(context_->kernel_context(cpu::conv2d_workspace_bytes(dims)), dims, x.tensor.data<float>(),
              weight.data<float>(), optional_data(bias), y.mutable_data<float>());
  return {y, -1};
}

Value EagerOps::depthwise_conv2d(const Value& x, const Tensor& weight, const Tensor& bias,
                                 const Conv2dOptions& options) {
  const Shape shape = depthwise_conv2d_shape(x.tensor.shape(), weight, bias, options);
  Tensor y = Tensor::empty(shape);
  cpu::depthwise_conv2d(context_->kernel_context(), conv2d_dims(x.tensor.shape(), weight.shape(), options),
                        x.tensor.data<float>(), weight.data<float>(), optional_data(bias),
                        y.mutable_data<float>());
  return {y, -1};
}

Value EagerOps::batch_norm(const Value& x, const BatchNormTensors& bn) {
  check_batch_norm(x.tensor.shape(), bn);
  const BatchNormFactors factors = batch_norm_factors(bn);
  const std::vector<float> scale(factors.scale.begin(), factors.scale.end());
  const std::vector<float> shift(factors.shift.begin(), factors.shift.end());
  Tensor y = Tensor::empty(x.tensor.shape());
  cpu::batch_norm(context_->kernel_context(), rows_of(y.shape()), y.shape()[-1], x.tensor.data<float>(),
                  scale.data(), shift.data(), y.mutable_data<float>());
  return {y, -1};
}

Value EagerOps::prelu(const Value& x, const Tensor& slope) {
  check_prelu(x.tensor.shape(), slope);
  const std::int64_t channels = x.tensor.shape()[-1];
  const std::vector<float> slopes = slope_per_channel(slope, channels);
  Tensor y = Tensor::empty(x.tensor.shape());
  cpu::prelu(context_->kernel_context(), rows_of(y.shape()), channels, x.tensor.data<float>(), slopes.data(),
             y.mutable_data<float>());
  return {y, -1};
}

Value EagerOps::clamp(const Value& x, float lo, float hi) {
  check_clamp(lo, hi);
  Tensor y = Tensor::empty(x.tensor.shape());
  cpu::clamp(context_->kernel_context(), y.numel(), x.tensor.data<float>(), lo, hi, y.mutable_data<float>());
  return {y, -1};
}

Value EagerOps::add(const Value& a, const Value& b) {
  check_add(a.tensor.shape(), b.tensor.shape());
  Tensor y = Tensor::empty(a.tensor.shape());
  cpu::add(context_->kernel_context(), y.numel(), a.tensor.data<float>(), b.tensor.data<float>(),
           y.mutable_data<float>());
  return {y, -1};
}

Value EagerOps::linear(const Value& x, const Tensor& weight, const Tensor& bias) {
  const Shape shape = linear_shape(x.tensor.shape(), weight, bias);
  Tensor y = Tensor::empty(shape);
  cpu::linear(context_->kernel_context(), {.rows = shape[0], .in = weight.shape()[1], .out = shape[1]},
              x.tensor.data<float>(), weight.data<float>(), optional_data(bias), y.mutable_data<float>());
  return {y, -1};
}

Value EagerOps::gelu(const Value& x) {
  Tensor y = Tensor::empty(x.tensor.shape());
  cpu::gelu(context_->kernel_context(), y.numel(), x.tensor.data<float>(), y.mutable_data<float>());
  return {y, -1};
}

Value EagerOps::flatten(const Value& x) {
  return {x.tensor.reshape(flatten_shape(x.tensor.shape())), -1};
}

Tensor normalise(Context& context, const InputTable& table, std::span<const std::uint8_t> images,
                 std::int64_t n) {
  Tensor y = Tensor::empty({n, table.height, table.width, 3});
  require(static_cast<std::int64_t>(images.size()) == y.numel(), ErrorKind::kInput, "normalise: ", n,
          " images of ", table.width, "x", table.height, " pixels are ", y.numel(), " bytes, got ",
          images.size(), ".");
  cpu::normalise(context.kernel_context(), normalise_table(table), y.numel() / 3, images.data(),
                 y.mutable_data<float>(), 3);
  return y;
}

void row_norms(Context& context, std::int64_t rows, std::span<const float> x, std::span<double> y) {
  require(rows >= 0 && static_cast<std::int64_t>(y.size()) == rows &&
              (rows == 0 ? x.empty() : static_cast<std::int64_t>(x.size()) % rows == 0),
          ErrorKind::kInternal, "row_norms: ", x.size(), " values are not ", rows, " rows, or ", y.size(),
          " results were asked for.");
  if (rows == 0) return;
  cpu::sum_of_squares(context.kernel_context(), rows, static_cast<std::int64_t>(x.size()) / rows, x.data(),
                      y.data());
  for (double& value : y) value = std::sqrt(value);
}

}  // namespace aikd::nn
