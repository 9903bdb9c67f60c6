// Multi-tensor optimisers: bound by memory.
#include "kernels/optimiser.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/optimiser_numbers.h"
#include "kernels/cpu/targets.h"
#include "kernels/isa.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/optimiser.cpp"
#include <hwy/foreach_target.h>
//
#include "kernels/cpu/loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// body(d, i, tensor) for every element i of every tensor: whole vectors of a chunk, then one lane at a time.
template <class Body>
void ForElements(const Context& ctx, const TensorList& list, const Body& body) {
  parallel_for(ctx, list.chunk_count, [&](std::ptrdiff_t task, int) {
    const TensorChunk& chunk = list.chunks[task];
    const TensorSlice& tensor = list.tensors[chunk.tensor];
    const std::int64_t end = std::min(tensor.count, chunk.begin + kOptimiserChunk);
    ForVectors(chunk.begin, end, [&](auto d, std::int64_t i) HWY_ATTR { body(d, i, tensor); });
  });
}

// sums [chunks]: of each chunk the sum of squares, in double.
void ChunkSquares(const Context& ctx, const TensorList& list, double* sums) {
  parallel_for(ctx, list.chunk_count, [&](std::ptrdiff_t task, int) HWY_ATTR {
    const TensorChunk& chunk = list.chunks[task];
    const TensorSlice& tensor = list.tensors[chunk.tensor];
    const std::int64_t end = std::min(tensor.count, chunk.begin + kOptimiserChunk);
    const hn::ScalableTag<double> d;
    const hn::Rebind<float, decltype(d)> narrow;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    auto even = hn::Zero(d), odd = hn::Zero(d);
    std::int64_t i = chunk.begin;
    for (; i + 2 * lanes <= end; i += 2 * lanes) {
      const auto a = hn::PromoteTo(d, hn::LoadU(narrow, tensor.gradient + i)),
                 b = hn::PromoteTo(d, hn::LoadU(narrow, tensor.gradient + i + lanes));
      even = hn::MulAdd(a, a, even);
      odd = hn::MulAdd(b, b, odd);
    }
    double sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
    for (; i < end; ++i) {
      const double g = static_cast<double>(tensor.gradient[i]);
      sum += g * g;
    }
    sums[task] = sum;
  });
}

void Sgd(const Context& ctx, const TensorList& list, const SgdNumbers* groups, const GradientScale& scale,
         bool first_step) {
  ForElements(ctx, list, [&](auto d, std::int64_t i, const TensorSlice& tensor) HWY_ATTR {
    const SgdNumbers& group = groups[tensor.group];
    const auto p = hn::LoadU(d, tensor.parameter + i);
    auto step = hn::Mul(hn::Mul(hn::LoadU(d, tensor.gradient + i), hn::Set(d, scale.inverse_scale)),
                        hn::Set(d, scale.clip));
    if (group.weight_decay != 0.0F) step = hn::MulAdd(hn::Set(d, group.weight_decay), p, step);
    if (group.momentum != 0.0F) {
      const auto momentum = hn::Set(d, group.momentum);
      auto buffer = step;
      if (!first_step)
        buffer =
            hn::MulAdd(momentum, hn::LoadU(d, tensor.first + i), hn::Mul(hn::Set(d, group.undampened), step));
      hn::StoreU(buffer, d, tensor.first + i);
      step = group.nesterov ? hn::MulAdd(momentum, buffer, step) : buffer;
    }
    hn::StoreU(hn::NegMulAdd(hn::Set(d, group.learning_rate), step, p), d, tensor.parameter + i);
  });
}

void Adam(const Context& ctx, const TensorList& list, const AdamNumbers* groups, const GradientScale& scale) {
  ForElements(ctx, list, [&](auto d, std::int64_t i, const TensorSlice& tensor) HWY_ATTR {
    const AdamNumbers& group = groups[tensor.group];
    const auto p = hn::LoadU(d, tensor.parameter + i);
    auto g = hn::Mul(hn::Mul(hn::LoadU(d, tensor.gradient + i), hn::Set(d, scale.inverse_scale)),
                     hn::Set(d, scale.clip));
    if (group.weight_decay != 0.0F) g = hn::MulAdd(hn::Set(d, group.weight_decay), p, g);
    const auto old = hn::LoadU(d, tensor.first + i);
    const auto m = hn::MulAdd(hn::Set(d, group.to_first), hn::Sub(g, old), old);
    const auto v = hn::MulAdd(hn::Set(d, group.keep_second), hn::LoadU(d, tensor.second + i),
                              hn::Mul(hn::Mul(hn::Set(d, group.to_second), g), g));
    const auto root = hn::Add(hn::Div(hn::Sqrt(v), hn::Set(d, group.second_root)), hn::Set(d, group.eps));
    hn::StoreU(m, d, tensor.first + i);
    hn::StoreU(v, d, tensor.second + i);
    hn::StoreU(hn::Sub(p, hn::Mul(hn::Set(d, group.step), hn::Div(m, root))), d, tensor.parameter + i);
  });
}

