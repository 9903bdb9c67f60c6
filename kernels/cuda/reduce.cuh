// Sums over the rows of matrices [rows, channels] (per-channel gradients), norms of rows, and a mean.
//
// Column sums: a block takes up to 32 neighbouring vectors of channels (a row of it is up to 512 bytes) and
// one run of rows, dealt to its 256 threads: thread t has the vector t % columns and the rows t / columns,
// + 256 / columns, ... in order. Partial sums are fp32: some tens of rows per thread, then the threads by
// halves (block_reduce.cuh); the runs are added in double by finish_sums_kernel. How rows are cut depends on
// rows, channels and storage alone, so a sum has the same bits every time.
//
// Bytes per element: each input read once, and what the operation writes, written once. Partial sums: at
// most 1584 runs x channels x 4 bytes, written and read once.
//
// An operation `Op`, passed by value, is as in pointwise.cuh, and
//
//   static constexpr int kSums;
//   static constexpr bool kWrites;     whether its value is stored (where `out` is not null)
//   float operator()(const Channel&, const float (&x)[kInputs], float (&sums)[kSums]) const;
#pragma once

#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/pointwise.cuh"

namespace aikd::kernels::cuda {

inline constexpr int kColumnThreads = 256, kMostColumns = 32, kMostSums = 3;

// How a matrix is cut for a reduction over its rows.
struct ColumnCut {
  std::int64_t rows = 0, channels = 0;
  std::int64_t length = 1;       // rows of one run
  std::int64_t row_vectors = 1;  // channels / width
  int parts = 1, columns = 1;    // runs; vectors of channels per block, a power of two
};

// Where the sums go: sum s of run r and channel c is at to[s][r * channels + c]; null: nowhere.
struct SumTargets {
  float* to[kMostSums] = {};
};

// kVector: rows may be read kWidth elements at a time. Grid: x blocks of columns, y runs.
template <class T, int kWidth, bool kVector, class Op>
__global__ void __launch_bounds__(kColumnThreads)
    column_sums_kernel(ColumnCut cut, Op op, PointwiseInputs<T, Op::kInputs> x, T* out, SumTargets targets) {
  constexpr int kInputs = Op::kInputs, kSums = Op::kSums, kInFlight = kPointwiseInFlight<kInputs>;
  static_assert(kSums <= kMostSums);
  AIKD_SHARED(float, shared, kColumnThreads* kWidth);
  const int column = static_cast<int>(threadIdx.x) % cut.columns;
  const int row_thread = static_cast<int>(threadIdx.x) / cut.columns;
  const int step = kColumnThreads / cut.columns;
  const std::int64_t vector = static_cast<std::int64_t>(blockIdx.x) * cut.columns + column;
  const std::int64_t channel = vector * kWidth, begin = blockIdx.y * cut.length;
  const std::int64_t end = cut.rows - begin < cut.length ? cut.rows : begin + cut.length;
  const bool exists = vector < cut.row_vectors;

  Vec<Vec<float, kSums>, kWidth> sums;
#pragma unroll
  for (int e = 0; e < kWidth; ++e)
#pragma unroll
    for (int s = 0; s < kSums; ++s) sums.v[e].v[s] = 0.0F;
  if (exists) {
    const Vec<typename Op::Channel, kWidth> channels = op.template channels<kWidth>(channel);
#pragma unroll 1
    for (std::int64_t first = begin + row_thread; first < end; first += kInFlight * step) {
      Vec<Vec<T, kWidth>, kInFlight * kInputs> in;
#pragma unroll
      for (int u = 0; u < kInFlight; ++u) {
        const std::int64_t row = first + u * step;
#pragma unroll
        for (int k = 0; k < kInputs; ++k)
          if (row < end)
            in.v[u * kInputs + k] = load_pack<T, kWidth, kVector>(x.from[k] + row * cut.channels + channel);
      }
#pragma unroll
      for (int u = 0; u < kInFlight; ++u) {
        const std::int64_t row = first + u * step;
        if (row >= end) break;
        Vec<T, kWidth> result;
#pragma unroll
        for (int e = 0; e < kWidth; ++e) {
          Vec<float, kInputs> values;
#pragma unroll
          for (int k = 0; k < kInputs; ++k) values.v[k] = to_float(in.v[u * kInputs + k].v[e]);
          result.v[e] = from_float<T>(op(channels.v[e], values.v, sums.v[e].v));
        }
        if (Op::kWrites && out != nullptr)
          store_pack<T, kWidth, kVector>(out + row * cut.channels + channel, result);
      }
    }
  }
#pragma unroll
  for (int s = 0; s < kSums; ++s) {
    Vec<float, kWidth> values;
#pragma unroll
    for (int e = 0; e < kWidth; ++e) values.v[e] = sums.v[e].v[s];
    sum_over_rows<float, kColumnThreads>(values, shared, cut.columns);
    if (row_thread == 0 && exists && targets.to[s] != nullptr) {
#pragma unroll
      for (int e = 0; e < kWidth; ++e) targets.to[s][blockIdx.y * cut.channels + channel + e] = values.v[e];
    }
  }
}

inline constexpr int kFinishColumns = 32, kFinishRows = 32, kFinishThreads = kFinishColumns * kFinishRows;

// to[s][c] = sum over runs of from[s][run][c], added in Sum. A block adds 32 channels of the sum blockIdx.y:
// 32 threads share the runs of a channel.
template <class Sum>
__global__ void __launch_bounds__(kFinishThreads)
    finish_sums_kernel(int parts, std::int64_t channels, SumTargets from, SumTargets to) {
  AIKD_SHARED(Sum, shared, kFinishThreads);
  const float* const partial = from.to[blockIdx.y];
  float* const out = to.to[blockIdx.y];
  if (out == nullptr) return;
  const int column = static_cast<int>(threadIdx.x) % kFinishColumns;
  const int row = static_cast<int>(threadIdx.x) / kFinishColumns;
  const std::int64_t channel = static_cast<std::int64_t>(blockIdx.x) * kFinishColumns + column;
  Vec<Sum, 1> sum{};
  if (channel < channels) {
#pragma unroll 4
    for (int part = row; part < parts; part += kFinishRows)
      sum.v[0] += static_cast<Sum>(partial[part * channels + channel]);
  }
  sum_over_rows<Sum, kFinishThreads>(sum, shared, kFinishColumns);
  if (row == 0 && channel < channels) out[channel] = static_cast<float>(sum.v[0]);
}

inline constexpr int kNormThreads = 128, kMeanThreads = 1024;

// y[i] = sqrt(sum_j x[i,j]^2): one block per row, elements dealt to its threads in turn. kVector: as above.
template <class T, int kWidth, bool kVector>
__global__ void __launch_bounds__(kNormThreads) row_norms_kernel(std::int64_t columns, const T* x, float* y) {
  AIKD_SHARED(float, shared, kNormThreads);
  const T* const row = x + blockIdx.x * columns;
  Vec<float, 1> sum{};
#pragma unroll 2
  for (std::int64_t j = static_cast<std::int64_t>(threadIdx.x) * kWidth; j < columns;
       j += kNormThreads * kWidth) {
    const Vec<T, kWidth> values = load_pack<T, kWidth, kVector>(row + j);
#pragma unroll
    for (int e = 0; e < kWidth; ++e) {
      const float value = to_float(values.v[e]);
      sum.v[0] = fmaf(value, value, sum.v[0]);
    }
  }
  sum_over_rows<float, kNormThreads>(sum, shared, 1);
  if (threadIdx.x == 0) y[blockIdx.x] = sqrtf(sum.v[0]);
}

// *y = sum of x / count, added in Sum by one block.
template <class Sum>
__global__ void __launch_bounds__(kMeanThreads) mean_kernel(std::int64_t count, const float* x, float* y) {
  AIKD_SHARED(Sum, shared, kMeanThreads);
  Vec<Sum, 1> sum{};
#pragma unroll 4
  for (std::int64_t i = threadIdx.x; i < count; i += kMeanThreads) sum.v[0] += static_cast<Sum>(x[i]);
  sum_over_rows<Sum, kMeanThreads>(sum, shared, 1);
  if (threadIdx.x == 0) *y = static_cast<float>(sum.v[0] / static_cast<Sum>(count));
}

// ---- Launchers. ----

// Rows are cut into as many runs as make 1584 blocks (12 per multiprocessor of an H100: no waste whether two,
// three or four of them run at a time), but each thread gets at least eight rows.
ColumnCut column_cut(std::int64_t rows, std::int64_t channels, int width);
// Floats of partial results for `sums` sums of whatever storage.
std::size_t column_workspace_bytes(std::int64_t rows, std::int64_t channels, int sums);
void finish_sums(const Context& ctx, const ColumnCut& cut, int sums, const SumTargets& from,
                 const SumTargets& to);

inline LaunchShape column_shape(const ColumnCut& cut) {
  return {.grid = {.x = static_cast<unsigned>(ceil_div<std::int64_t>(cut.row_vectors, cut.columns)),
                   .y = static_cast<unsigned>(cut.parts)},
          .block = {.x = kColumnThreads}};
}

// Calls body(width, vector): two integral constants, how many neighbouring channels a thread takes (by
// channels and storage) and whether they are read at once (by alignment; the result does not depend on it).
template <class T, class Body>
void with_column_width(std::int64_t channels, bool aligned, Body&& body) {
  constexpr int kWidth = kVecWidth<T>;
  using Wide = std::integral_constant<int, kWidth>;
  if (channels % kWidth != 0) return body(std::integral_constant<int, 1>{}, std::false_type{});
  if (aligned) return body(Wide{}, std::true_type{});
  return body(Wide{}, std::false_type{});
}

// to[s][c] = sum over rows of what `op` adds to sums[s] (null: not wanted); out (may be null): its values.
// ctx.workspace: column_workspace_bytes(rows, channels, kSums). rows may be 0: sums are assigned 0.
template <class T, class Op>
void column_sums(const Context& ctx, std::int64_t rows, std::int64_t channels, const Op& op,
                 const PointwiseInputs<T, Op::kInputs>& x, T* out, const SumTargets& to) {
  if (channels == 0) return;
  with_column_width<T>(channels, all_aligned(16, x) && all_aligned(16, out), [&](auto width, auto vector) {
    const ColumnCut cut = column_cut(rows, channels, width());
    SumTargets partial = to;
    for (int s = 0; s < Op::kSums && cut.parts > 1; ++s)
      partial.to[s] =
          to.to[s] == nullptr ? nullptr : static_cast<float*>(ctx.workspace) + s * cut.parts * channels;
    AIKD_LAUNCH(ctx, column_shape(cut), (column_sums_kernel<T, width(), vector(), Op>), cut, op, x, out,
                partial);
    if (cut.parts > 1) finish_sums(ctx, cut, Op::kSums, partial, to);
  });
}

// sums[0] += x: column sums as they are.
struct PlainSum {
  static constexpr int kInputs = 1, kSums = 1;
  static constexpr bool kWrites = false;
  struct Channel {};
  template <int kWidth>
  __device__ __forceinline__ Vec<Channel, kWidth> channels(std::int64_t) const {
    return {};
  }
  __device__ __forceinline__ float operator()(const Channel&, const float (&x)[1], float (&sums)[1]) const {
    sums[0] += x[0];
    return 0.0F;
  }
};

}  // namespace aikd::kernels::cuda
