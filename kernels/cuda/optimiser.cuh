// Multi-tensor kernels of kernels/optimiser.h. One block of 256 threads per chunk of 16384 elements: 65
// million parameters are 4000 blocks, about four waves on an H100. A thread takes four neighbouring elements
// at a time, as vectors where all pointers of the tensor allow it, so that with momentum each has 64 bytes
// under way: bound by memory. Unmeasured.
#pragma once

#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/optimiser.h"

namespace aikd::kernels::cuda {

inline constexpr int kOptimiserThreads = 256;
inline constexpr int kOptimiserChunkInt = static_cast<int>(kOptimiserChunk);

// Up to four elements from `from`, 0 beyond `valid`.
template <class T>
__device__ __forceinline__ Vec<float, 4> load_four(const T* from, int valid, bool vector) {
  Vec<float, 4> values;
  if (vector && valid >= 4) {
    const Vec<T, 4> raw = load_vec<T, 4>(from);
#pragma unroll
    for (int e = 0; e < 4; ++e) values.v[e] = to_float(raw.v[e]);
  } else {
#pragma unroll
    for (int e = 0; e < 4; ++e) values.v[e] = e < valid ? to_float(from[e]) : 0.0F;
  }
  return values;
}
template <class T>
__device__ __forceinline__ void store_four(T* to, const Vec<float, 4>& values, int valid, bool vector) {
  if (vector && valid >= 4) {
    Vec<T, 4> raw;
#pragma unroll
    for (int e = 0; e < 4; ++e) raw.v[e] = from_float<T>(values.v[e]);
    store_vec<T, 4>(to, raw);
  } else {
#pragma unroll
    for (int e = 0; e < 4; ++e)
      if (e < valid) to[e] = from_float<T>(values.v[e]);
  }
}

// Whether `element` begins a vector of four in an array that may be absent.
__device__ __forceinline__ bool begins_vector(const void* array, std::size_t element_bytes) {
  return reinterpret_cast<std::uintptr_t>(array) % (4 * element_bytes) == 0;
}

// The block's chunk. Chunks begin at multiples of four, so the tensor's own pointers tell whether vectors
// fit.
struct OptimiserChunk {
  std::int64_t begin;
  int length;
  bool vector;
};
__device__ __forceinline__ OptimiserChunk optimiser_chunk(const TensorChunk& chunk, const TensorSlice& tensor,
                                                          std::size_t gradient_bytes,
                                                          std::size_t copy_bytes) {
  const std::int64_t left = tensor.count - chunk.begin;
  return {.begin = chunk.begin,
          .length = left < kOptimiserChunk ? static_cast<int>(left) : kOptimiserChunkInt,
          .vector = begins_vector(tensor.parameter, 4) && begins_vector(tensor.gradient, gradient_bytes) &&
                    begins_vector(tensor.first, 4) && begins_vector(tensor.second, 4) &&
                    begins_vector(tensor.low_precision, copy_bytes)};
}

__device__ __forceinline__ std::size_t copy_bytes(const StepControl& control) {
  return control.low_precision == Storage::kF32 ? 4 : 2;
}
__device__ __forceinline__ bool is_skipped(const StepControl& control) {
  return control.non_finite != nullptr && *control.non_finite != 0;
}
// NaN stays NaN.
__device__ __forceinline__ float clip_factor(const StepControl& control) {
  if (control.norm == nullptr) return 1.0F;
  const float factor = control.max_norm / (*control.norm + 1e-6F);
  return factor > 1.0F ? 1.0F : factor;
}
__device__ __forceinline__ void store_copy(const StepControl& control, void* to, std::int64_t element,
                                           const Vec<float, 4>& values, int valid, bool vector) {
  if (to == nullptr) return;
  if (control.low_precision == Storage::kF16) {
    store_four(static_cast<Half16*>(to) + element, values, valid, vector);
  } else if (control.low_precision == Storage::kBF16) {
    store_four(static_cast<BFloat16*>(to) + element, values, valid, vector);
  } else {
    store_four(static_cast<float*>(to) + element, values, valid, vector);
  }
}

// First launch of the norm: of each chunk the sum of squares, and whether anything was not finite.
template <class T>
__global__ void __launch_bounds__(kOptimiserThreads)
    gradient_norm_kernel(TensorList list, float inverse_scale, double* sums, std::int32_t* flags) {
  AIKD_SHARED(double, shared, kOptimiserThreads);
  const TensorChunk chunk = list.chunks[blockIdx.x];
  const TensorSlice& tensor = list.tensors[chunk.tensor];
  const OptimiserChunk own = optimiser_chunk(chunk, tensor, sizeof(T), 1);
  const T* const gradient = static_cast<const T*>(tensor.gradient) + own.begin;
  const bool vector = begins_vector(tensor.gradient, sizeof(T));
  Vec<float, 4> squares{{0.0F, 0.0F, 0.0F, 0.0F}};
  bool finite = true;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x) * 4; i < own.length; i += kOptimiserThreads * 4) {
    const Vec<float, 4> g = load_four(gradient + i, own.length - i, vector);
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const float value = g.v[e] * inverse_scale;
      finite = finite && fabsf(value) <= 3.402823466e38F;
      squares.v[e] = fmaf(value, value, squares.v[e]);
    }
  }
  Vec<double, 1> sum{{0.0}};
