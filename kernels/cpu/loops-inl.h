// Loops that kernels share, per target: included by kernels below foreach_target.
#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/context.h"

#if defined(AIKD_KERNELS_CPU_LOOPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AIKD_KERNELS_CPU_LOOPS_INL_H_
#undef AIKD_KERNELS_CPU_LOOPS_INL_H_
#else
#define AIKD_KERNELS_CPU_LOOPS_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {

// body(d, i) for whole vectors of [begin, end), then one lane at a time.
template <class Body>
HWY_INLINE void ForVectors(std::int64_t begin, std::int64_t end, const Body& body) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> d1;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = begin;
  for (; i + lanes <= end; i += lanes) body(d, i);
  for (; i < end; ++i) body(d1, i);
}

// The same for [0, count), cut into tasks of `chunk` elements.
template <class Body>
void ForChunks(const Context& ctx, std::int64_t count, std::int64_t chunk, const Body& body) {
  parallel_for(ctx, (count + chunk - 1) / chunk, [&](std::ptrdiff_t task, int) {
    ForVectors(task * chunk, std::min(count, (task + 1) * chunk), body);
  });
}

// finish(c, sums) with the kSums sums of column c over all of partial [parts][kSums][columns], in double, in
// order.
template <std::size_t kSums, class Finish>
void SumOfParts(const Context& ctx, std::int64_t parts, std::int64_t columns, const float* partial,
                const Finish& finish) {
  constexpr std::int64_t kGroup = 16;  // columns per task
  parallel_for(ctx, (columns + kGroup - 1) / kGroup, [&](std::ptrdiff_t task, int) {
    const std::int64_t c0 = task * kGroup, count = std::min(kGroup, columns - c0);
    double sums[kGroup][kSums] = {};
    for (std::int64_t part = 0; part < parts; ++part) {
      for (std::size_t j = 0; j < kSums; ++j) {
        const float* from =
            partial + (part * static_cast<std::int64_t>(kSums) + static_cast<std::int64_t>(j)) * columns + c0;
        for (std::int64_t c = 0; c < count; ++c) sums[c][j] += static_cast<double>(from[c]);
      }
    }
    for (std::int64_t c = 0; c < count; ++c) finish(c0 + c, sums[c]);
  });
}

}  // namespace aikd::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
