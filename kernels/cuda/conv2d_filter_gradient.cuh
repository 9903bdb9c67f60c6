// dweight[k,r,s,c] = sum_{n,p,q} dy[n,p,q,k] x[n, p stride - pad + r, q stride - pad + s, c], as the product
// of dy^T [k, pixels] and the patches [pixels, (r,s,c)]: both operands have the reduction, the pixels, as
// rows.
//
// The pixels are cut into `parts` runs; a block sums one tile of dweight over one run, and sum_parts_kernel
// adds the runs in order. Within a run each sum is one chain over the pixels n, p, q (plain) or over stages
// of 32 pixels (tensor cores).
//
// Tensor cores: the operands must have pixels in a row. A thread reads 8 pixels of 8 channels (16 bytes
// each), pairs the pixels in registers and stores 8 rows of 16 bytes; the next stage's reads are under way
// while this one is multiplied.
//
// Launch: grid x = tiles (columns fastest), y = parts; threads: the tile's, plain 256.
// Work: n p q k r s c multiply-adds, as the convolution. Bytes: dy once per tile across (r,s,c), x once per
// tap and per tile across k, mostly from L2. Unmeasured.
#pragma once

#include "kernels/cuda/epilogue_device.cuh"
#include "kernels/cuda/gemm_mma.cuh"
#include "kernels/cuda/gemm_plain.cuh"
#include "kernels/cuda/implicit_gemm.cuh"

namespace aikd::kernels::cuda {

// Pixels n p q are below 2^31.
struct FilterGradient {
  std::int32_t p = 1, q = 1, k = 1;  // of dy [n,p,q,k]
  std::int32_t h = 1, w = 1, c = 1;  // of x [n,h,w,c]
  std::int32_t r = 1, s = 1, stride = 1, pad = 0;
  std::int32_t pixels = 0, part_length = 0;  // of one run: a multiple of 32
  bool vector_result = false;                // 16-byte stores to the result
};

// One operand as columns over the pixels of dy: where a column (a channel of dy, or of x seen through one
// tap) finds its value for a pixel.
template <class T>
struct PixelColumn {
  const T* from;  // the column's channel of the first source pixel
  int h, w, channels, multiply, offset_h, offset_w;
  bool exists;

  __device__ __forceinline__ void of_dy(const FilterGradient& g, const T* dy, int column) {
    from = dy + column;
    h = g.p;
    w = g.q;
    channels = g.k;
    multiply = 1;
    offset_h = offset_w = 0;
    exists = column < g.k;
  }
  __device__ __forceinline__ void of_x(const FilterGradient& g, const T* x, int column) {
    const int tap = column / g.c, row = tap / g.s;
    from = x + (column - tap * g.c);
    h = g.h;
    w = g.w;
    channels = g.c;
    multiply = g.stride;
    offset_h = row - g.pad;
    offset_w = tap - row * g.s - g.pad;
    exists = row < g.r;
  }
  // Null where there is none (zero).
  __device__ __forceinline__ const T* at(const Pixel& pixel) const {
    const int row = pixel.i * multiply + offset_h, column = pixel.j * multiply + offset_w;
    if (!exists || static_cast<unsigned>(row) >= static_cast<unsigned>(h) ||
        static_cast<unsigned>(column) >= static_cast<unsigned>(w))
      return nullptr;
    return from + ((static_cast<std::int64_t>(pixel.n) * h + row) * w + column) * channels;
  }
};

struct GradientTile {
  int k0, column0;  // of dweight as [k][r s c]
  int begin, end;   // pixels
  float* out;       // [k][r s c]
};
template <int kRows, int kColumns>
__device__ __forceinline__ GradientTile gradient_tile(const FilterGradient& g, float* out) {
  const int width = g.r * g.s * g.c, across = (width + kColumns - 1) / kColumns;
  const int down = static_cast<int>(blockIdx.x) / across;
  const int begin = static_cast<int>(blockIdx.y) * g.part_length;
  return {down * kRows, (static_cast<int>(blockIdx.x) - down * across) * kColumns, begin,
          g.pixels - begin < g.part_length ? g.pixels : begin + g.part_length,
          out + static_cast<std::int64_t>(blockIdx.y) * g.k * width};
}
// Stores four neighbouring columns of one row of the tile.
__device__ __forceinline__ void store_gradient(const FilterGradient& g, const GradientTile& tile, int row,
                                               int column, const Vec<float, 4>& values) {
  const int width = g.r * g.s * g.c;
  if (tile.k0 + row >= g.k) return;
  const int first = tile.column0 + column;
  store_floats<4>(tile.out + static_cast<std::int64_t>(tile.k0 + row) * width + first, values, width - first,
                  g.vector_result);
}

// Tensor cores: 8 pixels of 8 columns per thread.
template <class T>
struct TransposingLoader {
  static constexpr int kSide = 8;
  static constexpr int kPixels = kSide * kRowChunks;  // of a stage

