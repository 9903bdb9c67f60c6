#include "kernels/cuda/bias.cuh"

#include "kernels/bias.h"
#include "kernels/reduce.h"

namespace aikd::kernels::cuda {

void add_bias(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels, const void* x,
              const float* bias, void* y) {
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map_rows<T>(ctx, rows, channels, BiasOp{bias}, {{static_cast<const T*>(x)}}, static_cast<T*>(y));
  });
}

std::size_t bias_backward_workspace_bytes(std::int64_t rows, std::int64_t channels) {
  return sum_workspace_bytes(rows, channels);
}

void bias_backward(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels,
                   const void* dy, float* dbias) {
  sum(ctx, storage, rows, channels, dy, dbias);
}

}  // namespace aikd::kernels::cuda
