#include "kernels/cuda/batch_norm_backward.cuh"

#include "kernels/batch_norm.h"

namespace aikd::kernels::cuda {

std::size_t batch_norm_backward_workspace_bytes(std::int64_t rows, std::int64_t channels) {
  return batch_norm_sums_bytes(rows, channels, 2);
}

void batch_norm_train_backward(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels,
                               const void* x, const float* mean, const float* var, const float* weight,
                               float eps, const void* dy, void* dx, float* dweight, float* dbias) {
  float* const own = static_cast<float*>(ctx.workspace);
  float* const to_weight = dweight != nullptr ? dweight : own;
  float* const to_bias = dbias != nullptr ? dbias : own + channels;
  const BatchNormParameters parameters{mean, var, weight, nullptr, eps};
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const PointwiseInputs<T, 2> inputs{{static_cast<const T*>(x), static_cast<const T*>(dy)}};
    column_sums<T>(behind_batch_norm_sums(ctx, channels), rows, channels, BatchNormSums<false>{parameters},
                   inputs, static_cast<T*>(nullptr), {{to_weight, to_bias}});
    if (dx == nullptr) return;
    const BatchNormSumsOfAll sums{to_weight, to_bias, static_cast<float>(1.0 / static_cast<double>(rows))};
    map_rows<T>(ctx, rows, channels, BatchNormGradientOp{parameters, sums}, inputs, static_cast<T*>(dx));
  });
}

void batch_norm_eval_backward(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels,
                              const void* x, const float* mean, const float* var, const float* weight,
                              float eps, const void* dy, void* dx, float* dweight, float* dbias) {
  const BatchNormParameters parameters{mean, var, weight, nullptr, eps};
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* const upstream = static_cast<const T*>(dy);
    T* const to = static_cast<T*>(dx);
    if (dweight != nullptr || dbias != nullptr) {
      column_sums<T>(behind_batch_norm_sums(ctx, channels), rows, channels, BatchNormSums<true>{parameters},
                     {{static_cast<const T*>(x), upstream}}, to, {{dweight, dbias}});
    } else if (dx != nullptr) {
      map_rows<T>(ctx, rows, channels, BatchNormFrozenOp{parameters}, {{upstream}}, to);
    }
  });
}

}  // namespace aikd::kernels::cuda
