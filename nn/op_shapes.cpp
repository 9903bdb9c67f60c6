#include "nn/op_shapes.h"

#include <string_view>

namespace aikd::nn {
namespace {

constexpr auto kModel = ErrorKind::kModel;

void check_parameter(std::string_view op, std::string_view name, const Tensor& tensor) {
  require(tensor.defined(), kModel, op, ": the ", name, " is missing (an undefined tensor).");
  require(tensor.dtype() == DType::kF32, kModel, op, ": the ", name, " must be F32, got ",
          name_of(tensor.dtype()), ".");
}

void check_vector(std::string_view op, std::string_view name, const Tensor& tensor, std::int64_t size) {
  check_parameter(op, name, tensor);
  require(tensor.shape() == Shape{size}, kModel, op, ": the ", name, " must have the shape [", size,
          "], got ", tensor.shape(), ".");
}

void check_image(std::string_view op, const Shape& x) {
  require(x.rank() == 4, kModel, op, ": the input must be images [N, H, W, C], got the shape ", x, ".");
}

// The window of a convolution: options, and that it fits into the padded image. Returns [N, P, Q, channels].
Shape window_shape(std::string_view op, const Shape& x, std::int64_t r, std::int64_t s, std::int64_t channels,
                   const Conv2dOptions& options) {
  require(options.stride >= 1, kModel, op, ": the stride must be at least 1, got ", options.stride, ".");
  require(options.pad >= 0, kModel, op, ": the padding must not be negative, got ", options.pad, ".");
  const std::int64_t height = x[1] + 2 * options.pad, width = x[2] + 2 * options.pad;
  require(r >= 1 && s >= 1 && r <= height && s <= width, kModel, op, ": the filter of ", r, "x", s,
          " does not fit into the image of ", x[1], "x", x[2], " with padding ", options.pad, ".");
  return {x[0], (height - r) / options.stride + 1, (width - s) / options.stride + 1, channels};
}

std::int64_t channels_of(std::string_view op, const Shape& x) {
  require(x.rank() >= 2, kModel, op, ": the input must be [N, features] or [N, H, W, C], got the shape ", x,
          ".");
  return x[-1];
}

}  // namespace

Shape conv2d_shape(const Shape& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options) {
  constexpr std::string_view kOp = "conv2d";
  check_image(kOp, x);
  check_parameter(kOp, "filter", weight);
  const Shape& f = weight.shape();
  require(f.rank() == 4, kModel, kOp, ": the filter must be [K, R, S, C], got the shape ", f, ".");
  require(f[3] == x[3], kModel, kOp, ": the input of shape ", x, " has ", x[3],
          " channels, but the filter of shape ", f, " expects ", f[3], ".");
  if (bias.defined()) check_vector(kOp, "bias", bias, f[0]);
  return window_shape(kOp, x, f[1], f[2], f[0], options);
}

Shape depthwise_conv2d_shape(const Shape& x, const Tensor& weight, const Tensor& bias,
                             const Conv2dOptions& options) {
  constexpr std::string_view kOp = "depthwise_conv2d";
  check_image(kOp, x);
  check_parameter(kOp, "filter", weight);
  const Shape& f = weight.shape();
  require(f.rank() == 3, kModel, kOp, ": the filter must be [R, S, C], got the shape ", f, ".");
  require(f[2] == x[3], kModel, kOp, ": the input of shape ", x, " has ", x[3],
          " channels, but the filter of shape ", f, " expects ", f[2], ".");
  if (bias.defined()) check_vector(kOp, "bias", bias, f[2]);
  return window_shape(kOp, x, f[0], f[1], f[2], options);
}

void check_batch_norm(const Shape& x, const BatchNormTensors& bn) {
  constexpr std::string_view kOp = "batch_norm";
  const std::int64_t channels = channels_of(kOp, x);
  require(bn.running_mean != nullptr && bn.running_var != nullptr, kModel, kOp,
          ": the running mean and variance are missing.");
  check_vector(kOp, "running mean", *bn.running_mean, channels);
  check_vector(kOp, "running variance", *bn.running_var, channels);
  if (bn.weight != nullptr && bn.weight->defined()) check_vector(kOp, "weight", *bn.weight, channels);
  if (bn.bias != nullptr && bn.bias->defined()) check_vector(kOp, "bias", *bn.bias, channels);
  require(bn.eps > 0, kModel, kOp, ": eps must be positive, got ", bn.eps, ".");
}

void check_prelu(const Shape& x, const Tensor& slope) {
  constexpr std::string_view kOp = "prelu";
  const std::int64_t channels = channels_of(kOp, x);
  check_parameter(kOp, "slope", slope);
  require(slope.shape() == Shape{channels} || slope.shape() == Shape{1}, kModel, kOp,
          ": the slope must have the shape [", channels, "] or [1], got ", slope.shape(), ".");
}

void check_clamp(float lo, float hi) {
  require(lo <= hi, kModel, "clamp: the lower bound must not exceed the upper one, got ", lo, " and ", hi,
          ".");
}

void check_add(const Shape& a, const Shape& b) {
  require(a == b, kModel, "add: both operands must have the same shape, got ", a, " and ", b, ".");
}

Shape linear_shape(const Shape& x, const Tensor& weight, const Tensor& bias) {
  constexpr std::string_view kOp = "linear";
  require(x.rank() == 2, kModel, kOp, ": the input must be [N, features], got the shape ", x, ".");
  check_parameter(kOp, "weight", weight);
  const Shape& f = weight.shape();
  require(f.rank() == 2, kModel, kOp, ": the weight must be [out, in], got the shape ", f, ".");
  require(f[1] == x[1], kModel, kOp, ": the input has ", x[1], " features, but the weight of shape ", f,
          " expects ", f[1], ".");
  if (bias.defined()) check_vector(kOp, "bias", bias, f[0]);
  return {x[0], f[0]};
}

Shape flatten_shape(const Shape& x) {
  check_image("flatten", x);
  return {x[0], x[1] * x[2] * x[3]};
}

}  // namespace aikd::nn
