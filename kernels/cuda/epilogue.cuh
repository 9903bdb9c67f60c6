// The epilogue (kernels/epilogue.h) as a pass of its own, over sums [n,p,q,k] that a library computed. The
// arithmetic is that of epilogue_device.cuh: the same bits as where it is fused.
//
// Bytes per element: sizeof(T) read (twice that with a residual), sizeof(T) written (twice that with y2).
// Threads are dealt as in map_rows_kernel (pointwise.cuh): each stays in its channels, whose parameters are
// in registers, and has two vectors in flight. With nine biases it finds its pixel (two divisions per vector)
// and reads the bias of its class, which the first-level cache holds: 9 k floats.
#pragma once

#include "kernels/cuda/epilogue_device.cuh"
#include "kernels/cuda/pointwise.cuh"

namespace aikd::kernels::cuda {

struct EpiloguePlane {
  unsigned pixels = 1, q = 1;  // p q, and q
};

template <class T, int kWidth>
__global__ void __launch_bounds__(kPointwiseThreads)
    epilogue_kernel(RowMap map, EpiloguePlane plane, const T* x, FusedEpilogue epilogue,
                    BorderGeometry border, T* y) {
  constexpr int kInFlight = 2;
  const unsigned first = blockIdx.x * static_cast<unsigned>(kPointwiseThreads) + threadIdx.x;
  if (first >= map.threads) return;
  const int channels = static_cast<int>(map.row_vectors) * kWidth;
  const int channel = static_cast<int>(first % map.row_vectors) * kWidth;
  // Neighbouring vectors of a thread are a whole number of rows apart.
  const unsigned row_step = map.threads / map.row_vectors;
  unsigned row = first / map.row_vectors;
  const T* const residual = static_cast<const T*>(epilogue.residual);
  T* const y2 = static_cast<T*>(epilogue.y2);
  EpilogueChannels<kWidth> parameters;
  const bool one_bias = epilogue.bias != nullptr && epilogue.bias_classes == 1;
  const bool nine_biases = epilogue.bias != nullptr && !one_bias;
  parameters.bias = load_parameters<kWidth>(one_bias ? epilogue.bias + channel : nullptr);
  parameters.slope = load_parameters<kWidth>(epilogue.slope == nullptr ? nullptr : epilogue.slope + channel);
  parameters.scale2 = load_parameters<kWidth>(y2 == nullptr ? nullptr : epilogue.scale2 + channel);
  parameters.shift2 = load_parameters<kWidth>(y2 == nullptr ? nullptr : epilogue.shift2 + channel);
#pragma unroll 1
  for (std::int64_t i = first; i < map.vectors; i += kInFlight * static_cast<std::int64_t>(map.threads)) {
    Vec<T, kWidth> sums[kInFlight], addends[kInFlight]{};
#pragma unroll
    for (int u = 0; u < kInFlight; ++u) {
      const std::int64_t at = i + u * static_cast<std::int64_t>(map.threads);
      if (at >= map.vectors) break;
      sums[u] = load_pack<T, kWidth>(x + at * kWidth);
      if (residual != nullptr) addends[u] = load_pack<T, kWidth>(residual + at * kWidth);
    }
#pragma unroll
    for (int u = 0; u < kInFlight; ++u) {
      const std::int64_t at = i + u * static_cast<std::int64_t>(map.threads);
      if (at >= map.vectors) break;
      if (nine_biases) {
        const unsigned pixel = row % plane.pixels, p = pixel / plane.q;
        const int place = border_class(border, static_cast<int>(p), static_cast<int>(pixel - p * plane.q));
        parameters.bias =
            load_parameters<kWidth>(epilogue.bias + static_cast<std::int64_t>(place) * channels + channel);
      }
      row += row_step;
      Vec<T, kWidth> result, second;
#pragma unroll
      for (int e = 0; e < kWidth; ++e) {
        const EpilogueValue value =
            epilogue_value(epilogue, to_float(sums[u].v[e]), parameters.bias.v[e], parameters.slope.v[e],
                           parameters.scale2.v[e], parameters.shift2.v[e], to_float(addends[u].v[e]));
        result.v[e] = from_float<T>(value.y);
        second.v[e] = from_float<T>(value.y2);
      }
      store_pack<T, kWidth>(y + at * kWidth, result);
      if (y2 != nullptr) store_pack<T, kWidth>(y2 + at * kWidth, second);
    }
  }
}

}  // namespace aikd::kernels::cuda