  PixelColumn<T> column;
  Vec<T, kSide> values[kSide];  // [pixel]
  int pixel, end;               // the next to read
  int row, chunk;               // where they go: first of eight rows of the stage, and which 16 bytes

  __device__ __forceinline__ void load(const FilterGradient& g) {
    Pixel at = pixel_of(static_cast<unsigned>(pixel), g.p, g.q);
#pragma unroll
    for (int i = 0; i < kSide; ++i) {
      const T* const from = pixel + i < end ? column.at(at) : nullptr;
      values[i] = from != nullptr ? load_vec<T, kSide>(from) : Vec<T, kSide>{};
      if (++at.j == g.q) {
        at.j = 0;
        if (++at.i == g.p) {
          at.i = 0;
          ++at.n;
        }
      }
    }
    pixel += kPixels;
  }
  __device__ __forceinline__ void store(unsigned* stage) const {
#pragma unroll
    for (int c = 0; c < kSide; ++c) {
      Vec<unsigned, 4> words;
#pragma unroll
      for (int i = 0; i < 4; ++i)
        words.v[i] = static_cast<unsigned>(values[2 * i].v[c].bits) |
                     static_cast<unsigned>(values[2 * i + 1].v[c].bits) << 16;
      store_vec<unsigned, 4>(stage + physical_row(row + c) * kRowWords + 4 * chunk, words);
    }
  }
};

template <class T, class Tile>
__global__ void __launch_bounds__(Tile::kThreads, 2)
    conv2d_filter_gradient_mma_kernel(FilterGradient g, const T* x, const T* dy, float* out) {
  AIKD_DYNAMIC_SHARED(unsigned, shared);
  using Loader = TransposingLoader<T>;
  static_assert(Tile::kStages == 2 && (Tile::kRows + Tile::kColumns) / 2 <= Tile::kThreads);
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32;
  const int warp_row = warp / Tile::kAcross * Tile::kWarpRows,
            warp_column = warp % Tile::kAcross * Tile::kWarpColumns;
  const GradientTile tile = gradient_tile<Tile::kRows, Tile::kColumns>(g, out);

  Loader loader;
  loader.row = thread / kRowChunks * Loader::kSide;
  loader.chunk = thread % kRowChunks;
  loader.pixel = tile.begin + loader.chunk * Loader::kSide;
  loader.end = tile.end;
  const bool loads = loader.row < Tile::kRows + Tile::kColumns;  // whole warps
  if (loader.row < Tile::kRows) {
    loader.column.of_dy(g, dy, tile.k0 + loader.row);
  } else {
    loader.column.of_x(g, x, tile.column0 + loader.row - Tile::kRows);
  }

  MmaSums<Tile> sums;
  sums.clear();
  const int steps = (tile.end - tile.begin + Loader::kPixels - 1) / Loader::kPixels;
  if (loads && steps > 0) {
    loader.load(g);
    loader.store(shared);
  }
  __syncthreads();
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    const bool more = loads && step + 1 < steps;
    if (more) loader.load(g);
    multiply_stage<T>(sums, shared + step % 2 * Tile::kStageWords, warp_row, warp_column, thread % 32);
    if (more) loader.store(shared + (step + 1) % 2 * Tile::kStageWords);
    __syncthreads();
  }
  hand_out<Tile, 4>(sums, reinterpret_cast<float*>(shared), thread,
                    [&](int row, const Vec<float, 4>& values) {
                      store_gradient(g, tile, row, thread % (Tile::kColumns / 4) * 4, values);
                    });
}

