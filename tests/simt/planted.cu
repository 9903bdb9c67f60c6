#include "simt/planted.h"

#include "kernels/cuda/device.cuh"

namespace aikd::planted {

using namespace kernels::cuda;

namespace {

constexpr LaunchShape kOneBlock{.grid = {1}, .block = {64}};

template <int Fault>
__global__ void reverse_kernel(const float* x, float* y, int n) {
  AIKD_SHARED(float, tile, 64);
  const int t = static_cast<int>(threadIdx.x);
  tile[t] = x[t];
  if constexpr (Fault != 1) __syncthreads();
  const int from = Fault == 2 ? (n - t) % n : Fault == 3 ? n - t : n - 1 - t;
  y[t] = tile[from];
}

template <bool Read>
__global__ void copy_kernel(const float* x, float* y, int n) {
  const int t = static_cast<int>(threadIdx.x);
  if (Read ? t <= n : t < n) y[Read ? 0 : t + 1] = x[t];
}

template <bool Returns>
__global__ void divergent_kernel(float* y) {
  const int t = static_cast<int>(threadIdx.x);
  if (Returns) {
    if (t >= 32) return;
    __syncthreads();
  } else if (t < 32) {
    __syncthreads();
  } else {
    if (t == 40) y[1] = 1;
    __syncthreads();
  }
  if (t == 0) y[0] = 1;
}

__global__ void divergent_shuffle_kernel(float* y) {
  const int t = static_cast<int>(threadIdx.x);
  float v = static_cast<float>(t);
  if (t % 2 == 0) v = __shfl_xor_sync(kFullWarp, v, 1);
  if (t == 0) y[0] = v;
}

template <bool Atomic>
__global__ void blocks_kernel(float* y) {
  if (threadIdx.x != 0) return;
  if (Atomic) {
    atomicAdd(y, 1.0F);
  } else {
    y[0] = static_cast<float>(blockIdx.x);
  }
}

template <bool Sync>
__global__ void warp_exchange_kernel(float* y) {
  AIKD_SHARED(float, tile, 64);
  const int t = static_cast<int>(threadIdx.x);
  tile[t] = static_cast<float>(t);
  if constexpr (Sync) __syncwarp();
  y[t] = tile[t ^ 1];
}

__global__ void never_written_kernel(float* y) {
  AIKD_SHARED(float, tile, 64);
  const int t = static_cast<int>(threadIdx.x);
  if (t < 63) tile[t] = 1;
  __syncthreads();
  y[t] = tile[t];
}

__global__ void misaligned_kernel(const float* x, float* y) {
  if (threadIdx.x == 0) store_vec(y, load_vec<float, 4>(x + 1));
}

__global__ void host_pointer_kernel(const float* x, float* y) {
  if (threadIdx.x == 0) y[0] = x[0];
}

template <bool Waits>
__global__ void async_kernel(const float* x, float* y) {
  AIKD_DYNAMIC_SHARED(float, tile);
  const int t = static_cast<int>(threadIdx.x);
  if (t < 16) cp_async_16(tile + 4 * t, x + 4 * t, true);
  cp_async_commit();
  if constexpr (Waits) cp_async_wait<0>();
  __syncthreads();
  y[t] = tile[t];
}

__global__ void write_after_read_kernel(float* y) {
  AIKD_SHARED(float, tile, 64);
  const int t = static_cast<int>(threadIdx.x);
  tile[t] = 1;
  __syncthreads();
  const float v = tile[(t + 1) % 64];
  tile[t] = v + 1;
  y[t] = v;
}

__global__ void warp_sum_kernel(const float* x, float* y) {
  const int t = static_cast<int>(threadIdx.x), lane = t % kWarpSize;
  float sum = x[t];
  for (int step = 16; step > 0; step /= 2) sum += __shfl_down_sync(kFullWarp, sum, step);
  const unsigned odd = __ballot_sync(kFullWarp, lane % 2 == 1);
  float pair = x[t];
  if (lane < 8) pair += __shfl_xor_sync(0xffU, pair, 1);
  sum = __shfl_sync(kFullWarp, sum, 0);
  y[t] = sum + (odd == 0xaaaaaaaaU ? 0.0F : 1.0F) + (lane < 8 ? pair : 0.0F);
}

}  // namespace

void reverse(const Context& ctx, const float* x, float* y, int n) {
  AIKD_LAUNCH(ctx, kOneBlock, reverse_kernel<0>, x, y, n);
}
void reverse_missing_barrier(const Context& ctx, const float* x, float* y, int n) {
  AIKD_LAUNCH(ctx, kOneBlock, reverse_kernel<1>, x, y, n);
}
void reverse_wrong_index(const Context& ctx, const float* x, float* y, int n) {
  AIKD_LAUNCH(ctx, kOneBlock, reverse_kernel<2>, x, y, n);
}
void reverse_beyond_shared(const Context& ctx, const float* x, float* y, int n) {
  AIKD_LAUNCH(ctx, kOneBlock, reverse_kernel<3>, x, y, n);
}
void copy_out_of_bounds(const Context& ctx, const float* x, float* y, int n) {
  AIKD_LAUNCH(ctx, kOneBlock, copy_kernel<false>, x, y, n);
}
void copy_reads_out_of_bounds(const Context& ctx, const float* x, float* y, int n) {
  AIKD_LAUNCH(ctx, (LaunchShape{.grid = {1}, .block = {96}}), copy_kernel<true>, x, y, n);
}
void divergent_barrier(const Context& ctx, float* y) {
  AIKD_LAUNCH(ctx, kOneBlock, divergent_kernel<false>, y);
}
void barrier_after_return(const Context& ctx, float* y) {
  AIKD_LAUNCH(ctx, kOneBlock, divergent_kernel<true>, y);
}
void divergent_shuffle(const Context& ctx, float* y) {
  AIKD_LAUNCH(ctx, kOneBlock, divergent_shuffle_kernel, y);
}
void blocks_race(const Context& ctx, float* y) {
  AIKD_LAUNCH(ctx, (LaunchShape{.grid = {3}, .block = {32}}), blocks_kernel<false>, y);
}
void blocks_add(const Context& ctx, float* y) {
  AIKD_LAUNCH(ctx, (LaunchShape{.grid = {3}, .block = {32}}), blocks_kernel<true>, y);
}
void warp_exchange(const Context& ctx, float* y, bool with_syncwarp) {
  if (with_syncwarp) {
    AIKD_LAUNCH(ctx, kOneBlock, warp_exchange_kernel<true>, y);
  } else {
    AIKD_LAUNCH(ctx, kOneBlock, warp_exchange_kernel<false>, y);
  }
}
void shared_never_written(const Context& ctx, float* y) {
  AIKD_LAUNCH(ctx, kOneBlock, never_written_kernel, y);
}
void misaligned_vector(const Context& ctx, const float* x, float* y) {
  AIKD_LAUNCH(ctx, kOneBlock, misaligned_kernel, x, y);
}
void host_pointer(const Context& ctx, const float* x, float* y) {
  AIKD_LAUNCH(ctx, kOneBlock, host_pointer_kernel, x, y);
}
void forgets_to_wait(const Context& ctx, const float* x, float* y, bool waits) {
  constexpr LaunchShape kShape{.grid = {1}, .block = {64}, .shared_bytes = 64 * sizeof(float)};
  if (waits) {
    AIKD_LAUNCH(ctx, kShape, async_kernel<true>, x, y);
  } else {
    AIKD_LAUNCH(ctx, kShape, async_kernel<false>, x, y);
  }
}
void too_much_shared(const Context& ctx, float* y) {
  AIKD_LAUNCH(ctx, (LaunchShape{.grid = {1}, .block = {64}, .shared_bytes = std::size_t{300} << 10}),
              never_written_kernel, y);
}
void odd_block(const Context& ctx, float* y) {
  AIKD_LAUNCH(ctx, (LaunchShape{.grid = {1}, .block = {63}}), never_written_kernel, y);
}
void reads_after_others_write(const Context& ctx, float* y) {
  AIKD_LAUNCH(ctx, kOneBlock, write_after_read_kernel, y);
}
void warp_sum(const Context& ctx, const float* x, float* y) {
  AIKD_LAUNCH(ctx, kOneBlock, warp_sum_kernel, x, y);
}

}  // namespace aikd::planted
