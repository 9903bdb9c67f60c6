// The inner loop of convolutions on blocked tensors (kernels/blocked.h), direct and Winograd's, per target:
// included by kernels below foreach_target.
#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "kernels/blocked.h"
#include "kernels/cpu/targets.h"

#if defined(AIKD_KERNELS_CPU_CONV_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AIKD_KERNELS_CPU_CONV_TILE_INL_H_
#undef AIKD_KERNELS_CPU_CONV_TILE_INL_H_
#else
#define AIKD_KERNELS_CPU_CONV_TILE_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;

// The largest tile: two vectors of output channels per pixel; 14 pixels (28 accumulators, 2 filters, 1
// broadcast) of 32 registers, or 6 of 16. 112, 56, 28 and 14 are multiples of 14.
constexpr int kLargestTile = AIKD_REGISTERS == 32 ? 14 : 6;

// Output channels of a tile.
inline std::int64_t ConvBlock() {
  return 2 * static_cast<std::int64_t>(hn::Lanes(D()));
}

// One tap of pixels [kSkip, kSkip + kCount) of a tile: x is the input of pixel kSkip, `channels` of it are
// used. each(): called once per channel, for what is to happen beside the multiplications.
struct Nothing {
  HWY_INLINE void operator()() const {}
};
template <int kStep, std::size_t kSkip, std::size_t kCount, std::size_t kT, class Each = Nothing>
HWY_INLINE void Tap(const float* HWY_RESTRICT x, const float* HWY_RESTRICT w, std::int64_t channels,
                    V (&acc)[kT][2], Each&& each = Each()) {
  const D d;
  const std::size_t lanes = hn::Lanes(d);
  for (std::int64_t c = 0; c < channels; ++c, w += 2 * lanes) {
    each();
    const V w0 = hn::Load(d, w), w1 = hn::Load(d, w + lanes);
    AIKD_UNROLL
    for (std::size_t i = 0; i < kCount; ++i) {
      const V value =
          hn::Set(d, x[static_cast<std::size_t>(kStep * kBlock) * i + static_cast<std::size_t>(c)]);
      acc[kSkip + i][0] = hn::MulAdd(value, w0, acc[kSkip + i][0]);
      acc[kSkip + i][1] = hn::MulAdd(value, w1, acc[kSkip + i][1]);
    }
  }
}

}  // namespace aikd::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