#pragma unroll
  for (int e = 0; e < 4; ++e) sum.v[0] += static_cast<double>(squares.v[e]);
  sum_over_rows<double, kOptimiserThreads>(sum, shared, 1);
  const bool any = __syncthreads_or(!finite) != 0;
  if (threadIdx.x != 0) return;
  sums[blockIdx.x] = sum.v[0];
  flags[blockIdx.x] = any ? 1 : 0;
}

// Second launch: one block.
template <class T>
__global__ void __launch_bounds__(kOptimiserThreads)
    finish_gradient_norm_kernel(std::int64_t chunks, const double* sums, const std::int32_t* flags, T* norm,
                                std::int32_t* non_finite) {
  AIKD_SHARED(double, shared, kOptimiserThreads);
  Vec<double, 1> sum{{0.0}};
  bool any = false;
  for (std::int64_t i = threadIdx.x; i < chunks; i += kOptimiserThreads) {
    sum.v[0] += sums[i];
    any = any || flags[i] != 0;
  }
  sum_over_rows<double, kOptimiserThreads>(sum, shared, 1);
  const bool any_in_block = __syncthreads_or(any) != 0;
  if (threadIdx.x != 0) return;
  *norm = static_cast<T>(sqrt(sum.v[0]));
  *non_finite = any_in_block ? 1 : 0;
}

// The options in the numbers that the arithmetic uses.
struct SgdNumbers {
  float learning_rate, momentum, undampened, weight_decay;  // undampened: 1 - dampening
  bool nesterov;
};
struct SgdTable {
  SgdNumbers groups[kOptimiserGroups];
};

template <class T>
__global__ void __launch_bounds__(kOptimiserThreads)
    sgd_kernel(TensorList list, SgdTable table, StepControl control) {
  if (is_skipped(control)) return;
  const TensorChunk chunk = list.chunks[blockIdx.x];
  const TensorSlice tensor = list.tensors[chunk.tensor];
  const OptimiserChunk own = optimiser_chunk(chunk, tensor, sizeof(T), copy_bytes(control));
  const SgdNumbers group = table.groups[tensor.group];
  const bool buffered = group.momentum != 0.0F, first_step = *control.steps == 0;
  const float clip = clip_factor(control);
  const T* const gradient = static_cast<const T*>(tensor.gradient);
  for (int i = static_cast<int>(threadIdx.x) * 4; i < own.length; i += kOptimiserThreads * 4) {
    const std::int64_t at = own.begin + i;
    const int valid = own.length - i;
    Vec<float, 4> p = load_four(tensor.parameter + at, valid, own.vector);
    const Vec<float, 4> g = load_four(gradient + at, valid, own.vector);
    Vec<float, 4> buffer{};
    if (buffered && !first_step) buffer = load_four(tensor.first + at, valid, own.vector);
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      float d = g.v[e] * control.inverse_scale * clip;
      if (group.weight_decay != 0.0F) d = fmaf(group.weight_decay, p.v[e], d);
      if (buffered) {
        buffer.v[e] = first_step ? d : fmaf(group.momentum, buffer.v[e], group.undampened * d);
        d = group.nesterov ? fmaf(group.momentum, buffer.v[e], d) : buffer.v[e];
      }
      p.v[e] = fmaf(-group.learning_rate, d, p.v[e]);
    }
    if (buffered) store_four(tensor.first + at, buffer, valid, own.vector);
    store_four(tensor.parameter + at, p, valid, own.vector);
    store_copy(control, tensor.low_precision, at, p, valid, own.vector);
  }
}

