#include "kernels/reduce.h"

#include "kernels/cuda/reduce.cuh"

namespace aikd::kernels::cuda {

ColumnCut column_cut(std::int64_t rows, std::int64_t channels, int width) {
  constexpr std::int64_t kBlocks = 12 * 132, kRowsPerThread = 8;
  ColumnCut cut{.rows = rows, .channels = channels, .row_vectors = channels / width};
  while (cut.columns < kMostColumns && cut.columns < cut.row_vectors) cut.columns *= 2;
  const std::int64_t step = kColumnThreads / cut.columns;
  const std::int64_t wanted = ceil_div(kBlocks, ceil_div<std::int64_t>(cut.row_vectors, cut.columns));
  cut.length = ceil_div(std::max(ceil_div(rows, wanted), kRowsPerThread * step), step) * step;
  cut.parts = static_cast<int>(std::max<std::int64_t>(ceil_div(rows, cut.length), 1));
  return cut;
}

std::size_t column_workspace_bytes(std::int64_t rows, std::int64_t channels, int sums) {
  std::int64_t parts = 0;  // the most of all storages; 1: nothing to add
  for (const int width : {1, kVecWidth<float>, kVecWidth<Half16>}) {
    if (channels == 0 || channels % width != 0) continue;
    const int needed = column_cut(rows, channels, width).parts;
    if (needed > 1) parts = std::max<std::int64_t>(parts, needed);
  }
  return sizeof(float) * static_cast<std::size_t>(parts * channels * sums);
}

void finish_sums(const Context& ctx, const ColumnCut& cut, int sums, const SumTargets& from,
                 const SumTargets& to) {
  const LaunchShape shape{
      .grid = {.x = static_cast<unsigned>(ceil_div<std::int64_t>(cut.channels, kFinishColumns)),
               .y = static_cast<unsigned>(sums)},
      .block = {.x = kFinishThreads}};
  AIKD_LAUNCH(ctx, shape, finish_sums_kernel<double>, cut.parts, cut.channels, from, to);
}

std::size_t sum_workspace_bytes(std::int64_t rows, std::int64_t channels) {
  return column_workspace_bytes(rows, channels, PlainSum::kSums);
}

void sum(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels, const void* x,
         float* y) {
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    column_sums<T>(ctx, rows, channels, PlainSum{}, {{static_cast<const T*>(x)}}, static_cast<T*>(nullptr),
                   {{y}});
  });
}

void row_norms(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t columns, const void* x,
               float* y) {
  if (rows == 0) return;
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* const from = static_cast<const T*>(x);
    const LaunchShape shape{.grid = {.x = static_cast<unsigned>(rows)}, .block = {.x = kNormThreads}};
    with_column_width<T>(columns, all_aligned(16, from), [&](auto width, auto vector) {
      AIKD_LAUNCH(ctx, shape, (row_norms_kernel<T, width(), vector()>), columns, from, y);
    });
  });
}

void mean(const Context& ctx, std::int64_t count, const float* x, float* y) {
  if (count == 0) return;
  const LaunchShape shape{.grid = {.x = 1}, .block = {.x = kMeanThreads}};
  AIKD_LAUNCH(ctx, shape, mean_kernel<double>, count, x, y);
}

}  // namespace aikd::kernels::cuda
