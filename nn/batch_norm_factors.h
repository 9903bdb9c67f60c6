// BatchNorm with running statistics as one multiply-add per channel: y = x * scale[c] + shift[c], in double.
#pragma once

#include <vector>

#include "nn/ops.h"

namespace aikd::nn {

struct BatchNormFactors {
  std::vector<double> scale, shift;  // [C]
};
// The tensors must have passed check_batch_norm.
BatchNormFactors batch_norm_factors(const BatchNormTensors& bn);

}  // namespace aikd::nn
