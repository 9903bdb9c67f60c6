// Depthwise convolution (kernels/depthwise_conv2d.h) and its gradients.
//
// Forward and data gradient are one kernel: a result pixel in row `o` and tap `t` read source row
// (o multiply + offset + t) / divide where divisible and inside (the map of implicit_gemm.cuh; for the
// gradient the taps are turned around).
//
// Bytes per result: sizeof(T) read from memory (each source pixel serves r s results, which find it in the
// caches), and sizeof(T) written. A thread makes kAlong neighbouring pixels of one vector of channels: each
// vector of the fp32 filter is loaded once for all of them. Launch: 256 threads, one dimension, vectors of
// channels fastest, then groups of kAlong pixels of a row. At 3x3, fp16: 9 loads of 16 bytes and 72 fmaf per
// 8 results, about 1.7 clocks of the first-level cache of a multiprocessor beside 2.1 of its share of an
// H100's memory: bound by memory. Unmeasured.
//
// Filter gradient: a block takes 32 vectors of channels, kGradientTaps taps and one run of pixels; 8 threads
// share the pixels of a channel, and their sums are added in order through shared memory. sum_parts_kernel
// adds the runs. Bytes: x and dy once per group of kGradientTaps taps.
#pragma once

#include "kernels/cuda/epilogue_device.cuh"

namespace aikd::kernels::cuda {

struct Depthwise {
  std::int32_t h = 1, w = 1, c = 1;   // source [n,h,w,c]
  std::int32_t r = 1, s = 1;          // filter [r,s,c]
  std::int32_t out_h = 1, out_w = 1;  // result [n,out_h,out_w,c]
  std::int32_t multiply = 1, divide = 1, offset_h = 0, offset_w = 0;
  bool turned = false;       // taps of the filter are read from the last to the first
  std::int64_t threads = 0;  // n out_h ceil(out_w / kAlong) vectors(c)
};

inline constexpr int kDepthwiseThreads = 256;
inline constexpr int kAlong = 4;

template <int kWidth>
__device__ __forceinline__ void load_floats(Vec<float, kWidth>& values, const float* from) {
  if constexpr (kWidth % 4 == 0) {
#pragma unroll
    for (int i = 0; i < kWidth; i += 4) {
      const Vec<float, 4> four = load_vec<float, 4>(from + i);
#pragma unroll
      for (int e = 0; e < 4; ++e) values.v[i + e] = four.v[e];
    }
  } else {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) values.v[i] = from[i];
  }
}
template <class T, int kWidth>
__device__ __forceinline__ void load_channels(Vec<T, kWidth>& values, const T* from) {
  if constexpr (kWidth == 1) {
    values.v[0] = *from;
  } else {
    values = load_vec<T, kWidth>(from);
  }
}

// kWidth: channels per thread, all of which exist: kVecWidth<T>, or 1 where rows allow no vectors.
template <class T, int kWidth>
__global__ void __launch_bounds__(kDepthwiseThreads)
    depthwise_conv2d_kernel(Depthwise g, const T* x, const float* weight, FusedEpilogue epilogue,
                            BorderGeometry border, bool vector_result, T* y) {
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * kDepthwiseThreads + threadIdx.x;
  if (index >= g.threads) return;
  const int vectors = g.c / kWidth, groups = (g.out_w + kAlong - 1) / kAlong;
  const std::int64_t place = index / vectors, line = place / groups, n = line / g.out_h;
  const int channel = static_cast<int>(index - place * vectors) * kWidth;
  const int q0 = static_cast<int>(place - line * groups) * kAlong;
  const int p = static_cast<int>(line - n * g.out_h);
  const T* const image = x + n * g.h * g.w * g.c + channel;

  Vec<float, kWidth> sums[kAlong];
#pragma unroll
  for (int j = 0; j < kAlong; ++j)
#pragma unroll
    for (int i = 0; i < kWidth; ++i) sums[j].v[i] = 0.0F;
#pragma unroll 1
  for (int r = 0; r < g.r; ++r) {
    const int from_h = p * g.multiply + g.offset_h + r, row = g.divide == 1 ? from_h : from_h / g.divide;
    if (from_h < 0 || row >= g.h || row * g.divide != from_h) continue;
    const T* const source = image + static_cast<std::int64_t>(row) * g.w * g.c;
#pragma unroll 1
    for (int s = 0; s < g.s; ++s) {
      const int tap = r * g.s + s;
      Vec<float, kWidth> filter;
      load_floats(filter,
                  weight + (g.turned ? g.r * g.s - 1 - tap : tap) * static_cast<std::int64_t>(g.c) + channel);
      Vec<T, kWidth> values[kAlong];
      bool inside[kAlong];
#pragma unroll
      for (int j = 0; j < kAlong; ++j) {
        const int from_w = (q0 + j) * g.multiply + g.offset_w + s;
        const int column = g.divide == 1 ? from_w : from_w / g.divide;
        inside[j] = q0 + j < g.out_w && from_w >= 0 && column < g.w && column * g.divide == from_w;
        if (inside[j]) load_channels(values[j], source + static_cast<std::int64_t>(column) * g.c);
      }
#pragma unroll
      for (int j = 0; j < kAlong; ++j)
        if (inside[j]) {
#pragma unroll
          for (int i = 0; i < kWidth; ++i)
            sums[j].v[i] = fmaf(to_float(values[j].v[i]), filter.v[i], sums[j].v[i]);
        }
    }
  }

  EpilogueChannels<kWidth> channels;
  channels.load(epilogue, channel, g.c);
#pragma unroll
  for (int j = 0; j < kAlong; ++j) {
    if (q0 + j >= g.out_w) break;
    if (epilogue.bias != nullptr && epilogue.bias_classes != 1)
      channels.load_border_bias(epilogue, channel, g.c, border_class(border, p, q0 + j));
    const std::int64_t element = (line * g.out_w + q0 + j) * g.c + channel;
    store_epilogue<T, kWidth>(epilogue, channels, sums[j], y, element, kWidth, kWidth > 1 && vector_result);
  }
}

