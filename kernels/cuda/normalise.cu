#include "kernels/cuda/normalise.cuh"

#include <algorithm>

#include "kernels/cuda/epilogue_device.cuh"

namespace aikd::kernels::cuda {

void normalise(const Context& ctx, Storage storage, const NormaliseTable& table, std::int64_t pixels,
               const std::uint8_t* x, std::int64_t y_pixel, void* y) {
  if (pixels == 0) return;
  constexpr std::int64_t kMostBlocks = 8 * 132;
  const std::int64_t elements = pixels * y_pixel;
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const bool vector = aligned_to(y, 16);
    const std::int64_t round =
        std::int64_t{kNormaliseThreads} * kNormaliseVectors * (vector ? kVecWidth<T> : 1);
    const LaunchShape shape{
        .grid = {.x = static_cast<unsigned>(std::min(ceil_div(elements, round), kMostBlocks))},
        .block = {.x = kNormaliseThreads}};
    const auto channels = static_cast<unsigned>(y_pixel);
    if (vector) {
      AIKD_LAUNCH(ctx, shape, (normalise_kernel<T, kVecWidth<T>>), table, elements, channels, x,
                  static_cast<T*>(y));
    } else {
      AIKD_LAUNCH(ctx, shape, (normalise_kernel<T, 1>), table, elements, channels, x, static_cast<T*>(y));
    }
  });
}

}  // namespace aikd::kernels::cuda
