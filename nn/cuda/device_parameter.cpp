#include "nn/cuda/device_parameter.h"

#include <cmath>

#include "tensor/cuda_runtime.h"
#include "tensor/dtype.h"
#include "tensor/error.h"

namespace aikd::nn {

DeviceParameter::DeviceParameter(Context& context, std::span<const float> values, kernels::Storage storage) {
  if (values.empty()) return;
  buffer_ = Buffer(values.size() * kernels::bytes_of(storage), context.device());
  const cuda::Stream& stream = context.stream();
  if (storage == kernels::Storage::kF32) {
    cuda::copy_to_device(buffer_.mutable_data(), values.data(), buffer_.bytes(), stream);
  } else {
    std::vector<std::uint16_t> narrow(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const bool half = storage == kernels::Storage::kF16;
      narrow[i] = half ? to_half(values[i]).bits : to_bfloat16(values[i]).bits;
      const float kept = half ? to_float(Half{narrow[i]}) : to_float(BFloat16{narrow[i]});
      require(std::isfinite(kept) || !std::isfinite(values[i]), ErrorKind::kModel, "A filter value of ",
              values[i], " (after folding BatchNorm) is too large for ", kernels::name_of(storage),
              "; use --precision bf16 or fp32.");
    }
    cuda::copy_to_device(buffer_.mutable_data(), narrow.data(), buffer_.bytes(), stream);
  }
  stream.synchronize();  // the host's copy goes now
}

}  // namespace aikd::nn
