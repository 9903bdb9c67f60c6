#include "kernels/cuda/activation.cuh"

#include "kernels/activation.h"

namespace aikd::kernels::cuda {

void prelu(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels, const void* x,
           const float* slope, void* y) {
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map_rows<T>(ctx, rows, channels, PreluOp{slope}, {{static_cast<const T*>(x)}}, static_cast<T*>(y));
  });
}

std::size_t prelu_backward_workspace_bytes(std::int64_t rows, std::int64_t channels) {
  return column_workspace_bytes(rows, channels, PreluGradient::kSums);
}

void prelu_backward(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels,
                    const void* x, const float* slope, const void* dy, void* dx, float* dslope) {
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    column_sums<T>(ctx, rows, channels, PreluGradient{slope},
                   {{static_cast<const T*>(x), static_cast<const T*>(dy)}}, static_cast<T*>(dx), {{dslope}});
  });
}

void clamp(const Context& ctx, Storage storage, std::int64_t count, const void* x, float lo, float hi,
           void* y) {
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map_flat<T, T>(ctx, count, ClampOp{lo, hi}, {{static_cast<const T*>(x)}}, static_cast<T*>(y));
  });
}

void clamp_backward(const Context& ctx, Storage storage, std::int64_t count, const void* x, float lo,
                    float hi, const void* dy, void* dx) {
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map_flat<T, T>(ctx, count, ClampGradient{lo, hi}, {{static_cast<const T*>(x), static_cast<const T*>(dy)}},
                   static_cast<T*>(dx));
  });
}

void gelu(const Context& ctx, Storage storage, std::int64_t count, const void* x, void* y) {
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map_flat<T, T>(ctx, count, GeluOp{}, {{static_cast<const T*>(x)}}, static_cast<T*>(y));
  });
}

void gelu_backward(const Context& ctx, Storage storage, std::int64_t count, const void* x, const void* dy,
                   void* dx) {
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map_flat<T, T>(ctx, count, GeluGradient{}, {{static_cast<const T*>(x), static_cast<const T*>(dy)}},
                   static_cast<T*>(dx));
  });
}

}  // namespace aikd::kernels::cuda
