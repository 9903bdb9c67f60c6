// Elementwise kernels: the two loops that all of them share, as functions of what is done to one element.
//
// An operation `Op` is a small struct, passed to the kernel by value:
//
//   static constexpr int kInputs;              tensors read, all of the size of the result
//   float operator()(const float (&x)[kInputs]) const                                  for map_flat
//   struct Channel;                                            the parameters of a channel, fetched once by
//   template <int kWidth> Vec<Channel, kWidth> channels(std::int64_t c) const;  for c, c + 1, ...
//   float operator()(const Channel&, const float (&x)[kInputs]) const                  for map_rows
//
// Bytes per element: the storage of each input read, that of the result written; parameters are read once per
// thread. Launch: 256 threads; a thread takes 16-byte vectors a whole grid apart, four of them (over all
// inputs) in flight. Until 264 blocks (two per multiprocessor of an H100) are there, each thread has one
// vector; from then on four, until there are eight blocks per multiprocessor; from then on it loops. Elements
// do not depend on each other, so none of this shows in the result.
#pragma once

#include <algorithm>

#include "kernels/cuda/device.cuh"

namespace aikd::kernels::cuda {

inline constexpr int kPointwiseThreads = 256;

// Vectors of one input that a thread has in flight.
template <int kInputs>
inline constexpr int kPointwiseInFlight = kInputs == 1 ? 4 : 2;

template <class T, int kInputs>
struct PointwiseInputs {
  const T* from[static_cast<std::size_t>(kInputs)];
};

// kWidth elements, by one access when kVector (at most 16 bytes, aligned), else one by one.
template <class T, int kWidth, bool kVector = (kWidth > 1)>
__device__ __forceinline__ Vec<T, kWidth> load_pack(const T* from) {
  if constexpr (kVector) {
    return load_vec<T, kWidth>(from);
  } else {
    Vec<T, kWidth> pack;
#pragma unroll
    for (int e = 0; e < kWidth; ++e) pack.v[e] = from[e];
    return pack;
  }
}
template <class T, int kWidth, bool kVector = (kWidth > 1)>
__device__ __forceinline__ void store_pack(T* to, const Vec<T, kWidth>& pack) {
  if constexpr (kVector) {
    store_vec<T, kWidth>(to, pack);
  } else {
#pragma unroll
    for (int e = 0; e < kWidth; ++e) to[e] = pack.v[e];
  }
}

// The parameters of kWidth neighbouring channels, from that of the first; null: `missing` for all. Four at a
// time where the address allows: threads of a warp want up to 256 channels, and one by one each load would
// visit eight cache lines for four bytes.
template <int kWidth>
__device__ __forceinline__ Vec<float, kWidth> load_parameters(const float* from, float missing = 0.0F) {
  Vec<float, kWidth> values;
  if (from == nullptr) {
#pragma unroll
    for (int e = 0; e < kWidth; ++e) values.v[e] = missing;
    return values;
  }
  if constexpr (kWidth % 4 == 0) {
    if (reinterpret_cast<std::uintptr_t>(from) % 16 == 0) {
#pragma unroll
      for (int e = 0; e < kWidth; e += 4) {
        const Vec<float, 4> four = load_vec<float, 4>(from + e);
#pragma unroll
        for (int i = 0; i < 4; ++i) values.v[e + i] = four.v[i];
      }
      return values;
    }
  }
#pragma unroll
  for (int e = 0; e < kWidth; ++e) values.v[e] = from[e];
  return values;
}
// The same as channels of one parameter.
template <class Channel, int kWidth>
__device__ __forceinline__ Vec<Channel, kWidth> load_channels_of(const float* from) {
  const Vec<float, kWidth> values = load_parameters<kWidth>(from);
  Vec<Channel, kWidth> channels;
#pragma unroll
  for (int e = 0; e < kWidth; ++e) channels.v[e] = Channel{values.v[e]};
  return channels;
}

// y[i] = op(x0[i], ...) for count elements. Those behind the last whole vector are done one by one.
template <class In, class Out, int kWidth, class Op>
__global__ void __launch_bounds__(kPointwiseThreads)
    map_flat_kernel(std::int64_t count, Op op, PointwiseInputs<In, Op::kInputs> x, Out* y) {
  constexpr int kInputs = Op::kInputs, kInFlight = kPointwiseInFlight<kInputs>;
  const std::int64_t threads = static_cast<std::int64_t>(gridDim.x) * kPointwiseThreads;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kPointwiseThreads + threadIdx.x;
  const std::int64_t vectors = count / kWidth;
#pragma unroll 1
  for (std::int64_t i = first; i < vectors; i += kInFlight * threads) {
    Vec<Vec<In, kWidth>, kInFlight * kInputs> in;
#pragma unroll
    for (int u = 0; u < kInFlight; ++u) {
      const std::int64_t at = i + u * threads;
#pragma unroll
      for (int k = 0; k < kInputs; ++k)
        if (at < vectors) in.v[u * kInputs + k] = load_pack<In, kWidth>(x.from[k] + at * kWidth);
    }
#pragma unroll
    for (int u = 0; u < kInFlight; ++u) {
      const std::int64_t at = i + u * threads;
      if (at >= vectors) break;
      Vec<Out, kWidth> out;
#pragma unroll
      for (int e = 0; e < kWidth; ++e) {
        Vec<float, kInputs> values;
#pragma unroll
        for (int k = 0; k < kInputs; ++k) values.v[k] = to_float(in.v[u * kInputs + k].v[e]);
        out.v[e] = from_float<Out>(op(values.v));
      }
      store_pack<Out, kWidth>(y + at * kWidth, out);
    }
  }
  const std::int64_t last = vectors * kWidth + first;
  if (kWidth > 1 && last < count) {
    Vec<float, kInputs> values;
#pragma unroll
    for (int k = 0; k < kInputs; ++k) values.v[k] = to_float(x.from[k][last]);
    y[last] = from_float<Out>(op(values.v));
  }
}

// Vectors of a matrix [rows, channels] as map_rows_kernel deals them to threads.
struct RowMap {
  std::int64_t vectors = 0;  // rows * row_vectors
  unsigned row_vectors = 1;  // channels / width
  unsigned threads = 0;      // that take part: a multiple of row_vectors, so each stays in its channels
};

// y[i,c] = op(parameters of c, x0[i,c], ...).
template <class T, int kWidth, class Op>
__global__ void __launch_bounds__(kPointwiseThreads)
    map_rows_kernel(RowMap map, Op op, PointwiseInputs<T, Op::kInputs> x, T* y) {
  constexpr int kInputs = Op::kInputs, kInFlight = kPointwiseInFlight<kInputs>;
  const unsigned first = blockIdx.x * static_cast<unsigned>(kPointwiseThreads) + threadIdx.x;
  if (first >= map.threads) return;
  const std::int64_t channel = static_cast<std::int64_t>(first % map.row_vectors) * kWidth;
  const Vec<typename Op::Channel, kWidth> channels = op.template channels<kWidth>(channel);
#pragma unroll 1
  for (std::int64_t i = first; i < map.vectors; i += kInFlight * static_cast<std::int64_t>(map.threads)) {
    Vec<Vec<T, kWidth>, kInFlight * kInputs> in;
#pragma unroll
    for (int u = 0; u < kInFlight; ++u) {
      const std::int64_t at = i + u * static_cast<std::int64_t>(map.threads);
#pragma unroll
      for (int k = 0; k < kInputs; ++k)
        if (at < map.vectors) in.v[u * kInputs + k] = load_pack<T, kWidth>(x.from[k] + at * kWidth);
    }
#pragma unroll
    for (int u = 0; u < kInFlight; ++u) {
      const std::int64_t at = i + u * static_cast<std::int64_t>(map.threads);
      if (at >= map.vectors) break;
      Vec<T, kWidth> out;
#pragma unroll
      for (int e = 0; e < kWidth; ++e) {
        Vec<float, kInputs> values;
#pragma unroll
        for (int k = 0; k < kInputs; ++k) values.v[k] = to_float(in.v[u * kInputs + k].v[e]);
        out.v[e] = from_float<T>(op(channels.v[e], values.v));
      }
      store_pack<T, kWidth>(y + at * kWidth, out);
    }
  }
}

// ---- Launchers. ----

// Whether every pointer (null: yes) is a multiple of `bytes`.
template <class... P>
bool all_aligned(std::size_t bytes, const P*... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % bytes == 0) && ...);
}
template <class T, int kInputs>
bool all_aligned(std::size_t bytes, const PointwiseInputs<T, kInputs>& x) {
  return std::all_of(x.from, x.from + kInputs, [&](const T* from) { return all_aligned(bytes, from); });
}

