// Implicit GEMM in fp32 multiply-adds (implicit_gemm.cuh, gemm_plain.cuh): every size, every alignment, and
// exact fp32. Convolution, gradient of its input, linear.
//
// Each sum is one chain of fmaf over (tap row, tap column, channel), per part: it depends on neither the
// batch nor the tile. Stages are double-buffered through registers: the next one is read from memory while
// this one is multiplied. kVector: four channels at once (c a multiple of 4, pointers aligned to four
// elements).
//
// Launch: 256 threads; grid as block_work() says.
//
// Floor, 256 -> 256 channels, 3x3, 14x14, fp32, per image: 116 M multiply-adds; at the 67 TFLOP/s of an H100
// SXM 3.5 us. A tile of 128 x 128 needs 16 loads of shared memory for 256 multiply-add instructions.
// Unmeasured.
#pragma once

#include "kernels/cuda/gemm_plain.cuh"
#include "kernels/cuda/implicit_gemm.cuh"

namespace aikd::kernels::cuda {

// The part of one thread in bringing stages: four elements of the reduction of one row of each operand.
template <class T, class Tile, bool kVector>
struct PlainLoader {
  static constexpr int kQuads = Tile::kDepth / 4;

  PatchRow patch;
  TapWalker walker;
  const T* source;
  const T* filter;  // the thread's row; null: beyond the last
  Vec<T, 4> a, b;
  int row, quad;

  __device__ __forceinline__ void start(const ImplicitGemm& g, const GemmPointers& from,
                                        const BlockWork& work, int thread) {
    row = thread / kQuads;
    quad = thread % kQuads;
    source = static_cast<const T*>(from.source);
    patch = patch_row(g, work.cls, work.row0 + row, row < Tile::kRows ? work.rows : 0);
    filter = work.k0 + row >= g.k ? nullptr
                                  : static_cast<const T*>(from.filter) +
                                        (work.k0 + row) * (static_cast<std::int64_t>(g.r) * g.s * g.c);
    walker.start(g, work.cls, work.begin + 4 * quad, work.end);
  }

  // Reads the next stage into registers.
  __device__ __forceinline__ void load(const ImplicitGemm& g, const PixelClass& cls) {
    a = Vec<T, 4>{};
    b = Vec<T, 4>{};
    if constexpr (kVector) {
      if (walker.inside(g, patch)) a = load_vec<T, 4>(source + patch.element + walker.source_offset(g));
      if (walker.left > 0 && filter != nullptr) b = load_vec<T, 4>(filter + walker.filter_offset(g, cls));
      walker.advance(g, cls, Tile::kDepth);
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if (walker.inside(g, patch)) a.v[i] = source[patch.element + walker.source_offset(g)];
        if (walker.left > 0 && filter != nullptr) b.v[i] = filter[walker.filter_offset(g, cls)];
        walker.advance(g, cls, i < 3 ? 1 : Tile::kDepth - 3);
      }
    }
  }
  __device__ __forceinline__ void store(float* stage) const {
    float* const to_a = stage + 4 * quad * Tile::kStrideA + row;
    float* const to_b = stage + Tile::kDepth * Tile::kStrideA + 4 * quad * Tile::kStrideB + row;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (row < Tile::kRows) to_a[i * Tile::kStrideA] = to_float(a.v[i]);
      to_b[i * Tile::kStrideB] = to_float(b.v[i]);
    }
  }
};

template <class T, class Tile, bool kVector, bool kFolds>
__global__ void __launch_bounds__(kPlainThreads, kPlainBlocks<T, Tile>)
    conv2d_plain_kernel(ImplicitGemm g, GemmPointers to) {
  AIKD_SHARED(float, shared, 2 * Tile::kStageFloats);
  const int thread = static_cast<int>(threadIdx.x);
  const BlockWork work = block_work<Tile::kRows, Tile::kColumns, kFolds>(g);
  if (work.empty) return;

  PlainLoader<T, Tile, kVector> loader;
  loader.start(g, to, work, thread);
  const int steps = (work.end - work.begin + Tile::kDepth - 1) / Tile::kDepth;
  PlainSums<Tile> sums, total;
  sums.clear();
  if constexpr (kFolds) total.clear();
  int until_fold = g.part_length / Tile::kDepth;
  multiply_stages(
      sums, shared, steps, thread, [&] { loader.load(g, work.cls); },
      [&](float* stage) { loader.store(stage); },
      [&](int step) {
        if constexpr (kFolds) {
          if (--until_fold == 0 || step + 1 == steps) {
            total.add(sums);
            sums.clear();
            until_fold = g.part_length / Tile::kDepth;
          }
        }
      });
  if constexpr (kFolds) sums = total;

  // The parameters of the epilogue are read again for every row: in registers they would crowd out the sums.
  hand_out(sums, thread, [&](int row, int group, const Vec<float, 4>& values) {
    ResultColumns<T, 4> columns;
    const int k = work.k0 + tile_index<Tile::kN>(thread % 16, 4 * group);
    if (work.row0 + row >= work.rows || k >= g.k) return;
    columns.start(g, to, k);
    columns.store(g, to, work, work.row0 + row, values);
  });
}

}  // namespace aikd::kernels::cuda
