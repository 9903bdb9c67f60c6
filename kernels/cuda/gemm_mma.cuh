// The inner block of a matrix product on tensor cores (mma.sync), from two operands in shared memory.
//
// Both operands lie as rows of 64 bytes: 32 elements of 16 bits or 16 of fp32 of the reduction. A thread's
// fragments of two successive products (device_cuda.cuh) want 2 x 2 words of each row; which elements of the
// reduction those are is free as long as both operands agree, so lane t of four takes the 16 bytes t of the
// row: one 16-byte load per row and no rearrangement. Eight lanes that are served together read 128 bytes in
// a row: no bank is asked twice, without padding. The order of a sum is then: within 64 bytes, first elements
// {8t..8t+3}, then {8t+4..8t+7} (16 bits), of all t at once.
//
// Rows r and r+1 of odd groups of eight are swapped (physical_row): the filter gradient, which transposes
// while it stores, then meets no bank conflict either.
//
// Shared memory bounds the rate: a warp tile of M x N reads (M + N) 64 bytes for M N 32 multiply-adds; 64 x
// 64: 8 KiB or 64 clocks of the 128 bytes per clock of a multiprocessor for 64 products of 16x8x16.
#pragma once

#include "kernels/cuda/device.cuh"

namespace aikd::kernels::cuda {

inline constexpr int kRowWords = 16;  // 64 bytes
inline constexpr int kRowChunks = 4;  // of 16 bytes

__device__ __forceinline__ int physical_row(int row) {
  return row ^ (row >> 3 & 1);
}

// A block of kWarpsM x kWarpsN warps, each of kTilesM x kTilesN products of 16 x 8.
template <int kWarpsM, int kWarpsN, int kTilesM, int kTilesN, int kStagesOfPipeline>
struct MmaTile {
  static_assert(kTilesN % 2 == 0);
  static constexpr int kAcross = kWarpsN;
  static constexpr int kDown = kWarpsM;
  static constexpr int kM = kTilesM, kN = kTilesN;
  static constexpr int kStages = kStagesOfPipeline;
  static constexpr int kWarpRows = kTilesM * 16, kWarpColumns = kTilesN * 8;
  static constexpr int kRows = kWarpsM * kWarpRows, kColumns = kWarpsN * kWarpColumns;
  static constexpr int kThreads = 32 * kWarpsM * kWarpsN;
  static constexpr int kStageWords = (kRows + kColumns) * kRowWords;
  // Results on their way out, one row of warps at a time. Rows 8 banks apart: pairs of columns of four rows
  // are stored together, to 32 different banks.
  static constexpr int kResultStride = kColumns + 8;
  static constexpr int kSharedWords =
      kStages * kStageWords > kWarpRows* kResultStride ? kStages* kStageWords : kWarpRows* kResultStride;
  static constexpr std::size_t kSharedBytes = static_cast<std::size_t>(kSharedWords) * 4;
};

template <class Tile>
struct MmaSums {
  float v[Tile::kM][Tile::kN][4];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < Tile::kM; ++i)
#pragma unroll
      for (int j = 0; j < Tile::kN; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) v[i][j][e] = 0.0F;
  }
  __device__ __forceinline__ void add(const MmaSums& other) {
#pragma unroll
    for (int i = 0; i < Tile::kM; ++i)
#pragma unroll
      for (int j = 0; j < Tile::kN; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) v[i][j][e] += other.v[i][j][e];
  }
};

template <class T>
__device__ __forceinline__ Vec<unsigned, 4> operand_words(const unsigned* from) {
  Vec<unsigned, 4> words = load_vec<unsigned, 4>(from);
  if constexpr (sizeof(T) == 4) {
#pragma unroll
    for (int i = 0; i < 4; ++i) words.v[i] = to_tf32(__uint_as_float(words.v[i]));
  }
  return words;
}

