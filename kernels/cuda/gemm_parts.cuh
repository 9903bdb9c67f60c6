// Partial sums put together, in order: out[i] = from<T>(sum_part partial[part][i] (+ bias[i % channels])).
//
// Bytes per element: 4 parts read, sizeof(T) written. One element per thread, four parts in flight.
#pragma once

#include "kernels/cuda/device.cuh"

namespace aikd::kernels::cuda {

// How a reduction of `total` terms is cut: at most `most` runs, none shorter than `shortest`, of a multiple
// of `unit` terms; at least one.
struct Runs {
  std::int64_t length, count;
};
inline Runs cut_into_runs(std::int64_t total, std::int64_t most, std::int64_t shortest, std::int64_t unit) {
  const std::int64_t even = ceil_div(total, most);
  const std::int64_t length = ceil_div(even > shortest ? even : shortest, unit) * unit;
  return {length, total > length ? ceil_div(total, length) : 1};
}

inline constexpr int kPartsThreads = 256;

template <class T>
__global__ void __launch_bounds__(kPartsThreads)
    sum_parts_kernel(const float* partial, int parts, std::int64_t count, const float* bias, int channels,
                     T* out) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kPartsThreads + threadIdx.x;
  if (i >= count) return;
  float sum = 0.0F;
#pragma unroll 4
  for (int part = 0; part < parts; ++part) sum += partial[part * count + i];
  if (bias != nullptr) sum += bias[i % channels];
  out[i] = from_float<T>(sum);
}

template <class T>
void sum_parts(const Context& ctx, const float* partial, int parts, std::int64_t count, const float* bias,
               int channels, T* out) {
  const LaunchShape shape{.grid = {.x = static_cast<unsigned>(ceil_div<std::int64_t>(count, kPartsThreads))},
                          .block = {.x = kPartsThreads}};
  AIKD_LAUNCH(ctx, shape, sum_parts_kernel<T>, partial, parts, count, bias, channels, out);
}

}  // namespace aikd::kernels::cuda
