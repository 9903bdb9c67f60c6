// Cast: y = x (pointwise.cuh; sizeof(From) + sizeof(To) bytes per element). Transpose: a batch of matrices
// [rows, columns] -> [columns, rows], 2 sizeof(T) bytes per element.
//
// A block moves one tile through shared memory: it reads runs of the source's rows and writes runs of the
// result's rows. Tiles hold up to 1024 elements: 32 x 32, or, where one side is short (three channels), all
// of that side and more of the other, so that both runs stay long. The pitch of the tile is odd: neighbours
// of a column lie in different banks (fp32).
#pragma once

#include "kernels/cuda/pointwise.cuh"

namespace aikd::kernels::cuda {

struct CastOp {
  static constexpr int kInputs = 1;
  __device__ __forceinline__ float operator()(const float (&x)[1]) const { return x[0]; }
};

// Padding of channels: a thread per element of the result, a whole grid apart; sizeof(To) bytes written per
// element, sizeof(From) read per element that is kept.
template <class From, class To>
__global__ void __launch_bounds__(kPointwiseThreads)
    fit_channels_kernel(std::int64_t count, std::int64_t x_channels, std::int64_t y_channels, const From* x,
                        To* y) {
  const std::int64_t threads = static_cast<std::int64_t>(gridDim.x) * kPointwiseThreads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kPointwiseThreads + threadIdx.x; i < count;
       i += threads) {
    const std::int64_t row = i / y_channels, channel = i - row * y_channels;
    y[i] = from_float<To>(channel < x_channels ? to_float(x[row * x_channels + channel]) : 0.0F);
  }
}

inline constexpr int kTransposeThreads = 256, kTileElements = 1024;
inline constexpr int kTileMemory = 2048;  // with the pitch; the worst is 512 x 2, 1536

struct Transpose {
  std::int64_t rows = 0, columns = 0;
  int tile_rows = 1, tile_columns = 1;
  std::int64_t row_tiles = 0, column_tiles = 0;
};

// Grid: one block per tile, tiles of a matrix from left to right, then down, then the next matrix.
template <class T>
__global__ void __launch_bounds__(kTransposeThreads) transpose_kernel(Transpose g, const T* x, T* y) {
  AIKD_SHARED(T, tile, kTileMemory);
  const std::int64_t block = blockIdx.x, line = block / g.column_tiles, matrix = line / g.row_tiles;
  const std::int64_t row0 = (line - matrix * g.row_tiles) * g.tile_rows;
  const std::int64_t column0 = (block - line * g.column_tiles) * g.tile_columns;
  const int rows = static_cast<int>(g.rows - row0 < g.tile_rows ? g.rows - row0 : g.tile_rows);
  const int columns =
      static_cast<int>(g.columns - column0 < g.tile_columns ? g.columns - column0 : g.tile_columns);
  const int pitch = columns | 1;
  const T* const from = x + matrix * g.rows * g.columns + row0 * g.columns + column0;
  T* const to = y + matrix * g.rows * g.columns + column0 * g.rows + row0;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < rows * columns; i += kTransposeThreads) {
    const int row = i / columns, column = i - row * columns;
    tile[row * pitch + column] = from[row * g.columns + column];
  }
  __syncthreads();
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < rows * columns; i += kTransposeThreads) {
    const int column = i / rows, row = i - column * rows;
    to[column * g.rows + row] = tile[row * pitch + column];
  }
}

}  // namespace aikd::kernels::cuda