inline constexpr int kGradientTaps = 9;      // of one block
inline constexpr int kGradientVectors = 32;  // of channels
inline constexpr int kGradientSharers = 8;   // threads among which the pixels of a channel are dealt

struct DepthwiseGradient {
  std::int32_t p = 1, q = 1, h = 1, w = 1, c = 1, r = 1, s = 1, stride = 1, pad = 0;
  std::int32_t pixels = 0, part_length = 0;  // n p q, and of one run
};

// Grid: x = runs, y = groups of 32 vectors of channels, z = groups of kGradientTaps taps. out [runs][r s][c].
template <class T, int kWidth>
__global__ void __launch_bounds__(kGradientVectors* kGradientSharers)
    depthwise_filter_gradient_kernel(DepthwiseGradient g, const T* x, const T* dy, float* out) {
  AIKD_SHARED(float, shared, kGradientSharers* kGradientVectors* kWidth);
  const int lane = static_cast<int>(threadIdx.x) % kGradientVectors;
  const int sharer = static_cast<int>(threadIdx.x) / kGradientVectors;
  const int channel = (static_cast<int>(blockIdx.y) * kGradientVectors + lane) * kWidth;
  const int first_tap = static_cast<int>(blockIdx.z) * kGradientTaps;
  const int begin = static_cast<int>(blockIdx.x) * g.part_length;
  const int end = g.pixels - begin < g.part_length ? g.pixels : begin + g.part_length;
  const bool exists = channel < g.c;

  int tap_h[kGradientTaps], tap_w[kGradientTaps];
  Vec<float, kWidth> sums[kGradientTaps];
#pragma unroll
  for (int t = 0; t < kGradientTaps; ++t) {
    tap_h[t] = (first_tap + t) / g.s - g.pad;
    tap_w[t] = (first_tap + t) % g.s - g.pad;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) sums[t].v[i] = 0.0F;
  }
#pragma unroll 1
  for (int pixel = begin + sharer; pixel < end && exists; pixel += kGradientSharers) {
    const unsigned line = static_cast<unsigned>(pixel) / static_cast<unsigned>(g.q);
    const int n = static_cast<int>(line / static_cast<unsigned>(g.p));
    const int p = static_cast<int>(line) - n * g.p, q = pixel - static_cast<int>(line) * g.q;
    Vec<T, kWidth> upstream;
    load_channels(upstream, dy + static_cast<std::int64_t>(pixel) * g.c + channel);
#pragma unroll
    for (int t = 0; t < kGradientTaps; ++t) {
      const int row = p * g.stride + tap_h[t], column = q * g.stride + tap_w[t];
      if (first_tap + t >= g.r * g.s || static_cast<unsigned>(row) >= static_cast<unsigned>(g.h) ||
          static_cast<unsigned>(column) >= static_cast<unsigned>(g.w))
        continue;
      Vec<T, kWidth> values;
      load_channels(values, x + ((static_cast<std::int64_t>(n) * g.h + row) * g.w + column) * g.c + channel);
#pragma unroll
      for (int i = 0; i < kWidth; ++i)
        sums[t].v[i] = fmaf(to_float(upstream.v[i]), to_float(values.v[i]), sums[t].v[i]);
    }
  }
#pragma unroll
  for (int t = 0; t < kGradientTaps; ++t) {
    if (first_tap + t >= g.r * g.s) break;  // the same for the whole block
#pragma unroll
    for (int i = 0; i < kWidth; ++i) shared[(sharer * kWidth + i) * kGradientVectors + lane] = sums[t].v[i];
    __syncthreads();
    if (sharer < kWidth && exists) {  // thread `sharer` adds up channel `sharer` of the vector
      float sum = 0.0F;
#pragma unroll
      for (int from = 0; from < kGradientSharers; ++from)
        sum += shared[(from * kWidth + sharer) * kGradientVectors + lane];
      out[(static_cast<std::int64_t>(blockIdx.x) * g.r * g.s + first_tap + t) * g.c + channel + sharer] = sum;
    }
    __syncthreads();
  }
}

}  // namespace aikd::kernels::cuda