struct AdamNumbers {
  double learning_rate, beta1, beta2;                         // for the corrections
  float to_first, keep_second, to_second, eps, weight_decay;  // 1 - beta1, beta2, 1 - beta2
};
struct AdamTable {
  AdamNumbers groups[kOptimiserGroups];
};

template <class T>
__global__ void __launch_bounds__(kOptimiserThreads)
    adam_kernel(TensorList list, AdamTable table, StepControl control) {
  AIKD_SHARED(float, corrections, 2);
  if (is_skipped(control)) return;
  const TensorChunk chunk = list.chunks[blockIdx.x];
  const TensorSlice tensor = list.tensors[chunk.tensor];
  const OptimiserChunk own = optimiser_chunk(chunk, tensor, sizeof(T), copy_bytes(control));
  const AdamNumbers& group = table.groups[tensor.group];
  if (threadIdx.x == 0) {  // two double powers: once per block, not per thread
    const double t = static_cast<double>(*control.steps) + 1.0;
    corrections[0] = static_cast<float>(group.learning_rate / (1.0 - pow(group.beta1, t)));
    corrections[1] = static_cast<float>(sqrt(1.0 - pow(group.beta2, t)));
  }
  __syncthreads();
  const float step = corrections[0], second_root = corrections[1], clip = clip_factor(control);
  const T* const gradient = static_cast<const T*>(tensor.gradient);
  for (int i = static_cast<int>(threadIdx.x) * 4; i < own.length; i += kOptimiserThreads * 4) {
    const std::int64_t at = own.begin + i;
    const int valid = own.length - i;
    Vec<float, 4> p = load_four(tensor.parameter + at, valid, own.vector);
    const Vec<float, 4> gradients = load_four(gradient + at, valid, own.vector);
    Vec<float, 4> m = load_four(tensor.first + at, valid, own.vector);
    Vec<float, 4> v = load_four(tensor.second + at, valid, own.vector);
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      float g = gradients.v[e] * control.inverse_scale * clip;
      if (group.weight_decay != 0.0F) g = fmaf(group.weight_decay, p.v[e], g);
      m.v[e] = fmaf(group.to_first, g - m.v[e], m.v[e]);
      v.v[e] = fmaf(group.keep_second, v.v[e], group.to_second * g * g);
      p.v[e] -= step * (m.v[e] / (sqrtf(v.v[e]) / second_root + group.eps));
    }
    store_four(tensor.first + at, m, valid, own.vector);
    store_four(tensor.second + at, v, valid, own.vector);
    store_four(tensor.parameter + at, p, valid, own.vector);
    store_copy(control, tensor.low_precision, at, p, valid, own.vector);
  }
}

// After the update, which reads *steps: one warp.
template <class T>
__global__ void count_step_kernel(const std::int32_t* non_finite, T* steps) {
  if (threadIdx.x == 0 && (non_finite == nullptr || *non_finite == 0)) ++*steps;
}

// weight: 1 - decay. kCopy: the average is the parameter.
template <bool kCopy>
__global__ void __launch_bounds__(kOptimiserThreads) ema_kernel(TensorList list, float decay, float weight) {
  const TensorChunk chunk = list.chunks[blockIdx.x];
  const TensorSlice& tensor = list.tensors[chunk.tensor];
  const std::int64_t left = tensor.count - chunk.begin;
  const int length = left < kOptimiserChunk ? static_cast<int>(left) : kOptimiserChunkInt;
  const float* const parameter = tensor.parameter + chunk.begin;
  float* const average = tensor.average + chunk.begin;
  const bool vector = begins_vector(parameter, 4) && begins_vector(average, 4);
  for (int i = static_cast<int>(threadIdx.x) * 4; i < length; i += kOptimiserThreads * 4) {
    const int valid = length - i;
    const Vec<float, 4> p = load_four(parameter + i, valid, vector);
    Vec<float, 4> a = p;
    if constexpr (!kCopy) {
      a = load_four(average + i, valid, vector);
#pragma unroll
      for (int e = 0; e < 4; ++e)
        a.v[e] = weight < 0.5F ? fmaf(weight, p.v[e] - a.v[e], a.v[e]) : fmaf(decay, a.v[e] - p.v[e], p.v[e]);
    }
    store_four(average + i, a, valid, vector);
  }
}

}  // namespace aikd::kernels::cuda
