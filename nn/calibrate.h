// Sets BatchNorm statistics from data: makes a network with seeded random weights behave like a trained one,
// its activations of a natural scale from the first layer to the last.
#pragma once

#include "nn/functional.h"

namespace aikd::nn {

// Computes like EagerOps, but each batch_norm first writes the mean and the biased variance of its input,
// over all but the last dimension (two passes, in double), into its running_mean and running_var, and then
// normalises with them.
class CalibrateOps final : public EagerOps {
 public:
  using EagerOps::EagerOps;
  Value batch_norm(const Value& x, const BatchNormTensors& bn) override;
};

}  // namespace aikd::nn
