#include "kernels/cuda/depthwise_conv2d.cuh"

#include "kernels/cuda/gemm_parts.cuh"
#include "kernels/depthwise_conv2d.h"

namespace aikd::kernels::cuda {
namespace {

std::int32_t narrow(std::int64_t value) {
  return static_cast<std::int32_t>(value);
}

// `g` but for its count of threads.
void run_depthwise(const Context& ctx, Storage storage, std::int64_t n, Depthwise g, const void* x,
                   const float* weight, const FusedEpilogue& epilogue, const BorderGeometry& border,
                   void* y) {
  if (n * g.out_h * g.out_w * g.c == 0) return;
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    constexpr int kWidth = kVecWidth<T>;
    const bool vector = g.c % kWidth == 0 && aligned_to(x, 16) && aligned_to(weight, 16);
    g.threads = n * g.out_h * ceil_div(g.out_w, kAlong) * (vector ? g.c / kWidth : g.c);
    const LaunchShape shape{
        .grid = {.x = static_cast<unsigned>(ceil_div<std::int64_t>(g.threads, kDepthwiseThreads))},
        .block = {.x = kDepthwiseThreads}};
    const T* const from = static_cast<const T*>(x);
    T* const to = static_cast<T*>(y);
    if (vector) {
      AIKD_LAUNCH(ctx, shape, (depthwise_conv2d_kernel<T, kWidth>), g, from, weight, epilogue, border,
                  epilogue_vectors(epilogue, y, storage, g.c, kWidth), to);
    } else {
      AIKD_LAUNCH(ctx, shape, (depthwise_conv2d_kernel<T, 1>), g, from, weight, epilogue, border, false, to);
    }
  });
}

// How the pixels are cut for the filter gradient: about eight blocks per multiprocessor of an H100, but no
// run shorter than 64 pixels. By the shape alone; four channels per thread are assumed.
Runs runs_of(const Conv2dDims& dims) {
  constexpr std::int64_t kBlocks = 8 * 132, kShortest = 64;
  const std::int64_t others = ceil_div<std::int64_t>(dims.c, 4 * kGradientVectors) *
                              ceil_div<std::int64_t>(dims.r * dims.s, kGradientTaps);
  return cut_into_runs(dims.n * dims.p() * dims.q(), ceil_div(kBlocks, others > 0 ? others : 1), kShortest,
                       1);
}

}  // namespace

void depthwise_conv2d(const Context& ctx, Storage storage, const Conv2dDims& dims, const void* x,
                      const float* weight, const FusedEpilogue& epilogue, void* y) {
  const Depthwise g{.h = narrow(dims.h),
                    .w = narrow(dims.w),
                    .c = narrow(dims.c),
                    .r = narrow(dims.r),
                    .s = narrow(dims.s),
                    .out_h = narrow(dims.p()),
                    .out_w = narrow(dims.q()),
                    .multiply = narrow(dims.stride),
                    .offset_h = narrow(-dims.pad),
                    .offset_w = narrow(-dims.pad)};
  run_depthwise(ctx, storage, dims.n, g, x, weight, epilogue, border_geometry(dims), y);
}

void depthwise_conv2d_data_gradient(const Context& ctx, Storage storage, const Conv2dDims& dims,
                                    const void* dy, const float* weight, void* dx) {
  const Depthwise g{.h = narrow(dims.p()),
                    .w = narrow(dims.q()),
                    .c = narrow(dims.c),
                    .r = narrow(dims.r),
                    .s = narrow(dims.s),
                    .out_h = narrow(dims.h),
                    .out_w = narrow(dims.w),
                    .divide = narrow(dims.stride),
                    .offset_h = narrow(dims.pad - (dims.r - 1)),
                    .offset_w = narrow(dims.pad - (dims.s - 1)),
                    .turned = true};
  run_depthwise(ctx, storage, dims.n, g, dy, weight, {}, {}, dx);
}

std::size_t depthwise_conv2d_filter_gradient_workspace_bytes(const Conv2dDims& dims) {
  const std::int64_t parts = runs_of(dims).count;
  return parts == 1 ? 0 : sizeof(float) * static_cast<std::size_t>(parts * dims.r * dims.s * dims.c);
}

void depthwise_conv2d_filter_gradient(const Context& ctx, Storage storage, const Conv2dDims& dims,
                                      const void* x, const void* dy, float* dweight) {
  const Runs runs = runs_of(dims);
  const std::int64_t count = dims.r * dims.s * dims.c;
  if (count == 0) return;
  const DepthwiseGradient g{.p = narrow(dims.p()),
                            .q = narrow(dims.q()),
                            .h = narrow(dims.h),
                            .w = narrow(dims.w),
                            .c = narrow(dims.c),
                            .r = narrow(dims.r),
                            .s = narrow(dims.s),
                            .stride = narrow(dims.stride),
                            .pad = narrow(dims.pad),
                            .pixels = narrow(dims.n * dims.p() * dims.q()),
                            .part_length = narrow(runs.length)};
  float* const out = runs.count == 1 ? dweight : static_cast<float*>(ctx.workspace);
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    constexpr int kWidth = 4;
    const T* const from = static_cast<const T*>(x);
    const T* const upstream = static_cast<const T*>(dy);
    const bool vector =
        dims.c % kWidth == 0 && aligned_to(x, kWidth * sizeof(T)) && aligned_to(dy, kWidth * sizeof(T));
    const std::int64_t vectors = vector ? dims.c / kWidth : dims.c;
    const LaunchShape shape{
        .grid = {.x = static_cast<unsigned>(runs.count),
                 .y = static_cast<unsigned>(ceil_div<std::int64_t>(vectors, kGradientVectors)),
                 .z = static_cast<unsigned>(ceil_div<std::int64_t>(dims.r * dims.s, kGradientTaps))},
        .block = {.x = kGradientVectors * kGradientSharers}};
    if (vector) {
      AIKD_LAUNCH(ctx, shape, (depthwise_filter_gradient_kernel<T, kWidth>), g, from, upstream, out);
    } else {
      AIKD_LAUNCH(ctx, shape, (depthwise_filter_gradient_kernel<T, 1>), g, from, upstream, out);
    }
  });
  if (runs.count > 1) sum_parts<float>(ctx, out, narrow(runs.count), count, nullptr, 1, dweight);
}

}  // namespace aikd::kernels::cuda
