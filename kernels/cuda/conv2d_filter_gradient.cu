#include "kernels/cuda/conv2d_filter_gradient.cuh"

#include "kernels/cuda/gemm_parts.cuh"

namespace aikd::kernels::cuda {
namespace {

// Tiles (filters x taps and channels): tensor cores 128 x 64 for more than 64 filters, else 64 x 64; plain
// 128 x 128 where both sides are larger than 64 and four channels make a vector, else 64 x 64.
using MmaMiddle = MmaTile<2, 2, 4, 4, 2>;
using MmaSmall = MmaTile<2, 2, 2, 4, 2>;
using PlainLarge = PlainTile<8, 8>;
using PlainSmall = PlainTile<4, 4>;

std::int64_t width_of(const Conv2dDims& dims) {
  return dims.r * dims.s * dims.c;
}

// How the pixels are cut: so that tiles of 64 x 64 make about four blocks per multiprocessor of an H100, but
// no run is shorter than 256 pixels. By the shape alone.
Runs runs_of(const Conv2dDims& dims) {
  constexpr std::int64_t kBlocks = 4 * 132, kShortest = 256, kStage = 32;
  const std::int64_t tiles = ceil_div<std::int64_t>(dims.k, 64) * ceil_div<std::int64_t>(width_of(dims), 64);
  return cut_into_runs(dims.n * dims.p() * dims.q(), ceil_div(kBlocks, tiles > 0 ? tiles : 1), kShortest,
                       kStage);
}

template <class Tile>
LaunchShape shape_of(const Conv2dDims& dims, const Runs& runs, unsigned threads, std::size_t shared_bytes) {
  const std::int64_t tiles =
      ceil_div<std::int64_t>(dims.k, Tile::kRows) * ceil_div<std::int64_t>(width_of(dims), Tile::kColumns);
  return {.grid = {.x = static_cast<unsigned>(tiles), .y = static_cast<unsigned>(runs.count)},
          .block = {.x = threads},
          .shared_bytes = shared_bytes};
}

// What the launches share.
template <class T>
struct Run {
  const Context& ctx;
  const Conv2dDims& dims;
  Runs runs;
  FilterGradient g;
  const T *x, *dy;
  float* out;

  template <class Tile>
  void mma() const {
    AIKD_LAUNCH(ctx, shape_of<Tile>(dims, runs, Tile::kThreads, Tile::kSharedBytes),
                (conv2d_filter_gradient_mma_kernel<T, Tile>), g, x, dy, out);
  }
  template <class Tile, bool kVector>
  void plain() const {
    AIKD_LAUNCH(ctx, shape_of<Tile>(dims, runs, kPlainThreads, 0),
                (conv2d_filter_gradient_plain_kernel<T, Tile, kVector>), g, x, dy, out);
  }
  // Whether `width` channels of both operands make a vector.
  bool vectors(int width) const {
    const std::size_t bytes = sizeof(T) * static_cast<std::size_t>(width);
    return dims.k % width == 0 && dims.c % width == 0 && aligned_to(x, bytes) && aligned_to(dy, bytes);
  }
};

}  // namespace

std::size_t conv2d_filter_gradient_workspace_bytes(const Conv2dDims& dims) {
  const std::int64_t parts = runs_of(dims).count;
  return parts == 1 ? 0 : sizeof(float) * static_cast<std::size_t>(parts * dims.k * width_of(dims));
}

void conv2d_filter_gradient(const Context& ctx, Storage storage, const Conv2dDims& dims, const void* x,
                            const void* dy, float* dweight) {
  const Runs runs = runs_of(dims);
  const std::int64_t count = dims.k * width_of(dims);
  if (count == 0) return;
  const auto narrow = [](std::int64_t value) { return static_cast<std::int32_t>(value); };
  float* const out = runs.count == 1 ? dweight : static_cast<float*>(ctx.workspace);
  const FilterGradient g{.p = narrow(dims.p()),
                         .q = narrow(dims.q()),
                         .k = narrow(dims.k),
                         .h = narrow(dims.h),
                         .w = narrow(dims.w),
                         .c = narrow(dims.c),
                         .r = narrow(dims.r),
                         .s = narrow(dims.s),
                         .stride = narrow(dims.stride),
                         .pad = narrow(dims.pad),
                         .pixels = narrow(dims.n * dims.p() * dims.q()),
                         .part_length = narrow(runs.length),
                         .vector_result = width_of(dims) % 4 == 0 && aligned_to(out, 16)};
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const Run<T> run{ctx, dims, runs, g, static_cast<const T*>(x), static_cast<const T*>(dy), out};
    if constexpr (sizeof(T) == 2) {
      if (has_tensor_cores(storage) && run.vectors(kVecWidth<T>))
        return dims.k > MmaSmall::kRows ? run.template mma<MmaMiddle>() : run.template mma<MmaSmall>();
    }
    if (!run.vectors(4)) return run.template plain<PlainSmall, false>();
    if (dims.k > PlainSmall::kRows && width_of(dims) > PlainSmall::kColumns)
      return run.template plain<PlainLarge, true>();
    run.template plain<PlainSmall, true>();
  });
  if (runs.count > 1) sum_parts<float>(ctx, out, narrow(runs.count), count, nullptr, 1, dweight);
}

}  // namespace aikd::kernels::cuda
