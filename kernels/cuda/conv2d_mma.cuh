// Implicit GEMM on tensor cores (implicit_gemm.cuh, gemm_mma.cuh): convolution, gradient of its input,
// linear.
//
// Each stage of the pipeline brings 64 bytes of the reduction for kRows pixels and kColumns filters: 16-byte
// asynchronous copies, which lie within one tap because channels are a multiple of 16 bytes. kStages - 1
// stages are under way while one is multiplied; one barrier per stage. Patches outside the image arrive as
// zeros.
//
// Launch: kThreads threads; grid as block_work() says.
//
// Floor, 256 -> 256 channels, 3x3, 14x14, fp16, per image: 116 M multiply-adds = 0.231 GFLOP; at the 989
// TFLOP/s that an H100 SXM states for dense fp16, 0.23 us. Bytes: x and y 100 KB each, the filters 1.2 MB
// once per batch: 0.06 us at 3.35 TB/s for a large batch, so arithmetic bounds it. mma.sync is said to reach
// about 60 % of the rate on Hopper, whose full rate needs wgmma; shared memory (gemm_mma.cuh) allows about as
// much with 64 x 64 per warp. Unmeasured.
#pragma once

#include "kernels/cuda/gemm_mma.cuh"
#include "kernels/cuda/implicit_gemm.cuh"

namespace aikd::kernels::cuda {

// The part of one thread in bringing stages: column of 16 bytes `thread % 4`, every (kThreads / 4)-th row.
template <class T, class Tile>
struct StageLoader {
  static constexpr int kRowsAtOnce = Tile::kThreads / kRowChunks;
  static constexpr int kPatches = Tile::kRows / kRowsAtOnce, kFilters = Tile::kColumns / kRowsAtOnce;
  static_assert(Tile::kRows % kRowsAtOnce == 0 && Tile::kColumns % kRowsAtOnce == 0);
  static constexpr int kDepth = kRowChunks * kVecWidth<T>;  // elements of the reduction per stage

  Vec<PatchRow, kPatches> patches;
  TapWalker walker;
  const T* source;
  const T* filter;
  std::int64_t filter_row;  // elements from one filter to the next
  int filters_left;         // from the thread's first filter on
  int row, chunk;

  __device__ __forceinline__ void start(const ImplicitGemm& g, const GemmPointers& from,
                                        const BlockWork& work, int thread) {
    row = thread / kRowChunks;
    chunk = thread % kRowChunks;
    source = static_cast<const T*>(from.source);
#pragma unroll
    for (int i = 0; i < kPatches; ++i)
      patches.v[i] = patch_row(g, work.cls, work.row0 + row + i * kRowsAtOnce, work.rows);
    filter_row = static_cast<std::int64_t>(g.r) * g.s * g.c;
    filter = static_cast<const T*>(from.filter) + (work.k0 + row) * filter_row;
    filters_left = g.k - work.k0 - row;
    walker.start(g, work.cls, work.begin + chunk * kVecWidth<T>, work.end);
  }

  // Begins the copies of the next stage.
  __device__ __forceinline__ void load(const ImplicitGemm& g, const PixelClass& cls, unsigned* stage) {
    const std::int64_t source_offset = walker.source_offset(g);
#pragma unroll
    for (int i = 0; i < kPatches; ++i) {
      const bool valid = walker.inside(g, patches.v[i]);
      cp_async_16(stage + physical_row(row + i * kRowsAtOnce) * kRowWords + 4 * chunk,
                  valid ? source + patches.v[i].element + source_offset : source, valid);
    }
    const T* const tap = filter + walker.filter_offset(g, cls);
    unsigned* const filters = stage + Tile::kRows * kRowWords;
#pragma unroll
    for (int i = 0; i < kFilters; ++i) {
      const bool valid = walker.left > 0 && i * kRowsAtOnce < filters_left;
      cp_async_16(filters + physical_row(row + i * kRowsAtOnce) * kRowWords + 4 * chunk,
                  valid ? tap + i * kRowsAtOnce * filter_row : source, valid);
    }
    walker.advance(g, cls, kDepth);
  }
};

template <class T, class Tile, bool kFolds>
__global__ void __launch_bounds__(Tile::kThreads, 2) conv2d_mma_kernel(ImplicitGemm g, GemmPointers to) {
  AIKD_DYNAMIC_SHARED(unsigned, shared);
  using Loader = StageLoader<T, Tile>;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32;
  const int warp_row = warp / Tile::kAcross * Tile::kWarpRows,
            warp_column = warp % Tile::kAcross * Tile::kWarpColumns;
  const BlockWork work = block_work<Tile::kRows, Tile::kColumns, kFolds>(g);
  if (work.empty) return;

  Loader loader;
  loader.start(g, to, work, thread);
  const int steps = (work.end - work.begin + Loader::kDepth - 1) / Loader::kDepth;
#pragma unroll 1
  for (int stage = 0; stage < Tile::kStages - 1; ++stage) {
    if (stage < steps) loader.load(g, work.cls, shared + stage * Tile::kStageWords);
    cp_async_commit();
  }

  MmaSums<Tile> sums, total;
  sums.clear();
  if constexpr (kFolds) total.clear();
  int slot = 0, next_slot = Tile::kStages - 1, until_fold = g.part_length / Loader::kDepth;
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    cp_async_wait<Tile::kStages - 2>();
    __syncthreads();  // this stage has come; everybody has done with the one whose place the next takes
    if (step + Tile::kStages - 1 < steps) loader.load(g, work.cls, shared + next_slot * Tile::kStageWords);
    cp_async_commit();
    multiply_stage<T>(sums, shared + slot * Tile::kStageWords, warp_row, warp_column, thread % 32);
    slot = slot + 1 == Tile::kStages ? 0 : slot + 1;
    next_slot = next_slot + 1 == Tile::kStages ? 0 : next_slot + 1;
    if constexpr (kFolds) {
      if (--until_fold == 0 || step + 1 == steps) {
        total.add(sums);
        sums.clear();
        until_fold = g.part_length / Loader::kDepth;
      }
    }
  }
  if constexpr (kFolds) sums = total;
  cp_async_wait<0>();

  constexpr int kWidth = kVecWidth<T>;
  ResultColumns<T, kWidth> columns;
  columns.start(g, to, work.k0 + thread % (Tile::kColumns / kWidth) * kWidth);
  hand_out<Tile, kWidth>(sums, reinterpret_cast<float*>(shared), thread,
                         [&](int row, const Vec<float, kWidth>& values) {
                           if (work.row0 + row < work.rows && columns.count > 0)
                             columns.store(g, to, work, work.row0 + row, values);
                         });
}

}  // namespace aikd::kernels::cuda