// Blocks for so many vectors, as told above.
inline std::int64_t pointwise_blocks(std::int64_t vectors) {
  constexpr std::int64_t kFew = 2 * 132, kMany = 8 * 132, kPerThread = 4;
  const std::int64_t few = std::min(ceil_div<std::int64_t>(vectors, kPointwiseThreads), kFew);
  return std::max(few, std::min(ceil_div<std::int64_t>(vectors, kPointwiseThreads * kPerThread), kMany));
}

inline LaunchShape pointwise_shape(std::int64_t blocks) {
  return {.grid = {.x = static_cast<unsigned>(blocks)}, .block = {.x = kPointwiseThreads}};
}

// The deal for `rows` x `row_vectors` vectors, both >= 1, and its launch.
inline RowMap row_map(std::int64_t rows, std::int64_t row_vectors, LaunchShape* shape) {
  const std::int64_t vectors = rows * row_vectors;
  const std::int64_t blocks =
      std::max(pointwise_blocks(vectors), ceil_div<std::int64_t>(row_vectors, kPointwiseThreads));
  *shape = pointwise_shape(blocks);
  return {.vectors = vectors,
          .row_vectors = static_cast<unsigned>(row_vectors),
          .threads = static_cast<unsigned>(blocks * kPointwiseThreads / row_vectors * row_vectors)};
}

