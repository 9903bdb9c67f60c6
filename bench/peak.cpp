#include "bench/peak.h"

#include "kernels/cpu/targets.h"
#include "kernels/isa.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/peak.cpp"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace aikd::bench::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

std::int64_t MultiplyAdds(std::int64_t rounds, float* sink) {
  const hn::CappedTag<float, 16> d;
  constexpr std::size_t kChains = 12;  // more than latency x throughput of every core of today
  hn::Vec<decltype(d)> sums[kChains];
  for (std::size_t i = 0; i < kChains; ++i) sums[i] = hn::Set(d, static_cast<float>(i));
  const auto a = hn::Set(d, 0.999F), b = hn::Set(d, 0.001F);
  for (std::int64_t round = 0; round < rounds; ++round) {
    AIKD_UNROLL
    for (std::size_t i = 0; i < kChains; ++i) sums[i] = hn::MulAdd(sums[i], a, b);
  }
  for (std::size_t i = 1; i < kChains; ++i) sums[0] = hn::Add(sums[0], sums[i]);
  *sink = hn::GetLane(sums[0]);
  return rounds * static_cast<std::int64_t>(kChains * hn::Lanes(d));
}

}  // namespace aikd::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aikd::bench {
HWY_EXPORT(MultiplyAdds);

std::int64_t multiply_adds(std::int64_t rounds, float* sink) {
  kernels::select_isa_once();
  return HWY_DYNAMIC_DISPATCH(MultiplyAdds)(rounds, sink);
}

}  // namespace aikd::bench
#endif
