// Affine warp of many 8-bit images (kernels/warp_affine.h), as bytes or through the table of normalise.h.
//
// A block makes a tile of 128 x 8 pixels of one image (112 pixels are one tile wide). The source coordinate
// is a part that depends on the column plus one that depends on the row, each rounded apart: the block
// computes its 128 + 8 pairs once in shared memory, which leaves integers per pixel and almost nothing to the
// slow double arithmetic of small cards. Rounding to integers is that of the CPU kernel: nearest, ties to
// even; what does not fit, and NaN, becomes the smallest integer (cvt.rni saturates instead, so the range is
// asked first). Sums of coordinates wrap.
//
// Per pixel 12 loads of a byte, about as many clocks of the first-level cache per 32 pixels: 5 us for 256
// images of 112 x 112 on an H100 on paper, unmeasured. Launch: 256 threads, one block per tile, tiles of an
// image first.
#pragma once

#include "kernels/cuda/normalise.cuh"
#include "kernels/warp_affine.h"

namespace aikd::kernels::cuda {

inline constexpr int kWarpThreads = 256;
inline constexpr int kWarpColumns = 128, kWarpRows = 8;  // of a tile
inline constexpr int kWarpTables = 2 * (kWarpColumns + kWarpRows);
inline constexpr int kWarpQuad = 4;  // pixels per thread and store of warp_affine_kernel

struct WarpGrid {
  int width = 0, height = 0;             // of the result
  unsigned tiles_across = 0, tiles = 0;  // per image
};

struct WarpTile {
  std::int64_t image;
  int column, row;  // of its first pixel
};
__device__ __forceinline__ WarpTile warp_tile(const WarpGrid& grid) {
  const unsigned image = blockIdx.x / grid.tiles, tile = blockIdx.x - image * grid.tiles;
  const unsigned row = tile / grid.tiles_across, column = tile - row * grid.tiles_across;
  return {image, static_cast<int>(column) * kWarpColumns, static_cast<int>(row) * kWarpRows};
}

__device__ __forceinline__ int round_to_fixed(double value) {
  constexpr int kSmallest = -2147483647 - 1;
  return value >= -2147483648.5 && value < 2147483647.5 ? __double2int_rn(value) : kSmallest;
}
__device__ __forceinline__ int add_wrapping(int a, int b) {
  return static_cast<int>(static_cast<unsigned>(a) + static_cast<unsigned>(b));
}

// tables: x then y of the columns, x then y of the rows, 10 fraction bits. The whole block calls it; a
// barrier follows.
__device__ __forceinline__ void fill_warp_tables(const WarpJob& job, const WarpTile& tile, int* tables) {
  constexpr double kScale = 1024.0;
  constexpr int kHalfStep = 16;  // half of 1/32 pixel
  const double* const m = job.inverse;
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < kWarpColumns) {
    const double u = tile.column + thread;
    tables[thread] = round_to_fixed(m[0] * u * kScale);
    tables[kWarpColumns + thread] = round_to_fixed(m[3] * u * kScale);
  } else if (thread < kWarpColumns + kWarpRows) {
    const double v = tile.row + thread - kWarpColumns;
    int* const rows = tables + kWarpColumns + thread;
    rows[0] = add_wrapping(round_to_fixed((m[1] * v + m[2]) * kScale), kHalfStep);
    rows[kWarpRows] = add_wrapping(round_to_fixed((m[4] * v + m[5]) * kScale), kHalfStep);
  }
}

struct WarpedPixel {
  std::uint8_t v[3];
};

// The four neighbours' weighted sum, weights (32 - p)(32 - q) and so on of sum 1024; zeros outside.
__device__ __forceinline__ WarpedPixel sample_warp(const std::uint8_t* pixels, int width, int height, int x,
                                                   int y, int p, int q) {
  const int weights[4] = {(32 - p) * (32 - q), p * (32 - q), (32 - p) * q, p * q};
  const bool left = static_cast<unsigned>(x) < static_cast<unsigned>(width);
  const bool right = static_cast<unsigned>(x + 1) < static_cast<unsigned>(width);
  const bool top = static_cast<unsigned>(y) < static_cast<unsigned>(height);
  const bool bottom = static_cast<unsigned>(y + 1) < static_cast<unsigned>(height);
  const bool inside[4] = {top && left, top && right, bottom && left, bottom && right};
  const std::uint8_t* const at = pixels + (static_cast<std::int64_t>(y) * width + x) * 3;
  const std::int64_t below = static_cast<std::int64_t>(width) * 3;
  int sums[3] = {512, 512, 512};  // half of 1024: rounds half up
#pragma unroll
  for (int tap = 0; tap < 4; ++tap) {
    if (!inside[tap]) continue;
    const std::uint8_t* const from = at + (tap >= 2 ? below : 0) + (tap % 2 != 0 ? 3 : 0);
#pragma unroll
    for (int c = 0; c < 3; ++c) sums[c] += weights[tap] * from[c];
  }
  return {{static_cast<std::uint8_t>(sums[0] >> 10), static_cast<std::uint8_t>(sums[1] >> 10),
           static_cast<std::uint8_t>(sums[2] >> 10)}};
}

