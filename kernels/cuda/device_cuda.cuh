// device.cuh for nvcc: CUDA itself, and thin names for what CUDA spells in PTX.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>

#include "kernels/cuda/device.cuh"

// Shared memory as a pointer to `count` elements: static, or the launch's dynamic bytes (16-byte aligned).
#define AIKD_SHARED(type, name, count)            \
  __shared__ __align__(16) type name##_[(count)]; \
  type* const name = name##_
#define AIKD_DYNAMIC_SHARED(type, name)                                 \
  extern __shared__ __align__(16) unsigned char aikd_dynamic_shared_[]; \
  type* const name = reinterpret_cast<type*>(aikd_dynamic_shared_)

namespace aikd::kernels::cuda {

__device__ __forceinline__ float to_float(float x) {
  return x;
}
__device__ __forceinline__ float to_float(Half16 x) {
  return __half2float(__ushort_as_half(x.bits));
}
__device__ __forceinline__ float to_float(BFloat16 x) {
  return __uint_as_float(static_cast<unsigned>(x.bits) << 16);
}
template <class T>
__device__ __forceinline__ T from_float(float x) {
  if constexpr (std::is_same_v<T, Half16>) {
    return Half16{__half_as_ushort(__float2half_rn(x))};
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    return BFloat16{__bfloat16_as_ushort(__float2bfloat16_rn(x))};
  } else {
    return x;
  }
}

// Moves Bytes (4, 8 or 16) in one instruction; `from` (load) and `to` (store) are memory, aligned to Bytes.
template <int Bytes>
struct WordOf;
template <>
struct WordOf<4> {
  using type = unsigned;
};
template <>
struct WordOf<8> {
  using type = uint2;
};
template <>
struct WordOf<16> {
  using type = uint4;
};
template <int Bytes>
__device__ __forceinline__ void load_bytes(void* registers, const void* from) {
  const typename WordOf<Bytes>::type word = *static_cast<const typename WordOf<Bytes>::type*>(from);
  memcpy(registers, &word, Bytes);
}
template <int Bytes>
__device__ __forceinline__ void store_bytes(void* to, const void* registers) {
  typename WordOf<Bytes>::type word;
  memcpy(&word, registers, Bytes);
  *static_cast<typename WordOf<Bytes>::type*>(to) = word;
}

// Asynchronous copy of 16 bytes from global to shared memory; zeros when not `valid` (nothing is read then).
// What was issued since the last commit is a group; cp_async_wait<N>() waits until at most N groups are under
// way. The thread's own copies are then visible to it, to the others after a barrier. Before sm_80 the copy
// is done at once.
__device__ __forceinline__ void cp_async_16(void* shared, const void* global, bool valid) {
#if __CUDA_ARCH__ >= 800
  const unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(to), "l"(global), "r"(bytes)
               : "memory");
#else
  *static_cast<uint4*>(shared) = valid ? *static_cast<const uint4*>(global) : make_uint4(0, 0, 0, 0);
#endif
}
__device__ __forceinline__ void cp_async_commit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}
template <int Pending>
__device__ __forceinline__ void cp_async_wait() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;\n" ::"n"(Pending) : "memory");
#endif
}

// Tensor-core products of one warp, d += a b with fp32 accumulation (PTX ISA, "Matrix Fragments for mma"):
// with g = lane / 4, t = lane % 4,
//   d[0..1] = D[g][2t, 2t+1]        d[2..3] = D[g+8][2t, 2t+1]
// 16-bit, m16n8k16:
//   a[0] = A[g][2t, 2t+1]   a[1] = A[g+8][2t, 2t+1]   a[2] = A[g][2t+8, 2t+9]   a[3] = A[g+8][2t+8, 2t+9]
//   b[0] = B[2t, 2t+1][g]   b[1] = B[2t+8, 2t+9][g]          (the lower index in the lower half of the word)
// TF32, m16n8k8: a[0] = A[g][t]  a[1] = A[g+8][t]  a[2] = A[g][t+4]  a[3] = A[g+8][t+4]; b[0] = B[t][g]  b[1]
// = B[t+4][g] as fp32 bits (the hardware ignores the 13 lowest of the mantissa; round with to_tf32() first).
// fp16 runs from sm_75 (there as two m16n8k8), bf16 and TF32 from sm_80: launchers ask has_tensor_cores().
template <class T>
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  static_assert(sizeof(T) == 2);
#if __CUDA_ARCH__ >= 800
  if constexpr (std::is_same_v<T, Half16>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
#elif __CUDA_ARCH__ >= 750
  if constexpr (std::is_same_v<T, Half16>) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(b[0]));
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[2]), "r"(a[3]), "r"(b[1]));
  } else {
    __trap();
  }
#endif
}
__device__ __forceinline__ unsigned to_tf32(float x) {
#if __CUDA_ARCH__ >= 800
  unsigned bits;
  asm("cvt.rna.tf32.f32 %0, %1;\n" : "=r"(bits) : "f"(x));
  return bits;
#else
  return __float_as_uint(x);
#endif
}
__device__ __forceinline__ void mma_m16n8k8_tf32(float (&d)[4], const unsigned (&a)[4],
                                                 const unsigned (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  __trap();
#endif
}

// Of the current device: whether mma_m16n8k16<T> (Storage::kF32: mma_m16n8k8_tf32) is there.
inline bool has_tensor_cores(Storage storage) {
  int device = 0, major = 0, minor = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) != cudaSuccess)
    return false;
  return major >= 8 || (storage == Storage::kF16 && major == 7 && minor >= 5);
}

inline void report(const Context& ctx, const char* name, const char* reason) {
  if (ctx.on_error != nullptr) return ctx.on_error(name, reason);
  std::fprintf(stderr, "The kernel %s failed: %s.\n", name, reason);
  std::abort();
}

template <class... P>
void launch(const Context& ctx, const char* name, void (*kernel)(P...), const LaunchShape& shape,
            std::type_identity_t<P>... arguments) {
  constexpr std::size_t kWithoutAsking = 48 * 1024;  // more dynamic shared memory must be allowed per kernel
  const void* const function = reinterpret_cast<const void*>(kernel);
  cudaError_t status = cudaSuccess;
  if (shape.shared_bytes > kWithoutAsking)
    status = cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(shape.shared_bytes));
  if (status == cudaSuccess) {
    void* pointers[] = {const_cast<void*>(static_cast<const void*>(&arguments))..., nullptr};
    status = cudaLaunchKernel(function, dim3(shape.grid.x, shape.grid.y, shape.grid.z),
                              dim3(shape.block.x, shape.block.y, shape.block.z), pointers, shape.shared_bytes,
                              static_cast<cudaStream_t>(ctx.stream));
  }
  if (status != cudaSuccess) report(ctx, name, cudaGetErrorString(status));
}

}  // namespace aikd::kernels::cuda
