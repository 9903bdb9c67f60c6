#include "kernels/cuda/warp_affine.cuh"

#include "kernels/cuda/epilogue_device.cuh"

namespace aikd::kernels::cuda {
namespace {

struct WarpLaunch {
  WarpGrid grid;
  LaunchShape shape;
};
WarpLaunch warp_launch(std::int64_t count, int out_width, int out_height) {
  const int across = ceil_div(out_width, kWarpColumns), down = ceil_div(out_height, kWarpRows);
  const auto tiles = static_cast<unsigned>(across) * static_cast<unsigned>(down);
  return {.grid = {.width = out_width,
                   .height = out_height,
                   .tiles_across = static_cast<unsigned>(across),
                   .tiles = tiles},
          .shape = {.grid = {.x = static_cast<unsigned>(count) * tiles}, .block = {.x = kWarpThreads}}};
}

}  // namespace

WarpJob make_warp_job(const double matrix[6], const std::uint8_t* device_pixels, int width,
                      int height) noexcept {
  const double* const m = matrix;
  const double determinant = m[0] * m[4] - m[1] * m[3];
  const double factor = determinant != 0 ? 1.0 / determinant : 0.0;
  const double a = m[4] * factor, b = m[1] * -factor, d = m[3] * -factor, e = m[0] * factor;
  return {.pixels = device_pixels,
          .width = width,
          .height = height,
          .inverse = {a, b, -a * m[2] - b * m[5], d, e, -d * m[2] - e * m[5]}};
}

void warp_affine(const Context& ctx, const WarpJob* jobs, std::int64_t count, int out_width, int out_height,
                 std::uint8_t* y) {
  if (count == 0) return;
  const WarpLaunch launch = warp_launch(count, out_width, out_height);
  if (out_width % kWarpQuad == 0 && aligned_to(y, 4)) {
    AIKD_LAUNCH(ctx, launch.shape, warp_affine_kernel<true>, jobs, launch.grid, y);
  } else {
    AIKD_LAUNCH(ctx, launch.shape, warp_affine_kernel<false>, jobs, launch.grid, y);
  }
}

void warp_normalise(const Context& ctx, Storage storage, const WarpJob* jobs, std::int64_t count,
                    int out_width, int out_height, const NormaliseTable& table, std::int64_t y_pixel,
                    void* y) {
  if (count == 0) return;
  const WarpLaunch launch = warp_launch(count, out_width, out_height);
  const int channels = static_cast<int>(y_pixel);
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* const to = static_cast<T*>(y);
    const auto fits = [&](int width) {
      return channels % width == 0 && aligned_to(y, sizeof(T) * static_cast<std::size_t>(width));
    };
    if (fits(kVecWidth<T>)) {
      AIKD_LAUNCH(ctx, launch.shape, (warp_normalise_kernel<T, kVecWidth<T>>), jobs, launch.grid, table,
                  channels, to);
    } else if (sizeof(T) == 2 && fits(4)) {
      AIKD_LAUNCH(ctx, launch.shape, (warp_normalise_kernel<T, 4>), jobs, launch.grid, table, channels, to);
    } else {
      AIKD_LAUNCH(ctx, launch.shape, (warp_normalise_kernel<T, 1>), jobs, launch.grid, table, channels, to);
    }
  });
}

}  // namespace aikd::kernels::cuda
