#include "kernels/cuda/implicit_gemm.cuh"

#include "kernels/cuda/conv2d_mma.cuh"
#include "kernels/cuda/conv2d_plain.cuh"
#include "kernels/cuda/conv2d_turn_filter.cuh"

namespace aikd::kernels::cuda {
namespace {

// Tiles (pixels x filters). Large ones read less shared memory per product, small ones fill the card; the
// bits are the same.
//
//   tensor cores   128 x 128  4 warps of 64 x 64   64 KiB of stages   more than 64 filters and at least kFill
//   blocks
//                  128 x 64   4 warps of 64 x 32   48 KiB             at least kFill blocks
//                  64 x 64    4 warps of 32 x 32   32 KiB             otherwise, and wherever parts are
//                  folded
//   plain          128 x 128  8 x 8 per thread     17 KiB             more than 64 filters and at least kFill
//   blocks
//                  64 x 64    4 x 4 per thread     17 KiB             otherwise, and wherever parts are
//                  folded 16 x 64    1 x 4 per thread     11 KiB             at most 16 pixels: one row times
//                  a matrix
using MmaLarge = MmaTile<2, 2, 4, 8, 4>;
using MmaMiddle = MmaTile<2, 2, 4, 4, 4>;
using MmaSmall = MmaTile<2, 2, 2, 4, 4>;
using PlainLarge = PlainTile<8, 8>;
using PlainSmall = PlainTile<4, 4>;
using PlainFlat = PlainTile<1, 4>;
constexpr std::int64_t kFill = 132;  // multiprocessors of an H100

// Tiles of the largest class.
template <class Tile>
std::int64_t tiles_of(const ImplicitGemm& g) {
  const std::int64_t rows = std::int64_t{g.n} * ceil_div(g.out_h, g.divide) * ceil_div(g.out_w, g.divide);
  return ceil_div<std::int64_t>(rows, Tile::kRows) * ceil_div<std::int64_t>(g.k, Tile::kColumns);
}
template <class Tile>
std::int64_t blocks_of(const ImplicitGemm& g) {
  return tiles_of<Tile>(g) * g.divide * g.divide;
}

template <class Tile>
LaunchShape shape_of(const ImplicitGemm& g, bool folds, unsigned threads, std::size_t shared_bytes) {
  return {.grid = {.x = static_cast<unsigned>(tiles_of<Tile>(g)),
                   .y = folds ? 1U : static_cast<unsigned>(g.parts),
                   .z = static_cast<unsigned>(g.divide * g.divide)},
          .block = {.x = threads},
          .shared_bytes = shared_bytes};
}

template <class T, class Tile, bool kFolds>
void launch_mma(const Context& ctx, const ImplicitGemm& g, const GemmPointers& pointers) {
  AIKD_LAUNCH(ctx, shape_of<Tile>(g, kFolds, Tile::kThreads, Tile::kSharedBytes),
              (conv2d_mma_kernel<T, Tile, kFolds>), g, pointers);
}
template <class T, class Tile, bool kVector, bool kFolds>
void launch_plain(const Context& ctx, const ImplicitGemm& g, const GemmPointers& pointers) {
  AIKD_LAUNCH(ctx, shape_of<Tile>(g, kFolds, kPlainThreads, 0),
              (conv2d_plain_kernel<T, Tile, kVector, kFolds>), g, pointers);
}

template <class T>
void run_mma(const Context& ctx, const ImplicitGemm& g, const GemmPointers& pointers, bool folds) {
  if constexpr (sizeof(T) == 2) {  // nothing in TF32 has parts
    if (folds) return launch_mma<T, MmaSmall, true>(ctx, g, pointers);
  }
  if (g.parts > 1) return launch_mma<T, MmaSmall, false>(ctx, g, pointers);
  if (g.k > MmaMiddle::kColumns && blocks_of<MmaLarge>(g) >= kFill)
    return launch_mma<T, MmaLarge, false>(ctx, g, pointers);
  if (blocks_of<MmaMiddle>(g) >= kFill) return launch_mma<T, MmaMiddle, false>(ctx, g, pointers);
  launch_mma<T, MmaSmall, false>(ctx, g, pointers);
}

template <class T, bool kFolds>
void run_plain(const Context& ctx, const ImplicitGemm& g, const GemmPointers& pointers, bool vector) {
  if (!vector) return launch_plain<T, PlainSmall, false, kFolds>(ctx, g, pointers);
  if (std::int64_t{g.n} * g.out_h * g.out_w <= PlainFlat::kRows)
    return launch_plain<T, PlainFlat, true, kFolds>(ctx, g, pointers);
  if constexpr (!kFolds) {
    if (g.parts == 1 && g.k > PlainSmall::kColumns && blocks_of<PlainLarge>(g) >= kFill)
      return launch_plain<T, PlainLarge, true, false>(ctx, g, pointers);
  }
  launch_plain<T, PlainSmall, true, kFolds>(ctx, g, pointers);
}

}  // namespace

void run_implicit_gemm(const Context& ctx, Storage storage, bool tf32, const ImplicitGemm& gemm,
                       GemmPointers pointers) {
  if (gemm.n == 0 || gemm.k == 0 || gemm.out_h == 0 || gemm.out_w == 0) return;
  const bool folds = gemm.parts > 1 && pointers.partial == nullptr;
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto operands = [&](int width) {
      return gemm.c % width == 0 &&
             aligned_to(pointers.source, sizeof(T) * static_cast<std::size_t>(width)) &&
             aligned_to(pointers.filter, sizeof(T) * static_cast<std::size_t>(width));
    };
    if (has_tensor_cores(storage) && (storage != Storage::kF32 || tf32) && operands(kVecWidth<T>)) {
      pointers.vector_result = epilogue_vectors(pointers.epilogue, pointers.y, storage, gemm.k, kVecWidth<T>);
      return run_mma<T>(ctx, gemm, pointers, folds);
    }
    pointers.vector_result = epilogue_vectors(pointers.epilogue, pointers.y, storage, gemm.k, 4);
    if (folds) return run_plain<T, true>(ctx, gemm, pointers, operands(4));
    run_plain<T, false>(ctx, gemm, pointers, operands(4));
  });
}

void turn_filter(const Context& ctx, Storage storage, std::int64_t k, std::int64_t r, std::int64_t s,
                 std::int64_t c, const void* filter, void* turned) {
  const LaunchShape shape{.grid = {.x = static_cast<unsigned>(ceil_div<std::int64_t>(c, kTurnSide)),
                                   .y = static_cast<unsigned>(ceil_div<std::int64_t>(k, kTurnSide)),
                                   .z = static_cast<unsigned>(r * s)},
                          .block = {.x = kTurnSide * kTurnLines}};
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    AIKD_LAUNCH(ctx, shape, turn_filter_kernel<T>, static_cast<const T*>(filter), static_cast<int>(k),
                static_cast<int>(r * s), static_cast<int>(c), static_cast<T*>(turned));
  });
}

}  // namespace aikd::kernels::cuda
