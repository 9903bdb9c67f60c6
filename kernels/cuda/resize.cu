#include "kernels/cuda/resize.cuh"

#include <algorithm>
#include <cmath>

namespace aikd::kernels::cuda {
namespace {

double support_of(int in, int out) {
  return std::max(1.0, static_cast<double>(in) / static_cast<double>(out));
}

std::size_t filter_ints(int in, int out) {
  const auto taps = static_cast<std::size_t>(std::ceil(support_of(in, out))) * 2 + 1;
  return in == out ? 0 : static_cast<std::size_t>(out) * (2 + taps);
}

// The filter of one axis (kernels/resize.h) in the CPU kernel's order of operations, which decides the last
// bit of a weight: first [out], count [out], weights [taps][out]. Taps that an output does not have are 0.
void fill_filter(int in, int out, std::int32_t* filter) {
  std::fill_n(filter, filter_ints(in, out), 0);
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double support = support_of(in, out), inverse = 1.0 / support;
  const auto triangle = [&](int j, double center) {
    return std::max(0.0, 1.0 - std::abs((j - center + 0.5) * inverse));
  };
  for (int i = 0; i < out; ++i) {
    const double center = (i + 0.5) * scale;
    const int begin = std::max(0, static_cast<int>(center - support + 0.5));
    const int end = std::min(in, static_cast<int>(center + support + 0.5));
    double total = 0;
    for (int j = begin; j < end; ++j) total += triangle(j, center);
    filter[i] = begin;
    filter[out + i] = end - begin;
    for (int j = begin; j < end; ++j) {
      const double weight = total != 0.0 ? triangle(j, center) / total : triangle(j, center);
      filter[static_cast<std::ptrdiff_t>(2 + j - begin) * out + i] =
          static_cast<std::int32_t>(0.5 + weight * (1 << 22));
    }
  }
}

bool vertical_first(const ResizeDims& dims) {
  const std::int64_t shrink_x = std::int64_t{dims.in_width} - dims.out_width;
  const std::int64_t shrink_y = std::int64_t{dims.in_height} - dims.out_height;
  return dims.order == ResizeOrder::kPillow13 && shrink_y > 0 && shrink_y > 2 * shrink_x;
}

}  // namespace

std::size_t resize_filter_ints(const ResizeDims& dims) noexcept {
  return filter_ints(dims.in_width, dims.out_width) + filter_ints(dims.in_height, dims.out_height);
}

std::size_t resize_between_bytes(const ResizeDims& dims) noexcept {
  if (dims.in_width == dims.out_width || dims.in_height == dims.out_height) return 0;
  const int width = vertical_first(dims) ? dims.in_width : dims.out_width;
  const int height = vertical_first(dims) ? dims.out_height : dims.in_height;
  return ceil_div<std::size_t>(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3, 16) *
         16;
}

ResizeJob make_resize_job(const ResizeDims& dims, const std::uint8_t* device_pixels, std::int64_t between,
                          std::int32_t* filters, const std::int32_t* device_filters) noexcept {
  ResizeJob job{.pixels = device_pixels,
                .between = between,
                .in_width = dims.in_width,
                .in_height = dims.in_height,
                .vertical_first = vertical_first(dims) ? 1 : 0};
  const std::size_t x_ints = filter_ints(dims.in_width, dims.out_width);
  if (dims.in_width != dims.out_width) {
    fill_filter(dims.in_width, dims.out_width, filters);
    job.x_filter = device_filters;
  }
  if (dims.in_height != dims.out_height) {
    fill_filter(dims.in_height, dims.out_height, filters + x_ints);
    job.y_filter = device_filters + x_ints;
  }
  return job;
}

void resize_bilinear(const Context& ctx, const ResizeJob* jobs, std::int64_t count, int out_width,
                     int out_height, std::uint8_t* y) {
  if (count == 0) return;
  // Blocks for eight per multiprocessor of an H100; what is beyond an image's work leaves at once.
  constexpr std::int64_t kBlocks = 8 * 132;
  const auto parts = static_cast<unsigned>(ceil_div(kBlocks, std::min(count, kBlocks)));
  const LaunchShape shape{.grid = {.x = static_cast<unsigned>(count) * parts},
                          .block = {.x = kResizeThreads}};
  auto* const workspace = static_cast<std::uint8_t*>(ctx.workspace);
  AIKD_LAUNCH(ctx, shape, resize_pass_kernel<false>, jobs, parts, out_width, out_height, workspace, y);
  AIKD_LAUNCH(ctx, shape, resize_pass_kernel<true>, jobs, parts, out_width, out_height, workspace, y);
}

}  // namespace aikd::kernels::cuda
