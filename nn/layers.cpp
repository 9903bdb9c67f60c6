#include "nn/layers.h"

namespace aikd::nn {

void Conv2d::collect(const std::string& prefix, std::vector<NamedTensor>& out) {
  out.push_back({.name = prefix + "weight",
                 .tensor = &weight_,
                 .shape = {dims_.out, dims_.kernel, dims_.kernel, dims_.in},
                 .role = TensorRole::kConvWeight});
  if (dims_.bias) {
    out.push_back(
        {.name = prefix + "bias", .tensor = &bias_, .shape = {dims_.out}, .role = TensorRole::kBias});
  }
}

Value Conv2d::forward(Ops& ops, const Value& x) const {
  return ops.conv2d(x, weight_, bias_, {.stride = dims_.stride, .pad = dims_.pad});
}

void DepthwiseConv2d::collect(const std::string& prefix, std::vector<NamedTensor>& out) {
  out.push_back({.name = prefix + "weight",
                 .tensor = &weight_,
                 .shape = {dims_.kernel, dims_.kernel, dims_.channels},
                 .role = TensorRole::kDepthwiseWeight});
}

Value DepthwiseConv2d::forward(Ops& ops, const Value& x) const {
  return ops.depthwise_conv2d(x, weight_, Tensor(), {.stride = dims_.stride, .pad = dims_.pad});
}

BatchNorm::BatchNorm(std::int64_t channels, float eps, bool optional_weight)
    : channels_(channels), eps_(eps), optional_weight_(optional_weight), state_(std::make_unique<State>()) {}

void BatchNorm::collect(const std::string& prefix, std::vector<NamedTensor>& out) {
  const Shape shape{channels_};
  State& s = *state_;
  out.push_back({.name = prefix + "weight",
                 .tensor = &s.weight,
                 .shape = shape,
                 .role = TensorRole::kBnWeight,
                 .optional = optional_weight_});
  out.push_back({.name = prefix + "bias", .tensor = &s.bias, .shape = shape, .role = TensorRole::kBnBias});
  out.push_back({.name = prefix + "running_mean",
                 .tensor = &s.running_mean,
                 .shape = shape,
                 .role = TensorRole::kBnMean});
  out.push_back(
      {.name = prefix + "running_var", .tensor = &s.running_var, .shape = shape, .role = TensorRole::kBnVar});
  out.push_back({.name = prefix + "num_batches_tracked",
                 .tensor = &s.num_batches_tracked,
                 .shape = {},
                 .role = TensorRole::kBnCount,
                 .optional = true});
}

Value BatchNorm::forward(Ops& ops, const Value& x) const {
  return ops.batch_norm(x, {.weight = &state_->weight,
                            .bias = &state_->bias,
                            .running_mean = &state_->running_mean,
                            .running_var = &state_->running_var,
                            .eps = eps_});
}

void Prelu::collect(const std::string& prefix, std::vector<NamedTensor>& out) {
  out.push_back(
      {.name = prefix + "weight", .tensor = &weight_, .shape = {channels_}, .role = TensorRole::kPreluSlope});
}

Value Prelu::forward(Ops& ops, const Value& x) const {
  return ops.prelu(x, weight_);
}

void Linear::collect(const std::string& prefix, std::vector<NamedTensor>& out) {
  out.push_back({.name = prefix + "weight",
                 .tensor = &weight_,
                 .shape = {out_, in_},
                 .role = TensorRole::kLinearWeight,
                 .flattened_channels = flattened_channels_});
  out.push_back({.name = prefix + "bias", .tensor = &bias_, .shape = {out_}, .role = TensorRole::kBias});
}

Value Linear::forward(Ops& ops, const Value& x) const {
  return ops.linear(x, weight_, bias_);
}

}  // namespace aikd::nn
