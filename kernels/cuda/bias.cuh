// The operation of bias.h for map_rows (pointwise.cuh).
#pragma once

#include "kernels/cuda/pointwise.cuh"

namespace aikd::kernels::cuda {

struct BiasOp {
  static constexpr int kInputs = 1;
  const float* bias;
  struct Channel {
    float bias;
  };
  template <int kWidth>
  __device__ __forceinline__ Vec<Channel, kWidth> channels(std::int64_t c) const {
    return load_channels_of<Channel, kWidth>(bias + c);
  }
  __device__ __forceinline__ float operator()(const Channel& c, const float (&x)[1]) const {
    return x[0] + c.bias;
  }
};

}  // namespace aikd::kernels::cuda