// Plain: one pixel of four columns of each operand per thread. kVector: the four are neighbours in memory.
template <class T, class Tile, bool kVector>
struct PixelLoader {
  static constexpr int kQuads = Tile::kColumns / 4;
  static constexpr int kColumns = kVector ? 1 : 4;

  Vec<PixelColumn<T>, kColumns> a, b;
  Vec<T, 4> a_values, b_values;
  int pixel, end, row, quad;

  __device__ __forceinline__ void start(const FilterGradient& g, const GradientTile& tile, const T* x,
                                        const T* dy, int thread) {
    static_assert(Tile::kRows == Tile::kColumns && kQuads * Tile::kDepth == kPlainThreads);
    row = thread / kQuads;
    quad = thread % kQuads;
    pixel = tile.begin + row;
    end = tile.end;
#pragma unroll
    for (int i = 0; i < kColumns; ++i) {
      a.v[i].of_dy(g, dy, tile.k0 + 4 * quad + i);
      b.v[i].of_x(g, x, tile.column0 + 4 * quad + i);
    }
  }
  __device__ __forceinline__ static void read(const Vec<PixelColumn<T>, kColumns>& columns, const Pixel& at,
                                              Vec<T, 4>& values) {
#pragma unroll
    for (int i = 0; i < kColumns; ++i) {
      const T* const from = columns.v[i].at(at);
      if (from == nullptr) continue;
      if constexpr (kVector) {
        values = load_vec<T, 4>(from);
      } else {
        values.v[i] = *from;
      }
    }
  }
  __device__ __forceinline__ void load(const FilterGradient& g) {
    a_values = Vec<T, 4>{};
    b_values = Vec<T, 4>{};
    if (pixel < end) {
      const Pixel at = pixel_of(static_cast<unsigned>(pixel), g.p, g.q);
      read(a, at, a_values);
      read(b, at, b_values);
    }
    pixel += Tile::kDepth;
  }
  __device__ __forceinline__ void store(float* stage) const {
    Vec<float, 4> left, right;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      left.v[i] = to_float(a_values.v[i]);
      right.v[i] = to_float(b_values.v[i]);
    }
    store_vec<float, 4>(stage + row * Tile::kStrideA + 4 * quad, left);
    store_vec<float, 4>(stage + Tile::kDepth * Tile::kStrideA + row * Tile::kStrideB + 4 * quad, right);
  }
};

template <class T, class Tile, bool kVector>
__global__ void __launch_bounds__(kPlainThreads, kPlainBlocks<T, Tile>)
    conv2d_filter_gradient_plain_kernel(FilterGradient g, const T* x, const T* dy, float* out) {
  AIKD_SHARED(float, shared, 2 * Tile::kStageFloats);
  const int thread = static_cast<int>(threadIdx.x);
  const GradientTile tile = gradient_tile<Tile::kRows, Tile::kColumns>(g, out);
  PixelLoader<T, Tile, kVector> loader;
  loader.start(g, tile, x, dy, thread);
  PlainSums<Tile> sums;
  sums.clear();
  const int steps = (tile.end - tile.begin + Tile::kDepth - 1) / Tile::kDepth;
  multiply_stages(
      sums, shared, steps, thread, [&] { loader.load(g); }, [&](float* stage) { loader.store(stage); },
      [](int) {});
  hand_out(sums, thread, [&](int row, int group, const Vec<float, 4>& values) {
    store_gradient(g, tile, row, tile_index<Tile::kN>(thread % 16, 4 * group), values);
  });
}

}  // namespace aikd::kernels::cuda
