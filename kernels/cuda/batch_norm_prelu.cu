#include "kernels/cuda/batch_norm_prelu.cuh"

#include "kernels/batch_norm.h"

namespace aikd::kernels::cuda {

void batch_norm_prelu_forward(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels,
                              const float* mean, const float* var, const float* weight, const float* bias,
                              float eps, const float* slope, const void* x, void* y) {
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map_rows<T>(ctx, rows, channels, BatchNormPreluOp{{{mean, var, weight, bias, eps}, slope}},
                {{static_cast<const T*>(x)}}, static_cast<T*>(y));
  });
}

std::size_t batch_norm_prelu_backward_workspace_bytes(std::int64_t rows, std::int64_t channels) {
  return batch_norm_sums_bytes(rows, channels, BatchNormPreluSums::kSums);
}

void batch_norm_prelu_backward(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels,
                               const void* x, const float* mean, const float* var, const float* weight,
                               const float* bias, float eps, const float* slope, const void* dy, void* dx,
                               float* dweight, float* dbias, float* dslope) {
  float* const own = static_cast<float*>(ctx.workspace);
  float* const to_weight = dweight != nullptr ? dweight : own;
  float* const to_bias = dbias != nullptr ? dbias : own + channels;
  const BatchNormPreluParameters parameters{{mean, var, weight, bias, eps}, slope};
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const PointwiseInputs<T, 2> inputs{{static_cast<const T*>(x), static_cast<const T*>(dy)}};
    column_sums<T>(behind_batch_norm_sums(ctx, channels), rows, channels, BatchNormPreluSums{parameters},
                   inputs, static_cast<T*>(nullptr), {{to_weight, to_bias, dslope}});
    if (dx == nullptr) return;
    const BatchNormSumsOfAll sums{to_weight, to_bias, static_cast<float>(1.0 / static_cast<double>(rows))};
    map_rows<T>(ctx, rows, channels, BatchNormPreluGradientOp{parameters, sums}, inputs, static_cast<T*>(dx));
  });
}

}  // namespace aikd::kernels::cuda