void Average(const Context& ctx, const TensorList& list, float decay, float weight, bool copy) {
  ForElements(ctx, list, [&](auto d, std::int64_t i, const TensorSlice& tensor) HWY_ATTR {
    const auto p = hn::LoadU(d, tensor.parameter + i);
    if (copy) return hn::StoreU(p, d, tensor.average + i);
    const auto a = hn::LoadU(d, tensor.average + i);
    hn::StoreU(weight < 0.5F ? hn::MulAdd(hn::Set(d, weight), hn::Sub(p, a), a)
                             : hn::MulAdd(hn::Set(d, decay), hn::Sub(a, p), p),
               d, tensor.average + i);
  });
}

}  // namespace aikd::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aikd::kernels::cpu {
HWY_EXPORT(ChunkSquares);
HWY_EXPORT(Sgd);
HWY_EXPORT(Adam);
HWY_EXPORT(Average);

namespace {

bool is_skipped(const StepControl& control) {
  return control.non_finite != nullptr && *control.non_finite != 0;
}
GradientScale scale_of(const StepControl& control) {
  if (control.norm == nullptr) return {control.inverse_scale, 1.0F};
  const float factor = control.max_norm / (*control.norm + 1e-6F);
  return {control.inverse_scale, factor > 1.0F ? 1.0F : factor};  // NaN stays NaN
}

}  // namespace

std::size_t gradient_norm_workspace_bytes(std::int64_t chunk_count) noexcept {
  return static_cast<std::size_t>(chunk_count) * sizeof(double);
}

void global_gradient_norm(const Context& ctx, const TensorList& list, float inverse_scale, float* norm,
                          std::int32_t* non_finite) {
  select_isa_once();
  auto* const sums = static_cast<double*>(ctx.workspace);
  HWY_DYNAMIC_DISPATCH(ChunkSquares)(ctx, list, sums);
  double sum = 0;
  for (std::int64_t i = 0; i < list.chunk_count; ++i) sum += sums[i];
  *norm = static_cast<float>(std::sqrt(sum) * static_cast<double>(inverse_scale));
  *non_finite = std::isfinite(sum) ? 0 : 1;  // squares of finite floats never overflow double
}

void sgd_momentum(const Context& ctx, const TensorList& list, const SgdOptions& options,
                  const StepControl& control) {
  select_isa_once();
  if (is_skipped(control)) return;
  SgdNumbers groups[kOptimiserGroups];
  for (int i = 0; i < kOptimiserGroups; ++i) {
    const SgdGroup& group = options.groups[i];
    groups[i] = {.learning_rate = static_cast<float>(group.learning_rate),
                 .momentum = static_cast<float>(group.momentum),
                 .undampened = static_cast<float>(1.0 - group.dampening),
                 .weight_decay = static_cast<float>(group.weight_decay),
                 .nesterov = group.nesterov};
  }
  HWY_DYNAMIC_DISPATCH(Sgd)(ctx, list, groups, scale_of(control), *control.steps == 0);
  ++*control.steps;
}

void adam(const Context& ctx, const TensorList& list, const AdamOptions& options,
          const StepControl& control) {
  select_isa_once();
  if (is_skipped(control)) return;
  AdamNumbers groups[kOptimiserGroups];
  const double t = static_cast<double>(*control.steps) + 1.0;
  for (int i = 0; i < kOptimiserGroups; ++i) {
    const AdamGroup& group = options.groups[i];
    groups[i] = {.step = static_cast<float>(group.learning_rate / (1.0 - std::pow(group.beta1, t))),
                 .second_root = static_cast<float>(std::sqrt(1.0 - std::pow(group.beta2, t))),
                 .to_first = static_cast<float>(1.0 - group.beta1),
                 .keep_second = static_cast<float>(group.beta2),
                 .to_second = static_cast<float>(1.0 - group.beta2),
                 .eps = static_cast<float>(group.eps),
                 .weight_decay = static_cast<float>(group.weight_decay)};
  }
  HWY_DYNAMIC_DISPATCH(Adam)(ctx, list, groups, scale_of(control));
  ++*control.steps;
}

void ema(const Context& ctx, const TensorList& list, double decay, bool first) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(Average)
  (ctx, list, static_cast<float>(decay), static_cast<float>(1.0 - decay), first);
}

}  // namespace aikd::kernels::cpu
#endif
