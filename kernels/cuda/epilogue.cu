#include "kernels/cuda/epilogue.cuh"

#include "kernels/epilogue.h"

namespace aikd::kernels::cuda {

void apply_epilogue(const Context& ctx, Storage storage, const Conv2dDims& dims, const void* x,
                    const FusedEpilogue& epilogue, void* y) {
  const std::int64_t rows = dims.n * dims.p() * dims.q();
  if (rows == 0 || dims.k == 0) return;
  const EpiloguePlane plane{.pixels = static_cast<unsigned>(dims.p() * dims.q()),
                            .q = static_cast<unsigned>(dims.q())};
  const BorderGeometry border = border_geometry(dims);
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    constexpr int kWidth = kVecWidth<T>;
    const T* const from = static_cast<const T*>(x);
    T* const to = static_cast<T*>(y);
    LaunchShape shape;
    if (all_aligned(16, from) && epilogue_vectors(epilogue, y, storage, dims.k, kWidth)) {
      const RowMap map = row_map(rows, dims.k / kWidth, &shape);
      AIKD_LAUNCH(ctx, shape, (epilogue_kernel<T, kWidth>), map, plane, from, epilogue, border, to);
    } else {
      const RowMap map = row_map(rows, dims.k, &shape);
      AIKD_LAUNCH(ctx, shape, (epilogue_kernel<T, 1>), map, plane, from, epilogue, border, to);
    }
  });
}

}  // namespace aikd::kernels::cuda
