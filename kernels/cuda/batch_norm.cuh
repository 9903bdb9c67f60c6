// BatchNorm forward (batch_norm.h): the operations for map_rows (pointwise.cuh), and the statistics.
//
// Statistics, one pass over x. A thread reads four rows at a time, takes their mean and sum of squared
// deviations from registers, and merges both into its own. For two sets of sizes a, b with means m_a, m_b and
// sums of squared deviations M_a, M_b, and d = m_b - m_a:
//
//   m = m_a + d b / (a + b)        M = M_a + M_b + d^2 a b / (a + b)
//
// About 5 operations per element: on an H100 a third of what it can issue while memory delivers fp16.
// Everything is taken of x - K[run][c], K the first row of the run: exact for data far from zero (Sterbenz).
// Launch and order as column_sums_kernel (reduce.cuh); finish_moments_kernel merges the runs in double.
#pragma once

#include "kernels/cuda/reduce.cuh"

namespace aikd::kernels::cuda {

struct BatchNormOp {
  static constexpr int kInputs = 1;
  const float *scale, *shift;
  struct Channel {
    float scale, shift;
  };
  template <int kWidth>
  __device__ __forceinline__ Vec<Channel, kWidth> channels(std::int64_t c) const {
    const Vec<float, kWidth> a = load_parameters<kWidth>(scale + c), b = load_parameters<kWidth>(shift + c);
    Vec<Channel, kWidth> out;
#pragma unroll
    for (int e = 0; e < kWidth; ++e) out.v[e] = {a.v[e], b.v[e]};
    return out;
  }
  __device__ __forceinline__ float operator()(const Channel& c, const float (&x)[1]) const {
    return fmaf(x[0], c.scale, c.shift);
  }
};

struct BatchNormParameters {
  const float *mean, *var, *weight, *bias;  // weight, bias: null for 1, 0
  float eps;
};
// What y = (x - mean) scale + bias needs, scale = weight rstd. All kernels compute it by this one function,
// so a gradient sees the bits of the forward pass.
struct BatchNormChannel {
  float mean, rstd, scale, bias;
};
template <int kWidth>
__device__ __forceinline__ Vec<BatchNormChannel, kWidth> batch_norm_channels(const BatchNormParameters& p,
                                                                             std::int64_t c) {
  const Vec<float, kWidth> mean = load_parameters<kWidth>(p.mean + c),
                           var = load_parameters<kWidth>(p.var + c);
  const Vec<float, kWidth> weight =
      load_parameters<kWidth>(p.weight == nullptr ? nullptr : p.weight + c, 1.0F);
  const Vec<float, kWidth> bias = load_parameters<kWidth>(p.bias == nullptr ? nullptr : p.bias + c, 0.0F);
  Vec<BatchNormChannel, kWidth> out;
#pragma unroll
  for (int e = 0; e < kWidth; ++e) {
    const float rstd = 1.0F / sqrtf(var.v[e] + p.eps);
    out.v[e] = {mean.v[e], rstd, weight.v[e] * rstd, bias.v[e]};
  }
  return out;
}
__device__ __forceinline__ float batch_norm_value(const BatchNormChannel& c, float x) {
  return fmaf(x - c.mean, c.scale, c.bias);
}

struct BatchNormTrainOp {
  static constexpr int kInputs = 1;
  BatchNormParameters parameters;
  using Channel = BatchNormChannel;
  template <int kWidth>
  __device__ __forceinline__ Vec<Channel, kWidth> channels(std::int64_t c) const {
    return batch_norm_channels<kWidth>(parameters, c);
  }
  __device__ __forceinline__ float operator()(const Channel& c, const float (&x)[1]) const {
    return batch_norm_value(c, x[0]);
  }
};

// Where the moments of run r and channel c go, at [r * channels + c]: K, mean of x - K, sum of (x - mean)^2.
struct Moments {
  float *shift, *mean, *squares;
};

// Merges set b into set a, of `size` elements; share = b / (a + b).
__device__ __forceinline__ void merge_moments(float& mean, float& squares, float size, float share,
                                              float mean_b, float squares_b) {
  const float difference = mean_b - mean;
  mean = fmaf(difference, share, mean);
  squares = fmaf(difference * difference, size * share, squares + squares_b);
}

template <class T, int kWidth, bool kVector>
__global__ void __launch_bounds__(kColumnThreads)
    column_moments_kernel(ColumnCut cut, const T* x, Moments moments) {
  constexpr int kGroup = 4;
  AIKD_SHARED(float, shared_count, kColumnThreads);
  AIKD_SHARED(float, shared_mean, kColumnThreads* kWidth);
  AIKD_SHARED(float, shared_squares, kColumnThreads* kWidth);
  const int thread = static_cast<int>(threadIdx.x);
  const int column = thread % cut.columns, row_thread = thread / cut.columns;
  const int step = kColumnThreads / cut.columns;
  const std::int64_t vector = static_cast<std::int64_t>(blockIdx.x) * cut.columns + column;
  const std::int64_t channel = vector * kWidth, begin = blockIdx.y * cut.length;
  const std::int64_t end = cut.rows - begin < cut.length ? cut.rows : begin + cut.length;
  const bool exists = vector < cut.row_vectors;

  float count = 0.0F;
  Vec<float, kWidth> shift, mean, squares;
#pragma unroll
  for (int e = 0; e < kWidth; ++e) shift.v[e] = mean.v[e] = squares.v[e] = 0.0F;
  if (exists) {
    const Vec<T, kWidth> first_row = load_pack<T, kWidth, kVector>(x + begin * cut.channels + channel);
#pragma unroll
    for (int e = 0; e < kWidth; ++e) shift.v[e] = to_float(first_row.v[e]);
#pragma unroll 1
    for (std::int64_t first = begin + row_thread; first < end; first += kGroup * step) {
      Vec<T, kWidth> in[kGroup];
      bool there[kGroup];
      float group = 0.0F;  // rows in it
#pragma unroll
      for (int u = 0; u < kGroup; ++u) {
        const std::int64_t row = first + u * step;
        there[u] = row < end;
        if (!there[u]) continue;
        in[u] = load_pack<T, kWidth, kVector>(x + row * cut.channels + channel);
        group += 1.0F;
      }
      const float inverse = 1.0F / group, share = group / (count + group);
#pragma unroll
      for (int e = 0; e < kWidth; ++e) {
        float deviation[kGroup], sum = 0.0F, group_squares = 0.0F;
#pragma unroll
        for (int u = 0; u < kGroup; ++u) {
          deviation[u] = there[u] ? to_float(in[u].v[e]) - shift.v[e] : 0.0F;
          sum += deviation[u];
        }
        const float group_mean = sum * inverse;
#pragma unroll
        for (int u = 0; u < kGroup; ++u) {
          const float d = there[u] ? deviation[u] - group_mean : 0.0F;
          group_squares = fmaf(d, d, group_squares);
        }
        merge_moments(mean.v[e], squares.v[e], count, share, group_mean, group_squares);
      }
      count += group;
    }
  }

  shared_count[thread] = count;
#pragma unroll
  for (int e = 0; e < kWidth; ++e) {
    shared_mean[e * kColumnThreads + thread] = mean.v[e];
    shared_squares[e * kColumnThreads + thread] = squares.v[e];
  }
  __syncthreads();
  for (int half = step / 2; half > 0; half /= 2) {
    const int other = thread + half * cut.columns;
    const float other_count = row_thread < half ? shared_count[other] : 0.0F;
    if (other_count > 0.0F) {  // then this thread has rows too
      const float share = other_count / (count + other_count);
#pragma unroll
      for (int e = 0; e < kWidth; ++e) {
        const int at = e * kColumnThreads;
        merge_moments(mean.v[e], squares.v[e], count, share, shared_mean[at + other],
                      shared_squares[at + other]);
        shared_mean[at + thread] = mean.v[e];
        shared_squares[at + thread] = squares.v[e];
      }
      count += other_count;
      shared_count[thread] = count;
    }
    __syncthreads();
  }
  if (row_thread != 0 || !exists) return;
#pragma unroll
  for (int e = 0; e < kWidth; ++e) {
    const std::int64_t at = blockIdx.y * cut.channels + channel + e;
    moments.shift[at] = shift.v[e];
    moments.mean[at] = mean.v[e];
    moments.squares[at] = squares.v[e];
  }
}

// mean and biased variance from the moments of the runs, in Sum, as deviations from the mean of the first
// run.
template <class Sum>
__global__ void __launch_bounds__(kFinishThreads)
    finish_moments_kernel(ColumnCut cut, Moments moments, float* mean, float* var) {
  AIKD_SHARED(Sum, shared, 2 * kFinishThreads);
  const int column = static_cast<int>(threadIdx.x) % kFinishColumns;
  const int row = static_cast<int>(threadIdx.x) / kFinishColumns;
  const std::int64_t channel = static_cast<std::int64_t>(blockIdx.x) * kFinishColumns + column;
  const bool exists = channel < cut.channels;
  Sum origin = 0;
  Vec<Sum, 2> sums{};  // sum of n d, sum of (x - origin)^2, d = mean - origin
  if (exists) {
    origin = static_cast<Sum>(moments.shift[channel]) + static_cast<Sum>(moments.mean[channel]);
#pragma unroll 2
    for (int part = row; part < cut.parts; part += kFinishRows) {
      const std::int64_t at = part * cut.channels + channel, begin = part * cut.length;
      const Sum n = static_cast<Sum>(cut.rows - begin < cut.length ? cut.rows - begin : cut.length);
      const Sum d = static_cast<Sum>(moments.shift[at]) + static_cast<Sum>(moments.mean[at]) - origin;
      sums.v[0] += n * d;
      sums.v[1] += static_cast<Sum>(moments.squares[at]) + n * d * d;
    }
  }
  sum_over_rows<Sum, kFinishThreads>(sums, shared, kFinishColumns);
  if (row != 0 || !exists) return;
  const Sum rows = static_cast<Sum>(cut.rows), difference = sums.v[0] / rows;
  const Sum variance = sums.v[1] / rows - difference * difference;
  mean[channel] = static_cast<float>(origin + difference);
  var[channel] = static_cast<float>(variance < 0 ? 0 : variance);
}

// One thread per channel.
template <class T>
__global__ void __launch_bounds__(kPointwiseThreads)
    update_running_kernel(std::int64_t channels, const T* mean, const T* var, T unbiased, T momentum,
                          T* running_mean, T* running_var) {
  const std::int64_t c = static_cast<std::int64_t>(blockIdx.x) * kPointwiseThreads + threadIdx.x;
  if (c >= channels) return;
  const T keep = T{1} - momentum;
  running_mean[c] = keep * running_mean[c] + momentum * mean[c];
  running_var[c] = keep * running_var[c] + momentum * (unbiased * var[c]);
}

}  // namespace aikd::kernels::cuda
