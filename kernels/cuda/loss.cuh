// The losses of kernels/loss.h. All are small (a batch of embeddings, a batch of scores): what counts is few
// launches and all digits, so that sums are double also on cards where that is slow.
//
// Cosine: one block of 128 threads per row, four neighbouring columns per thread and step; whether they are
// loaded as one vector does not change the order of the sums. 8 bytes per element forward, 12 backward (the
// second reading is from the caches).
//
//   d cos / d b = a / sqrt(A B) - cos b / B,   A = |a|^2 + e, B = |b|^2 + e,
//
// from the quotient rule: d(a.b)/db = a, and d sqrt(A B)/db = sqrt(A/B) b.
//
// Mean losses: one block per kLossPart elements, the parts' sums added by one more block. L1 is smooth L1
// with beta = 0.
#pragma once

#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/loss.h"

namespace aikd::kernels::cuda {

inline constexpr int kCosineThreads = 128;
inline constexpr double kCosineEpsilon = 1e-12;
inline constexpr int kLossThreads = 256;
inline constexpr std::int64_t kLossPart = 16 * 1024;  // elements per block

// Up to four elements of a row, 0 beyond its end.
__device__ __forceinline__ Vec<float, 4> load_columns(const float* row, std::int64_t column,
                                                      std::int64_t columns, bool vector) {
  if (vector) return load_vec<float, 4>(row + column);
  Vec<float, 4> values;
#pragma unroll
  for (int e = 0; e < 4; ++e) values.v[e] = column + e < columns ? row[column + e] : 0.0F;
  return values;
}

struct CosineSums {
  double dot, a, b;  // a . b, |a|^2 + e, |b|^2 + e
};
// In every thread of the block. shared: 3 * kCosineThreads values.
__device__ __forceinline__ CosineSums cosine_sums(std::int64_t columns, const float* a, const float* b,
                                                  bool vector, double* shared) {
  Vec<double, 3> sums{{0.0, 0.0, 0.0}};
  for (std::int64_t j = threadIdx.x * 4; j < columns; j += kCosineThreads * 4) {
    const Vec<float, 4> va = load_columns(a, j, columns, vector), vb = load_columns(b, j, columns, vector);
#pragma unroll
    for (int e = 0; e < 4; ++e) {  // products of two floats are exact
      const double p = static_cast<double>(va.v[e]), q = static_cast<double>(vb.v[e]);
      sums.v[0] += p * q;
      sums.v[1] += p * p;
      sums.v[2] += q * q;
    }
  }
  sum_over_rows<double, kCosineThreads>(sums, shared, 1);
  if (threadIdx.x == 0)
    for (int k = 0; k < 3; ++k) shared[k] = sums.v[k];
  __syncthreads();
  return {shared[0], shared[1] + kCosineEpsilon, shared[2] + kCosineEpsilon};
}

// vector: columns is a multiple of 4, and a and b of 16 bytes.
template <class T>
__global__ void __launch_bounds__(kCosineThreads)
    cosine_embedding_kernel(std::int64_t columns, const T* a, const T* b, bool vector, T* per_row) {
  AIKD_SHARED(double, shared, 3 * kCosineThreads);
  const std::int64_t row = blockIdx.x;
  const CosineSums sums = cosine_sums(columns, a + row * columns, b + row * columns, vector, shared);
  if (threadIdx.x == 0) per_row[row] = static_cast<T>(1.0 - sums.dot / sqrt(sums.a * sums.b));
}

// scale: upstream / rows. vector: db too.
template <class T>
__global__ void __launch_bounds__(kCosineThreads)
    cosine_embedding_backward_kernel(std::int64_t columns, const T* a, const T* b, bool vector, double scale,
                                     T* db) {
  AIKD_SHARED(double, shared, 3 * kCosineThreads);
  const std::int64_t row = blockIdx.x;
  const T *const row_a = a + row * columns, *const row_b = b + row * columns;
  T* const out = db + row * columns;
  const CosineSums sums = cosine_sums(columns, row_a, row_b, vector, shared);
  const double inverse = 1.0 / sqrt(sums.a * sums.b);
  const double from_a = scale * inverse, from_b = scale * (sums.dot * inverse / sums.b);
  for (std::int64_t j = threadIdx.x * 4; j < columns; j += kCosineThreads * 4) {
    const Vec<T, 4> va = load_columns(row_a, j, columns, vector),
                    vb = load_columns(row_b, j, columns, vector);
    Vec<T, 4> gradient;
#pragma unroll
    for (int e = 0; e < 4; ++e)
      gradient.v[e] =
          static_cast<T>(from_b * static_cast<double>(vb.v[e]) - from_a * static_cast<double>(va.v[e]));
    if (vector) {
      store_vec<T, 4>(out + j, gradient);
    } else {
#pragma unroll
      for (int e = 0; e < 4; ++e)
        if (j + e < columns) out[j + e] = gradient.v[e];
    }
  }
}

// One block: *mean = (sum of values) / divisor.
template <class T>
__global__ void __launch_bounds__(kLossThreads)
    loss_mean_kernel(std::int64_t count, const T* values, double divisor, float* mean) {
  AIKD_SHARED(double, shared, kLossThreads);
  Vec<double, 1> sum{{0.0}};
  for (std::int64_t i = threadIdx.x; i < count; i += kLossThreads) sum.v[0] += static_cast<double>(values[i]);
  sum_over_rows<double, kLossThreads>(sum, shared, 1);
  if (threadIdx.x == 0) *mean = static_cast<float>(sum.v[0] / divisor);
}

// Part blockIdx.x of the sum of terms, divided: parts[part], or, of a single part, the loss itself in *mean.
template <class T>
__global__ void __launch_bounds__(kLossThreads)
    smooth_l1_kernel(std::int64_t count, T beta, const T* x, const T* target, double divisor, double* parts,
                     T* mean) {
  AIKD_SHARED(double, shared, kLossThreads);
  const std::int64_t begin = blockIdx.x * kLossPart, left = count - begin;
  const int length = static_cast<int>(left < kLossPart ? left : kLossPart);
  Vec<double, 1> sum{{0.0}};
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < length; i += kLossThreads) {
    const T distance = fabsf(x[begin + i] - target[begin + i]);
    sum.v[0] += static_cast<double>(distance < beta ? T{0.5F} * distance * distance / beta
                                                    : distance - T{0.5F} * beta);
  }
  sum_over_rows<double, kLossThreads>(sum, shared, 1);
  if (threadIdx.x != 0) return;
  if (parts != nullptr) {
    parts[blockIdx.x] = sum.v[0];
  } else {
    *mean = static_cast<T>(sum.v[0] / divisor);
  }
}

// One element per thread. scale: upstream / count.
template <class T>
__global__ void __launch_bounds__(kLossThreads)
    smooth_l1_backward_kernel(std::int64_t count, T beta, const T* x, const T* target, T scale, T* dx) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kLossThreads + threadIdx.x;
  if (i >= count) return;
  const T d = x[i] - target[i];
  const T slope = fabsf(d) < beta ? d / beta
                  : d > T{0}      ? T{1}
                  : d < T{0}      ? T{-1}
                                  : d;  // 0 and NaN are d itself
  dx[i] = scale * slope;
}

}  // namespace aikd::kernels::cuda