// The pixel at (column, row) of the tile.
__device__ __forceinline__ WarpedPixel warp_pixel(const std::uint8_t* pixels, int width, int height,
                                                  const int* tables, int column, int row) {
  const int* const rows = tables + 2 * kWarpColumns + row;
  const int fixed_x = add_wrapping(rows[0], tables[column]) >> 5;
  const int fixed_y = add_wrapping(rows[kWarpRows], tables[kWarpColumns + column]) >> 5;
  const auto saturate = [](int value) { return value < -32768 ? -32768 : value > 32767 ? 32767 : value; };
  return sample_warp(pixels, width, height, saturate(fixed_x >> 5), saturate(fixed_y >> 5), fixed_x & 31,
                     fixed_y & 31);
}

// A warp takes a row of the tile, a thread four pixels. kWords: rows of y are whole words, and y is aligned
// to them.
template <bool kWords>
__global__ void __launch_bounds__(kWarpThreads)
    warp_affine_kernel(const WarpJob* jobs, WarpGrid grid, std::uint8_t* y) {
  AIKD_SHARED(int, tables, kWarpTables);
  const WarpTile tile = warp_tile(grid);
  const WarpJob& job = jobs[tile.image];
  fill_warp_tables(job, tile, tables);
  const std::uint8_t* const pixels = job.pixels;
  const int width = job.width, height = job.height;
  __syncthreads();
  const int row = static_cast<int>(threadIdx.x) / kWarpSize;
  const int column = static_cast<int>(threadIdx.x) % kWarpSize * kWarpQuad;
  const int left = grid.width - tile.column - column;  // pixels from here on
  if (tile.row + row >= grid.height || left <= 0) return;
  Vec<std::uint8_t, 4> words[3] = {};
#pragma unroll
  for (int i = 0; i < kWarpQuad; ++i) {
    if (i >= left) break;
    const WarpedPixel pixel = warp_pixel(pixels, width, height, tables, column + i, row);
#pragma unroll
    for (int c = 0; c < 3; ++c) words[(3 * i + c) / 4].v[(3 * i + c) % 4] = pixel.v[c];
  }
  std::uint8_t* const out =
      y + ((tile.image * grid.height + tile.row + row) * grid.width + tile.column + column) * 3;
  if constexpr (kWords) {
#pragma unroll
    for (int i = 0; i < 3; ++i) store_vec<std::uint8_t, 4>(out + 4 * i, words[i]);
  } else {
#pragma unroll
    for (int i = 0; i < 3 * kWarpQuad; ++i)
      if (i < 3 * left) out[i] = words[i / 4].v[i % 4];
  }
}

// A thread takes single pixels, neighbours beside each other: with y_pixel sizeof(T) = 16 a warp stores 512
// bytes at once. kWidth: elements per store; y_pixel is a multiple of it.
template <class T, int kWidth>
__global__ void __launch_bounds__(kWarpThreads)
    warp_normalise_kernel(const WarpJob* jobs, WarpGrid grid, NormaliseTable table, int y_pixel, T* y) {
  AIKD_SHARED(int, tables, kWarpTables);
  AIKD_SHARED(T, values, kTableValues);
  const WarpTile tile = warp_tile(grid);
  const WarpJob& job = jobs[tile.image];
  fill_warp_tables(job, tile, tables);
  load_pixel_table(values, table.values);
  const std::uint8_t* const pixels = job.pixels;
  const int width = job.width, height = job.height;
  const int source[3] = {static_cast<int>(table.source[0]), static_cast<int>(table.source[1]),
                         static_cast<int>(table.source[2])};
  __syncthreads();
  const int column = static_cast<int>(threadIdx.x) % kWarpColumns;
  if (tile.column + column >= grid.width) return;
#pragma unroll
  for (int row = static_cast<int>(threadIdx.x) / kWarpColumns; row < kWarpRows;
       row += kWarpThreads / kWarpColumns) {
    if (tile.row + row >= grid.height) break;
    const WarpedPixel pixel = warp_pixel(pixels, width, height, tables, column, row);
    T numbers[3];
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      const int byte = source[c] == 0 ? pixel.v[0] : source[c] == 1 ? pixel.v[1] : pixel.v[2];
      numbers[c] = values[c * 256 + byte];
    }
    T* const out =
        y + ((tile.image * grid.height + tile.row + row) * grid.width + tile.column + column) * y_pixel;
    if constexpr (kWidth == 1) {
      for (int c = 0; c < y_pixel; ++c)
        out[c] = c == 0 ? numbers[0] : c == 1 ? numbers[1] : c == 2 ? numbers[2] : from_float<T>(0.0F);
    } else {
      Vec<T, kWidth> vector;
#pragma unroll
      for (int i = 0; i < kWidth; ++i) vector.v[i] = i < 3 ? numbers[i] : from_float<T>(0.0F);
      store_vec<T, kWidth>(out, vector);
#pragma unroll
      for (int i = 0; i < 3; ++i) vector.v[i] = from_float<T>(0.0F);
      for (int c = kWidth; c < y_pixel; c += kWidth) store_vec<T, kWidth>(out + c, vector);
    }
  }
}

}  // namespace aikd::kernels::cuda
