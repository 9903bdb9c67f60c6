// The vocabulary of device code. A kernel is plain CUDA C++ on top of this header, and a file of kernels and
// launchers
// (*.cu, *.cuh) is compiled twice:
//
//   by nvcc                   for the card: device_cuda.cuh
//   by the host's compiler    for the emulator of tests/simt/, which runs every thread of a block as a fiber
//   and checks
//                             each access to memory: simt/device_emulated.h (on that build's include path)
//
// This is the one place that asks which. Both give: threadIdx and friends, __syncthreads, __syncwarp, the
// __shfl_*_sync family, votes, atomics, the types Half16 and BFloat16 (storage only), 16-byte vector access,
// asynchronous copies to shared memory, tensor-core products, and launch().
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/context.h"
#include "kernels/storage.h"

namespace aikd::kernels::cuda {

// Storage only: arithmetic is done after to_float().
struct Half16 {
  std::uint16_t bits;
};
struct BFloat16 {
  std::uint16_t bits;
};

// Grid, block (threads; a multiple of 32 in all) and dynamic shared memory of one launch.
struct Extent {
  unsigned x = 1, y = 1, z = 1;
};
struct LaunchShape {
  Extent grid, block;
  std::size_t shared_bytes = 0;
};

inline constexpr unsigned kFullWarp = 0xffffffffU;  // all 32 lanes
inline constexpr int kWarpSize = 32;

template <class T>
struct TypeTag {
  using type = T;
};
// Calls body(TypeTag<float | Half16 | BFloat16>{}).
template <class Body>
void with_storage(Storage storage, Body&& body) {
  switch (storage) {
    case Storage::kF32:
      return body(TypeTag<float>{});
    case Storage::kF16:
      return body(TypeTag<Half16>{});
    case Storage::kBF16:
      return body(TypeTag<BFloat16>{});
  }
}

template <class T>
constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}

}  // namespace aikd::kernels::cuda

#if defined(__CUDACC__)
#include "kernels/cuda/device_cuda.cuh"  // IWYU pragma: export
#else
#include "simt/device_emulated.h"  // IWYU pragma: export
#endif

// AIKD_LAUNCH(ctx, shape, kernel, arguments...): the only way a kernel is started. A failure goes to
// ctx.on_error. Write a kernel whose template arguments contain a comma in parentheses.
#define AIKD_LAUNCH(ctx, shape, kernel, ...) \
  ::aikd::kernels::cuda::launch((ctx), #kernel, kernel, (shape)__VA_OPT__(, ) __VA_ARGS__)

namespace aikd::kernels::cuda {

// N elements moved at once: sizeof(T) * N is 4, 8 or 16 bytes and the address a multiple of it.
template <class T, int N>
struct Vec {
  T v[static_cast<std::size_t>(N)];
};

// How many elements of T make the widest (16-byte) access.
template <class T>
inline constexpr int kVecWidth = 16 / static_cast<int>(sizeof(T));

template <class T, int N>
__device__ __forceinline__ Vec<T, N> load_vec(const T* from) {
  Vec<T, N> out;
  load_bytes<static_cast<int>(sizeof(T)) * N>(&out, from);
  return out;
}
template <class T, int N>
__device__ __forceinline__ void store_vec(T* to, const Vec<T, N>& values) {
  store_bytes<static_cast<int>(sizeof(T)) * N>(to, &values);
}

}  // namespace aikd::kernels::cuda
