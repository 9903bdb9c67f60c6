// The operations of add.h for map_flat (pointwise.cuh).
#pragma once

#include "kernels/cuda/pointwise.cuh"

namespace aikd::kernels::cuda {

struct AddOp {
  static constexpr int kInputs = 2;
  __device__ __forceinline__ float operator()(const float (&x)[2]) const { return x[0] + x[1]; }
};

struct ScaleOp {
  static constexpr int kInputs = 1;
  float factor;
  __device__ __forceinline__ float operator()(const float (&x)[1]) const { return factor * x[0]; }
};

}  // namespace aikd::kernels::cuda
