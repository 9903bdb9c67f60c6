#include "kernels/cuda/layout.cuh"

#include "kernels/layout.h"

namespace aikd::kernels::cuda {
namespace {

// `count` matrices [rows, columns] -> [columns, rows].
void transpose(const Context& ctx, Storage storage, std::int64_t count, std::int64_t rows,
               std::int64_t columns, const void* x, void* y) {
  if (count * rows * columns == 0) return;
  constexpr std::int64_t kSide = 32;
  const auto longer = [](std::int64_t side, std::int64_t other) {
    return static_cast<int>(std::min(side, other >= kSide ? kSide : kTileElements / other));
  };
  Transpose g{.rows = rows,
              .columns = columns,
              .tile_rows = longer(rows, columns),
              .tile_columns = longer(columns, rows)};
  g.row_tiles = ceil_div<std::int64_t>(rows, g.tile_rows);
  g.column_tiles = ceil_div<std::int64_t>(columns, g.tile_columns);
  const LaunchShape shape{.grid = {.x = static_cast<unsigned>(count * g.row_tiles * g.column_tiles)},
                          .block = {.x = kTransposeThreads}};
  const auto run = [&](auto unit) {  // bits are moved: the size of an element is all that counts
    using T = decltype(unit);
    AIKD_LAUNCH(ctx, shape, transpose_kernel<T>, g, static_cast<const T*>(x), static_cast<T*>(y));
  };
  if (bytes_of(storage) == 4) {
    run(std::uint32_t{});
  } else {
    run(std::uint16_t{});
  }
}

}  // namespace

void cast(const Context& ctx, Storage from, Storage to, std::int64_t count, const void* x, void* y) {
  with_storage(from, [&](auto from_tag) {
    with_storage(to, [&](auto to_tag) {
      using From = typename decltype(from_tag)::type;
      using To = typename decltype(to_tag)::type;
      map_flat<From, To>(ctx, count, CastOp{}, {{static_cast<const From*>(x)}}, static_cast<To*>(y));
    });
  });
}

void fit_channels(const Context& ctx, Storage from, Storage to, std::int64_t rows, std::int64_t x_channels,
                  const void* x, std::int64_t y_channels, void* y) {
  const std::int64_t count = rows * y_channels;
  if (count == 0) return;
  with_storage(from, [&](auto from_tag) {
    with_storage(to, [&](auto to_tag) {
      using From = typename decltype(from_tag)::type;
      using To = typename decltype(to_tag)::type;
      AIKD_LAUNCH(ctx, pointwise_shape(pointwise_blocks(count)), (fit_channels_kernel<From, To>), count,
                  x_channels, y_channels, static_cast<const From*>(x), static_cast<To*>(y));
    });
  });
}

void nchw_to_nhwc(const Context& ctx, Storage storage, std::int64_t n, std::int64_t c, std::int64_t h,
                  std::int64_t w, const void* x, void* y) {
  transpose(ctx, storage, n, c, h * w, x, y);
}

void nhwc_to_nchw(const Context& ctx, Storage storage, std::int64_t n, std::int64_t c, std::int64_t h,
                  std::int64_t w, const void* x, void* y) {
  transpose(ctx, storage, n, h * w, c, x, y);
}

}  // namespace aikd::kernels::cuda
