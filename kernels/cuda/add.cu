#include "kernels/cuda/add.cuh"

#include "kernels/add.h"

namespace aikd::kernels::cuda {

void add(const Context& ctx, Storage storage, std::int64_t count, const void* a, const void* b, void* y) {
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map_flat<T, T>(ctx, count, AddOp{}, {{static_cast<const T*>(a), static_cast<const T*>(b)}},
                   static_cast<T*>(y));
  });
}

void accumulate(const Context& ctx, Storage storage, std::int64_t count, const void* x, void* y) {
  add(ctx, storage, count, y, x, y);
}

void scale(const Context& ctx, Storage storage, std::int64_t count, float factor, const void* x, void* y) {
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map_flat<T, T>(ctx, count, ScaleOp{factor}, {{static_cast<const T*>(x)}}, static_cast<T*>(y));
  });
}

}  // namespace aikd::kernels::cuda
