#include "nn/batch_norm_factors.h"

#include <span>

#include "kernels/batch_norm.h"

namespace aikd::nn {
namespace {

std::span<const float> values_or_none(const Tensor* tensor) {
  if (tensor == nullptr || !tensor->defined()) return {};
  return tensor->values<float>();
}

}  // namespace

BatchNormFactors batch_norm_factors(const BatchNormTensors& bn) {
  const auto mean = bn.running_mean->values<float>(), var = bn.running_var->values<float>();
  const auto weight = values_or_none(bn.weight), bias = values_or_none(bn.bias);
  BatchNormFactors factors;
  for (std::size_t c = 0; c < mean.size(); ++c) {
    const kernels::BatchNormFactor f = kernels::batch_norm_factor(
        weight.empty() ? 1.0 : static_cast<double>(weight[c]),
        bias.empty() ? 0.0 : static_cast<double>(bias[c]), static_cast<double>(mean[c]),
        static_cast<double>(var[c]), static_cast<double>(bn.eps));
    factors.scale.push_back(f.scale);
    factors.shift.push_back(f.shift);
  }
  return factors;
}

}  // namespace aikd::nn
