#include "kernels/cuda/gemm_fragments.h"

#include "kernels/cuda/gemm_fragments.cuh"

namespace aikd::kernels::cuda {

bool add_fragment_product(const Context& ctx, Storage storage, const void* a, const void* b, float* d) {
  if (!has_tensor_cores(storage)) return false;
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const LaunchShape shape{.grid = {}, .block = {.x = kWarpSize}};
    AIKD_LAUNCH(ctx, shape, fragment_product_kernel<T>, static_cast<const T*>(a), static_cast<const T*>(b),
                d);
  });
  return true;
}

}  // namespace aikd::kernels::cuda
