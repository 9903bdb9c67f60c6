// kernels/cuda/device.cuh for the host: CUDA's words, in terms of the emulator (simt.h). Included by
// device.cuh only.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <tuple>

#include "kernels/cuda/device.cuh"
#include "simt/simt.h"

// The words of the language.
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define threadIdx (::aikd::simt::thread_index())
#define blockIdx (::aikd::simt::block_index())
#define blockDim (::aikd::simt::block_extent())
#define gridDim (::aikd::simt::grid_extent())

#define AIKD_SHARED(type, name, count) \
  type* const name =                   \
      static_cast<type*>(::aikd::simt::shared_array(sizeof(type) * static_cast<std::size_t>(count)))
#define AIKD_DYNAMIC_SHARED(type, name) type* const name = static_cast<type*>(::aikd::simt::dynamic_shared())

// Barriers and warp-wide operations know where they stand, so that divergence can be told.
#define AIKD_SIMT_PLACE(what) \
  ::aikd::simt::Place {       \
    __FILE__, __LINE__, what  \
  }
#define __syncthreads() ::aikd::simt::barrier(AIKD_SIMT_PLACE("__syncthreads"))
#define __syncthreads_count(p) ::aikd::simt::barrier_count((p) != 0, AIKD_SIMT_PLACE("__syncthreads_count"))
#define __syncthreads_or(p) (::aikd::simt::barrier_count((p) != 0, AIKD_SIMT_PLACE("__syncthreads_or")) > 0)
#define AIKD_SIMT_FIRST(first, ...) first
#define __syncwarp(...)                                                                   \
  ::aikd::simt::meet(AIKD_SIMT_FIRST(__VA_ARGS__ __VA_OPT__(, ) 0xffffffffU), nullptr, 0, \
                     AIKD_SIMT_PLACE("__syncwarp"))
#define __shfl_sync(mask, value, source) \
  ::aikd::simt::shuffle(mask, value, static_cast<unsigned>(source) & 31U, AIKD_SIMT_PLACE("__shfl_sync"))
#define __shfl_xor_sync(mask, value, bits)                                               \
  ::aikd::simt::shuffle(mask, value, ::aikd::simt::lane() ^ static_cast<unsigned>(bits), \
                        AIKD_SIMT_PLACE("__shfl_xor_sync"))
#define __shfl_down_sync(mask, value, delta)                                              \
  ::aikd::simt::shuffle(mask, value, ::aikd::simt::lane() + static_cast<unsigned>(delta), \
                        AIKD_SIMT_PLACE("__shfl_down_sync"))
#define __shfl_up_sync(mask, value, delta)                                                \
  ::aikd::simt::shuffle(mask, value, ::aikd::simt::lane() - static_cast<unsigned>(delta), \
                        AIKD_SIMT_PLACE("__shfl_up_sync"))
#define __ballot_sync(mask, p) ::aikd::simt::ballot(mask, (p) != 0, AIKD_SIMT_PLACE("__ballot_sync"))
#define __any_sync(mask, p) (::aikd::simt::ballot(mask, (p) != 0, AIKD_SIMT_PLACE("__any_sync")) != 0)
#define __all_sync(mask, p) (::aikd::simt::ballot(mask, (p) != 0, AIKD_SIMT_PLACE("__all_sync")) == (mask))

namespace aikd::simt {

// This header is compiled into instrumented files: what it touches on the emulator's behalf goes through this
// function, which is not (simt_access.cpp).
void raw_copy(void* to, const void* from, std::size_t bytes) noexcept;

// A source lane outside the warp gives the caller's own value, as on the card.
template <class T>
T shuffle(unsigned mask, T value, unsigned source, const Place& place) {
  const auto slots = meet(mask, &value, sizeof(T), place);
  if (source < 32U && (mask >> source & 1U) == 0)
    violate(std::string(place.what) + " reads lane " + std::to_string(source) + ", which is not in its mask");
  T out = value;
  if (source < 32U) raw_copy(&out, slots[source], sizeof(T));
  return out;
}
inline unsigned ballot(unsigned mask, bool predicate, const Place& place) {
  const unsigned char own = predicate ? 1 : 0;
  const auto slots = meet(mask, &own, 1, place);
  unsigned bits = 0;
  for (unsigned l = 0; l < 32; ++l) {
    unsigned char other = 0;
    raw_copy(&other, slots[l], 1);
    if ((mask >> l & 1U) != 0 && other != 0) bits |= 1U << l;
  }
  return bits;
}
template <class T, class F>
T atomic_update(T* address, F&& f) {
  check_access(address, sizeof(T), Access::kAtomic, sizeof(T));
  T old;
  raw_copy(&old, address, sizeof(T));
  const T next = f(old);
  raw_copy(address, &next, sizeof(T));
  return old;
}

}  // namespace aikd::simt