// sums += A B^T for the calling warp. `stage`: A's rows, then B's.
template <class T, class Tile>
__device__ __forceinline__ void multiply_stage(MmaSums<Tile>& sums, const unsigned* stage, int warp_row,
                                               int warp_column, int lane) {
  const int g = lane / 4, t = lane % 4;
  const int even = g * kRowWords + 4 * t, odd = (g ^ 1) * kRowWords + 4 * t;  // in groups of eight rows
  const unsigned* const a = stage + warp_row * kRowWords;
  const unsigned* const b = stage + (Tile::kRows + warp_column) * kRowWords;
  Vec<unsigned, 4> upper[Tile::kM], lower[Tile::kM];
#pragma unroll
  for (int i = 0; i < Tile::kM; ++i) {
    upper[i] = operand_words<T>(a + i * 16 * kRowWords + even);
    lower[i] = operand_words<T>(a + i * 16 * kRowWords + 8 * kRowWords + odd);
  }
#pragma unroll
  for (int j = 0; j < Tile::kN; ++j) {
    const Vec<unsigned, 4> words = operand_words<T>(b + j * 8 * kRowWords + (j % 2 == 0 ? even : odd));
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const unsigned right[2] = {words.v[2 * half], words.v[2 * half + 1]};
#pragma unroll
      for (int i = 0; i < Tile::kM; ++i) {
        const unsigned left[4] = {upper[i].v[2 * half], lower[i].v[2 * half], upper[i].v[2 * half + 1],
                                  lower[i].v[2 * half + 1]};
        if constexpr (sizeof(T) == 2) {
          mma_m16n8k16<T>(sums.v[i][j], left, right);
        } else {
          mma_m16n8k8_tf32(sums.v[i][j], left, right);
        }
      }
    }
  }
}

// Hands the sums over by rows: store(row, column, values) gets kWidth (a multiple of 4) neighbouring columns,
// always the same columns in one thread. Rows and columns count within the tile. `shared` is free once all
// threads are here.
template <class Tile, int kWidth, class Store>
__device__ __forceinline__ void hand_out(const MmaSums<Tile>& sums, float* shared, int thread,
                                         const Store& store) {
  constexpr int kVectors = Tile::kColumns / kWidth, kRowsAtOnce = Tile::kThreads / kVectors;
  static_assert(Tile::kThreads % kVectors == 0 && Tile::kWarpRows % kRowsAtOnce == 0);
  const int warp = thread / 32, lane = thread % 32, g = lane / 4, t = lane % 4;
  const int column = thread % kVectors * kWidth;
#pragma unroll 1
  for (int pass = 0; pass < Tile::kDown; ++pass) {
    __syncthreads();
    if (warp / Tile::kAcross == pass) {
      float* const to = shared + g * Tile::kResultStride + warp % Tile::kAcross * Tile::kWarpColumns + 2 * t;
#pragma unroll
      for (int i = 0; i < Tile::kM; ++i)
#pragma unroll
        for (int j = 0; j < Tile::kN; ++j)
#pragma unroll
          for (int half = 0; half < 2; ++half) {
            const Vec<float, 2> pair{{sums.v[i][j][2 * half], sums.v[i][j][2 * half + 1]}};
            store_vec<float, 2>(to + (i * 16 + half * 8) * Tile::kResultStride + j * 8, pair);
          }
    }
    __syncthreads();
#pragma unroll 1
    for (int row = thread / kVectors; row < Tile::kWarpRows; row += kRowsAtOnce) {
      Vec<float, kWidth> values;
#pragma unroll
      for (int i = 0; i < kWidth; i += 4) {
        const Vec<float, 4> four = load_vec<float, 4>(shared + row * Tile::kResultStride + column + i);
#pragma unroll
        for (int e = 0; e < 4; ++e) values.v[i + e] = four.v[e];
      }
      store(pass * Tile::kWarpRows + row, values);
    }
  }
}

}  // namespace aikd::kernels::cuda
