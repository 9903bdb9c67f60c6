// Pixels to numbers (kernels/normalise.h): y[i,c] = table[c][x[i, source[c]]], 0 for c >= 3.
//
// Bytes per pixel: 3 read, y_pixel sizeof(T) written (19 in all at y_pixel 4 in fp32 and at 8 in 16 bits).
// The table, in the storage of y, lies in shared memory. A thread makes two 16-byte vectors at a time of y,
// whose elements are counted through pixels and channels alike, so that every y_pixel is stored in full
// vectors. Launch: one dimension of 256 threads, at most 8 blocks for each of an H100's 132 multiprocessors,
// which stride over y. Per 32 vectors about 14 clocks of shared and first-level memory beside 512 bytes
// written: bound by memory on paper, unmeasured.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/normalise.h"

namespace aikd::kernels::cuda {

inline constexpr int kNormaliseThreads = 256;
inline constexpr int kNormaliseVectors = 2;  // per thread and round
inline constexpr int kTableValues = 3 * 256;

// The whole block calls it, and a barrier follows.
template <class T>
__device__ __forceinline__ void load_pixel_table(T* shared, const float* values) {
  for (int i = static_cast<int>(threadIdx.x); i < kTableValues; i += static_cast<int>(blockDim.x))
    shared[i] = from_float<T>(values[i]);
}

// kWidth: elements per store, kVecWidth<T> or 1.
template <class T, int kWidth>
__global__ void __launch_bounds__(kNormaliseThreads)
    normalise_kernel(NormaliseTable table, std::int64_t elements, unsigned y_pixel, const std::uint8_t* x,
                     T* y) {
  AIKD_SHARED(T, values, kTableValues);
  load_pixel_table(values, table.values);
  __syncthreads();
  constexpr std::int64_t kRound = std::int64_t{kNormaliseThreads} * kNormaliseVectors * kWidth;
  const int source[3] = {static_cast<int>(table.source[0]), static_cast<int>(table.source[1]),
                         static_cast<int>(table.source[2])};
  for (std::int64_t begin = blockIdx.x * kRound; begin < elements; begin += gridDim.x * kRound) {
    // The 64-bit division once; the rest counts from the pixel in which the round begins.
    const std::int64_t first = begin / y_pixel;
    const auto inside = static_cast<unsigned>(begin - first * y_pixel);
    const std::uint8_t* const bytes = x + first * 3;
    Vec<T, kWidth> out[kNormaliseVectors];
#pragma unroll
    for (int j = 0; j < kNormaliseVectors; ++j) {
      const unsigned element = (static_cast<unsigned>(j) * kNormaliseThreads + threadIdx.x) * kWidth;
      unsigned pixel = (inside + element) / y_pixel, channel = inside + element - pixel * y_pixel;
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        out[j].v[i] = from_float<T>(0.0F);
        if (channel < 3 && begin + element + i < elements) {
          const int from = channel == 0 ? source[0] : channel == 1 ? source[1] : source[2];
          out[j].v[i] = values[channel * 256 + bytes[pixel * 3 + static_cast<unsigned>(from)]];
        }
        if (++channel == y_pixel) {
          channel = 0;
          ++pixel;
        }
      }
    }
#pragma unroll
    for (int j = 0; j < kNormaliseVectors; ++j) {
      const std::int64_t element =
          begin +
          static_cast<std::int64_t>((static_cast<unsigned>(j) * kNormaliseThreads + threadIdx.x) * kWidth);
      if constexpr (kWidth > 1) {
        if (element + kWidth <= elements) {
          store_vec<T, kWidth>(y + element, out[j]);
          continue;
        }
      }
#pragma unroll
      for (int i = 0; i < kWidth; ++i)
        if (element + i < elements) y[element + i] = out[j].v[i];
    }
  }
}

}  // namespace aikd::kernels::cuda
