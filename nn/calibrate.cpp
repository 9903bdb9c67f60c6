#include "nn/calibrate.h"

#include <vector>

#include "kernels/reduce.h"
#include "nn/op_shapes.h"

namespace aikd::nn {

Value CalibrateOps::batch_norm(const Value& x, const BatchNormTensors& bn) {
  check_batch_norm(x.tensor.shape(), bn);
  const std::int64_t channels = x.tensor.shape()[-1];
  const std::int64_t rows = channels == 0 ? 0 : x.tensor.numel() / channels;
  require(rows > 0, ErrorKind::kInput, "CalibrateOps: a batch norm of ", channels,
          " channels cannot be calibrated on an empty batch.");
  std::vector<double> mean(static_cast<std::size_t>(channels)), var(mean.size());
  kernels::cpu::channel_statistics(context().kernel_context(), rows, channels, x.tensor.data<float>(),
                                   mean.data(), var.data());
  float* running_mean = bn.running_mean->mutable_data<float>();
  float* running_var = bn.running_var->mutable_data<float>();
  for (std::size_t c = 0; c < mean.size(); ++c) {
    running_mean[c] = static_cast<float>(mean[c]);
    running_var[c] = static_cast<float>(var[c]);
  }
  return EagerOps::batch_norm(x, bn);
}

}  // namespace aikd::nn
