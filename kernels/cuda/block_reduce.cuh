// Sums over the threads of a block, in a fixed order: halves are added to halves, so thread i holds the sum
// of the values of the threads i, i + 2^k, i + 2 2^k, ... after each step. One barrier per step.
#pragma once

#include "kernels/cuda/device.cuh"

namespace aikd::kernels::cuda {

// Thread t = row * columns + column of a block of kThreads = rows * columns threads (rows a power of two).
// Adds, for each column, the kWidth values of all its rows; they are complete in the threads of row 0.
// shared: kThreads * kWidth values, laid out [value][thread] so that neighbouring threads meet neighbouring
// banks. All threads of the block call it; the array may be used again when it returns.
template <class T, int kThreads, int kWidth>
__device__ __forceinline__ void sum_over_rows(Vec<T, kWidth>& values, T* shared, int columns) {
  const int thread = static_cast<int>(threadIdx.x), row = thread / columns;
#pragma unroll
  for (int e = 0; e < kWidth; ++e) shared[e * kThreads + thread] = values.v[e];
  __syncthreads();
  for (int half = kThreads / columns / 2; half > 0; half /= 2) {
    if (row < half) {
#pragma unroll
      for (int e = 0; e < kWidth; ++e) {
        values.v[e] += shared[e * kThreads + thread + half * columns];
        shared[e * kThreads + thread] = values.v[e];
      }
    }
    __syncthreads();
  }
}

}  // namespace aikd::kernels::cuda
