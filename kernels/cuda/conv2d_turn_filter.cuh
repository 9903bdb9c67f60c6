// turned[c][r][s][k] = filter[k][r - 1 - r'][s - 1 - s'][c]: a transpose of k x c planes, tap by tap.
//
// Bytes per element: sizeof(T) read, sizeof(T) written; through a tile of 32 x 32 in shared memory, so that
// both sides are contiguous over a warp. Launch: 256 threads as 32 x 8; grid (c / 32, k / 32, taps).
#pragma once

#include "kernels/cuda/device.cuh"

namespace aikd::kernels::cuda {

inline constexpr int kTurnSide = 32;
inline constexpr int kTurnLines = 8;

template <class T>
__global__ void __launch_bounds__(kTurnSide* kTurnLines)
    turn_filter_kernel(const T* filter, int k, int taps, int c, T* turned) {
  constexpr int kStride = kTurnSide + 2;  // columns of 16-bit words fall on different banks as well
  AIKD_SHARED(T, tile, kTurnSide * kStride);
  const int x = static_cast<int>(threadIdx.x) % kTurnSide, y = static_cast<int>(threadIdx.x) / kTurnSide;
  const int c0 = static_cast<int>(blockIdx.x) * kTurnSide, k0 = static_cast<int>(blockIdx.y) * kTurnSide;
  const int tap = static_cast<int>(blockIdx.z);
#pragma unroll
  for (int line = y; line < kTurnSide; line += kTurnLines)
    if (k0 + line < k && c0 + x < c)
      tile[line * kStride + x] = filter[(static_cast<std::int64_t>(k0 + line) * taps + tap) * c + c0 + x];
  __syncthreads();
#pragma unroll
  for (int line = y; line < kTurnSide; line += kTurnLines)
    if (c0 + line < c && k0 + x < k)
      turned[(static_cast<std::int64_t>(c0 + line) * taps + taps - 1 - tap) * k + k0 + x] =
          tile[x * kStride + line];
}

}  // namespace aikd::kernels::cuda
