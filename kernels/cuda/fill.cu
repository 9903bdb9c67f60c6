#include "kernels/cuda/fill.cuh"

#include "kernels/fill.h"

namespace aikd::kernels::cuda {

void fill(const Context& ctx, Storage storage, std::int64_t count, float value, void* y) {
  if (count == 0) return;
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    constexpr int kWidth = kVecWidth<T>;
    T* const to = static_cast<T*>(y);
    if (all_aligned(16, to)) {
      AIKD_LAUNCH(ctx, pointwise_shape(pointwise_blocks(ceil_div<std::int64_t>(count, kWidth))),
                  (fill_kernel<T, kWidth>), count, value, to);
    } else {
      AIKD_LAUNCH(ctx, pointwise_shape(pointwise_blocks(count)), (fill_kernel<T, 1>), count, value, to);
    }
  });
}

void copy(const Context& ctx, std::size_t bytes, const void* x, void* y) {
  if (bytes == 0) return;
  const std::int64_t count = static_cast<std::int64_t>(bytes);
  const unsigned char* const from = static_cast<const unsigned char*>(x);
  unsigned char* const to = static_cast<unsigned char*>(y);
  if (all_aligned(16, from, to)) {
    AIKD_LAUNCH(ctx, pointwise_shape(pointwise_blocks(ceil_div<std::int64_t>(count, 16))), copy_kernel<16>,
                count, from, to);
  } else {
    AIKD_LAUNCH(ctx, pointwise_shape(pointwise_blocks(count)), copy_kernel<1>, count, from, to);
  }
}

}  // namespace aikd::kernels::cuda
