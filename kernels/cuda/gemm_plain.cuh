// The inner block of a matrix product in fp32 multiply-adds, from two operands in shared memory, both with
// the reduction as rows: a[depth][16 kM], b[depth][16 kN]. 256 threads as 16 x 16, each with kM x kN sums in
// registers; every sum is one chain of fmaf in the order of the reduction.
//
// A thread's 8 rows are 4 + 4, 64 apart (columns as well): the 16-byte loads of neighbouring threads then lie
// side by side. 8 x 8 sums: 4 loads of 16 bytes for 64 multiply-adds; the multiply-adds bound it.
#pragma once

#include "kernels/cuda/device.cuh"

namespace aikd::kernels::cuda {

inline constexpr int kPlainThreads = 256;

template <int kMPerThread, int kNPerThread>
struct PlainTile {
  static constexpr int kM = kMPerThread, kN = kNPerThread;
  static constexpr int kRows = 16 * kM, kColumns = 16 * kN;
  static constexpr int kDepth = kN == 8 ? 8 : 16;  // of one stage: kColumns kDepth = 4 elements per thread
  static constexpr int kStrideA = kRows + 4, kStrideB = kColumns + 4;
  static constexpr int kStageFloats = kDepth * (kStrideA + kStrideB);
};

// Which row (column) of the tile the thread's i-th sum belongs to; `place` is the thread's in [0, 16).
template <int kPerThread>
__device__ __forceinline__ int tile_index(int place, int i) {
  if constexpr (kPerThread == 1) {
    return place;
  } else {
    return i / 4 * 64 + place * 4 + i % 4;
  }
}

// Blocks that share a multiprocessor: two where 128 registers per thread are enough.
template <class T, class Tile>
inline constexpr int kPlainBlocks = Tile::kN == 4 || sizeof(T) == 4 ? 2 : 1;

template <class Tile>
struct PlainSums {
  float v[Tile::kM][Tile::kN];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < Tile::kM; ++i)
#pragma unroll
      for (int j = 0; j < Tile::kN; ++j) v[i][j] = 0.0F;
  }
  __device__ __forceinline__ void add(const PlainSums& other) {
#pragma unroll
    for (int i = 0; i < Tile::kM; ++i)
#pragma unroll
      for (int j = 0; j < Tile::kN; ++j) v[i][j] += other.v[i][j];
  }
};

template <int kPerThread>
__device__ __forceinline__ void load_operand(Vec<float, kPerThread>& values, const float* row, int place) {
  if constexpr (kPerThread == 1) {
    values.v[0] = row[place];
  } else {
#pragma unroll
    for (int i = 0; i < kPerThread; i += 4) {
      const Vec<float, 4> four = load_vec<float, 4>(row + i / 4 * 64 + place * 4);
#pragma unroll
      for (int e = 0; e < 4; ++e) values.v[i + e] = four.v[e];
    }
  }
}

template <class Tile>
__device__ __forceinline__ void multiply_stage(PlainSums<Tile>& sums, const float* a, const float* b,
                                               int thread) {
#pragma unroll
  for (int d = 0; d < Tile::kDepth; ++d) {
    Vec<float, Tile::kM> left;
    Vec<float, Tile::kN> right;
    load_operand(left, a + d * Tile::kStrideA, thread / 16);
    load_operand(right, b + d * Tile::kStrideB, thread % 16);
#pragma unroll
    for (int i = 0; i < Tile::kM; ++i)
#pragma unroll
      for (int j = 0; j < Tile::kN; ++j) sums.v[i][j] = fmaf(left.v[i], right.v[j], sums.v[i][j]);
  }
}

// Runs through all stages with two of them in `shared` (2 kStageFloats): load() reads the next one into the
// thread's registers while this one is multiplied, store(stage) puts it into shared memory, after(step)
// follows each stage.
template <class Tile, class Load, class Store, class After>
__device__ __forceinline__ void multiply_stages(PlainSums<Tile>& sums, float* shared, int steps, int thread,
                                                const Load& load, const Store& store, const After& after) {
  if (steps > 0) {
    load();
    store(shared);
  }
  __syncthreads();
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    const float* const stage = shared + step % 2 * Tile::kStageFloats;
    if (step + 1 < steps) load();
    multiply_stage(sums, stage, stage + Tile::kDepth * Tile::kStrideA, thread);
    if (step + 1 < steps) store(shared + (step + 1) % 2 * Tile::kStageFloats);
    __syncthreads();
    after(step);
  }
}

// Hands the sums over by rows: store(row, group, values) gets four neighbouring columns, which begin at
// tile_index<kN>(thread % 16, 4 group).
template <class Tile, class Store>
__device__ __forceinline__ void hand_out(const PlainSums<Tile>& sums, int thread, const Store& store) {
#pragma unroll
  for (int i = 0; i < Tile::kM; ++i)
#pragma unroll
    for (int group = 0; group < Tile::kN / 4; ++group) {
      Vec<float, 4> values;
#pragma unroll
      for (int e = 0; e < 4; ++e) values.v[e] = sums.v[i][4 * group + e];
      store(tile_index<Tile::kM>(thread / 16, i), group, values);
    }
}

}  // namespace aikd::kernels::cuda
