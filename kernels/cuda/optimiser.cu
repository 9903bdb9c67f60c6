#include "kernels/cuda/optimiser.cuh"

namespace aikd::kernels::cuda {
namespace {

LaunchShape chunk_blocks(const TensorList& list) {
  return {.grid = {.x = static_cast<unsigned>(list.chunk_count)}, .block = {.x = kOptimiserThreads}};
}

void count_step(const Context& ctx, const StepControl& control) {
  const LaunchShape shape{.grid = {.x = 1}, .block = {.x = kWarpSize}};
  AIKD_LAUNCH(ctx, shape, count_step_kernel<std::int32_t>, control.non_finite, control.steps);
}

}  // namespace

std::size_t gradient_norm_workspace_bytes(std::int64_t chunk_count) noexcept {
  return static_cast<std::size_t>(chunk_count) * (sizeof(double) + sizeof(std::int32_t));
}

void global_gradient_norm(const Context& ctx, Storage storage, const TensorList& list, float inverse_scale,
                          float* norm, std::int32_t* non_finite) {
  auto* const sums = static_cast<double*>(ctx.workspace);
  auto* const flags = reinterpret_cast<std::int32_t*>(sums + list.chunk_count);
  if (list.chunk_count > 0)
    with_storage(storage, [&](auto tag) {
      using T = typename decltype(tag)::type;
      AIKD_LAUNCH(ctx, chunk_blocks(list), gradient_norm_kernel<T>, list, inverse_scale, sums, flags);
    });
  const LaunchShape one{.grid = {.x = 1}, .block = {.x = kOptimiserThreads}};
  AIKD_LAUNCH(ctx, one, finish_gradient_norm_kernel<float>, list.chunk_count, sums, flags, norm, non_finite);
}

void sgd_momentum(const Context& ctx, Storage gradient, const TensorList& list, const SgdOptions& options,
                  const StepControl& control) {
  SgdTable table{};
  for (int i = 0; i < kOptimiserGroups; ++i) {
    const SgdGroup& group = options.groups[i];
    table.groups[i] = {.learning_rate = static_cast<float>(group.learning_rate),
                       .momentum = static_cast<float>(group.momentum),
                       .undampened = static_cast<float>(1.0 - group.dampening),
                       .weight_decay = static_cast<float>(group.weight_decay),
                       .nesterov = group.nesterov};
  }
  if (list.chunk_count > 0)
    with_storage(gradient, [&](auto tag) {
      using T = typename decltype(tag)::type;
      AIKD_LAUNCH(ctx, chunk_blocks(list), sgd_kernel<T>, list, table, control);
    });
  count_step(ctx, control);
}

void adam(const Context& ctx, Storage gradient, const TensorList& list, const AdamOptions& options,
          const StepControl& control) {
  AdamTable table{};
  for (int i = 0; i < kOptimiserGroups; ++i) {
    const AdamGroup& group = options.groups[i];
    table.groups[i] = {.learning_rate = group.learning_rate,
                       .beta1 = group.beta1,
                       .beta2 = group.beta2,
                       .to_first = static_cast<float>(1.0 - group.beta1),
                       .keep_second = static_cast<float>(group.beta2),
                       .to_second = static_cast<float>(1.0 - group.beta2),
                       .eps = static_cast<float>(group.eps),
                       .weight_decay = static_cast<float>(group.weight_decay)};
  }
  if (list.chunk_count > 0)
    with_storage(gradient, [&](auto tag) {
      using T = typename decltype(tag)::type;
      AIKD_LAUNCH(ctx, chunk_blocks(list), adam_kernel<T>, list, table, control);
    });
  count_step(ctx, control);
}

void ema(const Context& ctx, const TensorList& list, double decay, bool first) {
  if (list.chunk_count == 0) return;
  const auto keep = static_cast<float>(decay), weight = static_cast<float>(1.0 - decay);
  if (first) {
    AIKD_LAUNCH(ctx, chunk_blocks(list), ema_kernel<true>, list, keep, weight);
  } else {
    AIKD_LAUNCH(ctx, chunk_blocks(list), ema_kernel<false>, list, keep, weight);
  }
}

}  // namespace aikd::kernels::cuda
