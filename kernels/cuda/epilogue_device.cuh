// The arithmetic of FusedEpilogue (kernels/epilogue.h) for one element and for a few neighbouring channels:
// shared by every kernel that ends in it, so that all give the same bits.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/epilogue.h"

namespace aikd::kernels::cuda {

// Where an output pixel lies for a bias folded through zero padding (blocked_conv.h): 3 * row class + column
// class, each 0 where the filter reaches over the first row (column), 2 over the last, else 1. Sizes as
// Conv2dDims names them.
struct BorderGeometry {
  int h = 1, w = 1, r = 1, s = 1, stride = 1, pad = 0;
};
inline BorderGeometry border_geometry(const Conv2dDims& dims) {
  return {.h = static_cast<int>(dims.h),
          .w = static_cast<int>(dims.w),
          .r = static_cast<int>(dims.r),
          .s = static_cast<int>(dims.s),
          .stride = static_cast<int>(dims.stride),
          .pad = static_cast<int>(dims.pad)};
}
__device__ __forceinline__ int border_class(const BorderGeometry& geometry, int p, int q) {
  const int top = p * geometry.stride - geometry.pad, left = q * geometry.stride - geometry.pad;
  const int row = top < 0 ? 0 : top + geometry.r > geometry.h ? 2 : 1;
  const int column = left < 0 ? 0 : left + geometry.s > geometry.w ? 2 : 1;
  return 3 * row + column;
}

struct EpilogueValue {
  float y, y2;
};
// One element. `bias`, `slope`, `scale2`, `shift2` are the parameters of its channel and `residual` its
// addend; those that the epilogue does not have are not used. NaN passes through every activation.
__device__ __forceinline__ EpilogueValue epilogue_value(const FusedEpilogue& e, float sum, float bias,
                                                        float slope, float scale2, float shift2,
                                                        float residual) {
  float v = e.bias != nullptr ? sum + bias : sum;
  if (e.residual != nullptr && e.residual_first) v = v + residual;
  if (e.slope != nullptr) {
    v = v > 0.0F ? v : v * slope;
  } else if (e.clamps) {
    v = v < e.lo ? e.lo : v > e.hi ? e.hi : v;
  }
  if (e.residual != nullptr && !e.residual_first) v = v + residual;
  return {v, e.y2 != nullptr ? fmaf(v, scale2, shift2) : 0.0F};
}

// One element with everything read from memory: `k` is its channel of `channels`, `border` its class (used
// with nine biases), `element` its index in y.
template <class T>
__device__ __forceinline__ EpilogueValue epilogue_at(const FusedEpilogue& e, float sum, int k, int channels,
                                                     int border, std::int64_t element) {
  const float bias = e.bias == nullptr
                         ? 0.0F
                         : e.bias[e.bias_classes == 1 ? k : static_cast<std::int64_t>(border) * channels + k];
  const float residual = e.residual == nullptr ? 0.0F : to_float(static_cast<const T*>(e.residual)[element]);
  return epilogue_value(e, sum, bias, e.slope == nullptr ? 0.0F : e.slope[k],
                        e.y2 == nullptr ? 0.0F : e.scale2[k], e.y2 == nullptr ? 0.0F : e.shift2[k], residual);
}

// The parameters of N neighbouring channels [k, k + N) in registers, for a thread that meets the same
// channels in many pixels. Channels beyond `channels` are left at zero.
template <int N>
struct EpilogueChannels {
  Vec<float, N> bias, slope, scale2, shift2;

  __device__ __forceinline__ void load(const FusedEpilogue& e, int k, int channels) {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const bool inside = k + i < channels;
      bias.v[i] = inside && e.bias != nullptr && e.bias_classes == 1 ? e.bias[k + i] : 0.0F;
      slope.v[i] = inside && e.slope != nullptr ? e.slope[k + i] : 0.0F;
      scale2.v[i] = inside && e.y2 != nullptr ? e.scale2[k + i] : 0.0F;
      shift2.v[i] = inside && e.y2 != nullptr ? e.shift2[k + i] : 0.0F;
    }
  }
  // With nine biases: before each pixel.
  __device__ __forceinline__ void load_border_bias(const FusedEpilogue& e, int k, int channels, int border) {
#pragma unroll
    for (int i = 0; i < N; ++i)
      if (k + i < channels) bias.v[i] = e.bias[static_cast<std::int64_t>(border) * channels + k + i];
  }
};

// Finishes the sums of N channels of one pixel and stores them: `element` is the index in y of the first,
// `count` of them exist. `vector`: all N exist and y, y2 and residual may be accessed N elements at a time.
template <class T, int N>
__device__ __forceinline__ void store_epilogue(const FusedEpilogue& e, const EpilogueChannels<N>& channels,
                                               const Vec<float, N>& sums, T* y, std::int64_t element,
                                               int count, bool vector) {
  const T* const residual_from = static_cast<const T*>(e.residual);
  T* const y2 = static_cast<T*>(e.y2);
  if constexpr (N > 1) {
    if (vector) {
      Vec<T, N> residual{}, first, second;
      if (residual_from != nullptr) residual = load_vec<T, N>(residual_from + element);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        const EpilogueValue value =
            epilogue_value(e, sums.v[i], channels.bias.v[i], channels.slope.v[i], channels.scale2.v[i],
                           channels.shift2.v[i], to_float(residual.v[i]));
        first.v[i] = from_float<T>(value.y);
        second.v[i] = from_float<T>(value.y2);
      }
      store_vec<T, N>(y + element, first);
      if (y2 != nullptr) store_vec<T, N>(y2 + element, second);
      return;
    }
  }
#pragma unroll
  for (int i = 0; i < N; ++i) {
    if (i >= count) break;
    const float residual = residual_from != nullptr ? to_float(residual_from[element + i]) : 0.0F;
    const EpilogueValue value = epilogue_value(e, sums.v[i], channels.bias.v[i], channels.slope.v[i],
                                               channels.scale2.v[i], channels.shift2.v[i], residual);
    y[element + i] = from_float<T>(value.y);
    if (y2 != nullptr) y2[element + i] = from_float<T>(value.y2);
  }
}

// Stores N floats (a multiple of 4) of which `count` exist. `vector`: four at a time, where N exist.
template <int N>
__device__ __forceinline__ void store_floats(float* to, const Vec<float, N>& values, int count, bool vector) {
  if (vector && count >= N) {
#pragma unroll
    for (int i = 0; i < N; i += 4)
      store_vec<float, 4>(to + i, {{values.v[i], values.v[i + 1], values.v[i + 2], values.v[i + 3]}});
    return;
  }
#pragma unroll
  for (int i = 0; i < N; ++i)
    if (i < count) to[i] = values.v[i];
}

// Launchers: whether `pointer` (null: yes) is a multiple of `bytes`.
inline bool aligned_to(const void* pointer, std::size_t bytes) {
  return reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0;
}
// Whether store_epilogue may use vectors of N elements of the storage for an output of `channels` channels.
inline bool epilogue_vectors(const FusedEpilogue& e, const void* y, Storage storage, std::int64_t channels,
                             int n) {
  const std::size_t bytes = bytes_of(storage) * static_cast<std::size_t>(n);
  return channels % n == 0 && aligned_to(y, bytes) && aligned_to(e.residual, bytes) &&
         aligned_to(e.y2, bytes);
}

}  // namespace aikd::kernels::cuda
