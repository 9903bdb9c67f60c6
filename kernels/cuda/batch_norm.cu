#include "kernels/cuda/batch_norm.cuh"

#include "kernels/batch_norm.h"

namespace aikd::kernels::cuda {

void batch_norm(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels, const void* x,
                const float* scale, const float* shift, void* y) {
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map_rows<T>(ctx, rows, channels, BatchNormOp{scale, shift}, {{static_cast<const T*>(x)}},
                static_cast<T*>(y));
  });
}

std::size_t batch_norm_statistics_workspace_bytes(std::int64_t rows, std::int64_t channels) {
  constexpr int kMoments = 3;
  // Also one run goes through the workspace.
  return std::max(column_workspace_bytes(rows, channels, kMoments),
                  sizeof(float) * static_cast<std::size_t>(kMoments * channels));
}

void batch_norm_statistics(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels,
                           const void* x, float* mean, float* var) {
  if (channels == 0) return;
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* const from = static_cast<const T*>(x);
    with_column_width<T>(channels, all_aligned(16, from), [&](auto width, auto vector) {
      const ColumnCut cut = column_cut(rows, channels, width());
      float* const scratch = static_cast<float*>(ctx.workspace);
      const std::int64_t size = cut.parts * channels;
      const Moments moments{scratch, scratch + size, scratch + 2 * size};
      AIKD_LAUNCH(ctx, column_shape(cut), (column_moments_kernel<T, width(), vector()>), cut, from, moments);
      const LaunchShape finish{
          .grid = {.x = static_cast<unsigned>(ceil_div<std::int64_t>(channels, kFinishColumns))},
          .block = {.x = kFinishThreads}};
      AIKD_LAUNCH(ctx, finish, finish_moments_kernel<double>, cut, moments, mean, var);
    });
  });
}

void batch_norm_update_running(const Context& ctx, std::int64_t channels, const float* mean, const float* var,
                               std::int64_t rows, float momentum, float* running_mean, float* running_var) {
  if (channels == 0) return;
  const float unbiased = static_cast<float>(static_cast<double>(rows) / static_cast<double>(rows - 1));
  AIKD_LAUNCH(ctx, pointwise_shape(ceil_div<std::int64_t>(channels, kPointwiseThreads)),
              update_running_kernel<float>, channels, mean, var, unbiased, momentum, running_mean,
              running_var);
}

void batch_norm_train_forward(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels,
                              const float* mean, const float* var, const float* weight, const float* bias,
                              float eps, const void* x, void* y) {
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map_rows<T>(ctx, rows, channels, BatchNormTrainOp{{mean, var, weight, bias, eps}},
                {{static_cast<const T*>(x)}}, static_cast<T*>(y));
  });
}

}  // namespace aikd::kernels::cuda