// Atomics: one thread runs at a time, so a plain update is atomic; the shadow knows that it was meant so.
template <class T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  return ::aikd::simt::atomic_update(address, [&](T old) { return static_cast<T>(old + value); });
}
template <class T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return ::aikd::simt::atomic_update(address, [&](T old) { return old < value ? value : old; });
}
template <class T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  return ::aikd::simt::atomic_update(address, [&](T old) { return old | value; });
}
template <class T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return ::aikd::simt::atomic_update(address, [&](T) { return value; });
}
template <class T>
T atomicCAS(T* address, std::type_identity_t<T> compare, std::type_identity_t<T> value) {
  return ::aikd::simt::atomic_update(address, [&](T old) { return old == compare ? value : old; });
}

// Intrinsics that have a rounding or a bit pattern of their own.
inline int __float2int_rn(float x) {
  return static_cast<int>(std::nearbyint(x));
}
inline int __double2int_rn(double x) {  // saturates, NaN gives 0 (PTX cvt.rni.s32.f64)
  if (std::isnan(x)) return 0;
  if (x >= 2147483647.0) return 2147483647;
  if (x <= -2147483648.0) return -2147483647 - 1;
  return static_cast<int>(std::nearbyint(x));
}
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __fdiv_rn(float a, float b) {
  return a / b;
}
inline float __fsqrt_rn(float a) {
  return std::sqrt(a);
}
inline float __fmaf_rn(float a, float b, float c) {
  return std::fma(a, b, c);
}
inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline int __ffs(int x) {
  return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1;
}
inline void __threadfence() {}

namespace aikd::kernels::cuda {

inline float to_float(float x) {
  return x;
}
inline float to_float(BFloat16 x) {
  return std::bit_cast<float>(static_cast<unsigned>(x.bits) << 16);
}
float to_float(Half16 x);  // simt.cpp
BFloat16 to_bfloat16_bits(float x);
Half16 to_half_bits(float x);
// Inlined always, and given back by its bits: a structure that a call returns straight into memory is a store
// which the instrumentation does not see.
template <class T>
[[gnu::always_inline]] inline T from_float(float x) {
  if constexpr (std::is_same_v<T, Half16>) {
    const std::uint16_t bits = to_half_bits(x).bits;
    return {bits};
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    const std::uint16_t bits = to_bfloat16_bits(x).bits;
    return {bits};
  } else {
    return x;
  }
}

template <int Bytes>
void load_bytes(void* registers, const void* from) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
  simt::check_access(from, Bytes, simt::Access::kRead, Bytes);
  simt::raw_copy(registers, from, Bytes);
}
template <int Bytes>
void store_bytes(void* to, const void* registers) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
  simt::check_access(to, Bytes, simt::Access::kWrite, Bytes);
  simt::raw_copy(to, registers, Bytes);
}

inline void cp_async_16(void* shared, const void* global, bool valid) {
  simt::async_copy_16(shared, global, valid);
}
inline void cp_async_commit() {
  simt::async_commit();
}
template <int Pending>
void cp_async_wait() {
  simt::async_wait(Pending);
}

// The fragments of device_cuda.cuh, put together to matrices and multiplied; products are exact in fp32
// (16-bit and TF32 inputs), sums are rounded to fp32 once per product in the order of k. The card's order is
// its own.
void mma_16816(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], bool half,
               const simt::Place& place);
void mma_1688_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], const simt::Place& place);
unsigned to_tf32(float x);  // rounds the mantissa to 10 bits, half away from zero

template <class T>
void mma_m16n8k16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  static_assert(sizeof(T) == 2);
  mma_16816(d, a, b, std::is_same_v<T, Half16>, AIKD_SIMT_PLACE("mma_m16n8k16"));
}
inline void mma_m16n8k8_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  mma_1688_tf32(d, a, b, AIKD_SIMT_PLACE("mma_m16n8k8_tf32"));
}
// The emulator has what sm_80 has, unless a test takes it away (to run the plain path).
inline bool emulate_tensor_cores = true;
inline bool has_tensor_cores(Storage) {
  return emulate_tensor_cores;
}

template <class... P>
void launch(const Context&, const char* name, void (*kernel)(P...), const LaunchShape& shape,
            std::type_identity_t<P>... arguments) {
  struct Call {
    void (*kernel)(P...);
    std::tuple<P...> arguments;
  } call{kernel, {arguments...}};
  simt::run({.name = name,
             .grid = {shape.grid.x, shape.grid.y, shape.grid.z},
             .block = {shape.block.x, shape.block.y, shape.block.z},
             .shared_bytes = shape.shared_bytes,
             .body =
                 [](void* argument) {
                   auto& c = *static_cast<Call*>(argument);
                   std::apply(c.kernel, c.arguments);
                 },
             .argument = &call});
}

}  // namespace aikd::kernels::cuda
