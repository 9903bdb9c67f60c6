// Fill and copy (fill.h): sizeof(T), and 2, bytes moved per element. Launch as in pointwise.cuh; 16-byte
// accesses where the addresses allow.
#pragma once

#include "kernels/cuda/pointwise.cuh"

namespace aikd::kernels::cuda {

template <class T, int kWidth>
__global__ void __launch_bounds__(kPointwiseThreads) fill_kernel(std::int64_t count, float value, T* y) {
  const std::int64_t threads = static_cast<std::int64_t>(gridDim.x) * kPointwiseThreads;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kPointwiseThreads + threadIdx.x;
  const std::int64_t vectors = count / kWidth;
  Vec<T, kWidth> pack;
#pragma unroll
  for (int e = 0; e < kWidth; ++e) pack.v[e] = from_float<T>(value);
#pragma unroll 4
  for (std::int64_t i = first; i < vectors; i += threads) store_pack<T, kWidth>(y + i * kWidth, pack);
  const std::int64_t last = vectors * kWidth + first;
  if (kWidth > 1 && last < count) y[last] = pack.v[0];
}

template <int kWidth>
__global__ void __launch_bounds__(kPointwiseThreads)
    copy_kernel(std::int64_t count, const unsigned char* x, unsigned char* y) {
  constexpr int kInFlight = 4;
  const std::int64_t threads = static_cast<std::int64_t>(gridDim.x) * kPointwiseThreads;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kPointwiseThreads + threadIdx.x;
  const std::int64_t vectors = count / kWidth;
#pragma unroll 1
  for (std::int64_t i = first; i < vectors; i += kInFlight * threads) {
    Vec<unsigned char, kWidth> pack[kInFlight];
#pragma unroll
    for (int u = 0; u < kInFlight; ++u)
      if (i + u * threads < vectors)
        pack[u] = load_pack<unsigned char, kWidth>(x + (i + u * threads) * kWidth);
#pragma unroll
    for (int u = 0; u < kInFlight; ++u)
      if (i + u * threads < vectors)
        store_pack<unsigned char, kWidth>(y + (i + u * threads) * kWidth, pack[u]);
  }
  const std::int64_t last = vectors * kWidth + first;
  if (kWidth > 1 && last < count) y[last] = x[last];
}

}  // namespace aikd::kernels::cuda
