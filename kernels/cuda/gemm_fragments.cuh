// The kernel of gemm_fragments.h: fragments are taken from the matrices exactly as device_cuda.cuh describes
// them. One warp.
#pragma once

#include "kernels/cuda/device.cuh"

namespace aikd::kernels::cuda {

template <class T>
__global__ void __launch_bounds__(kWarpSize) fragment_product_kernel(const T* a, const T* b, float* d) {
  const int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
  float sums[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) sums[i] = d[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  unsigned left[4], right[2];
  if constexpr (sizeof(T) == 2) {
    const auto pair = [](T low, T high) {
      return static_cast<unsigned>(low.bits) | static_cast<unsigned>(high.bits) << 16;
    };
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const T* const from = a + (g + i % 2 * 8) * 16 + 2 * t + i / 2 * 8;
      left[i] = pair(from[0], from[1]);
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const T* const from = b + (2 * t + i * 8) * 8 + g;
      right[i] = pair(from[0], from[8]);
    }
    mma_m16n8k16<T>(sums, left, right);
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) left[i] = to_tf32(a[(g + i % 2 * 8) * 8 + t + i / 2 * 4]);
#pragma unroll
    for (int i = 0; i < 2; ++i) right[i] = to_tf32(b[(t + i * 4) * 8 + g]);
    mma_m16n8k8_tf32(sums, left, right);
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums[i];
}

}  // namespace aikd::kernels::cuda
