#include "nn/batch_norm_factors.h"

#include "kernels/batch_norm.h"

namespace aikd::nn {

BatchNormFactors batch_norm_factors(const BatchNormTensors& bn) {
  const auto mean = bn.running_mean->values<float>(), var = bn.running_var->values<float>();
  const auto value = [](const Tensor* tensor, std::size_t c, float otherwise) {
    return static_cast<double>(tensor != nullptr && tensor->defined() ? tensor->data<float>()[c] : otherwise);
  };
  BatchNormFactors factors;
  for (std::size_t c = 0; c < mean.size(); ++c) {
    const kernels::BatchNormFactor f = kernels::batch_norm_factor(
        value(bn.weight, c, 1.0F), value(bn.bias, c, 0.0F), static_cast<double>(mean[c]),
        static_cast<double>(var[c]), static_cast<double>(bn.eps));
    factors.scale.push_back(f.scale);
    factors.shift.push_back(f.shift);
  }
  return factors;
}

}  // namespace aikd::nn