template <class In, class Out, class Op>
void map_flat(const Context& ctx, std::int64_t count, const Op& op, const PointwiseInputs<In, Op::kInputs>& x,
              Out* y) {
  if (count == 0) return;
  constexpr int kWidth = std::min(kVecWidth<In>, kVecWidth<Out>);
  if (all_aligned(kWidth * sizeof(In), x) && all_aligned(kWidth * sizeof(Out), y)) {
    AIKD_LAUNCH(ctx, pointwise_shape(pointwise_blocks(ceil_div<std::int64_t>(count, kWidth))),
                (map_flat_kernel<In, Out, kWidth, Op>), count, op, x, y);
  } else {
    AIKD_LAUNCH(ctx, pointwise_shape(pointwise_blocks(count)), (map_flat_kernel<In, Out, 1, Op>), count, op,
                x, y);
  }
}

template <class T, class Op>
void map_rows(const Context& ctx, std::int64_t rows, std::int64_t channels, const Op& op,
              const PointwiseInputs<T, Op::kInputs>& x, T* y) {
  if (rows == 0 || channels == 0) return;
  constexpr int kWidth = kVecWidth<T>;
  LaunchShape shape;
  if (channels % kWidth == 0 && all_aligned(16, x) && all_aligned(16, y)) {
    const RowMap map = row_map(rows, channels / kWidth, &shape);
    AIKD_LAUNCH(ctx, shape, (map_rows_kernel<T, kWidth, Op>), map, op, x, y);
  } else {
    const RowMap map = row_map(rows, channels, &shape);
    AIKD_LAUNCH(ctx, shape, (map_rows_kernel<T, 1, Op>), map, op, x, y);
  }
}

}  // namespace aikd::kernels::cuda
