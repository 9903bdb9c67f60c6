#include "kernels/cuda/implicit_gemm.cuh"

namespace aikd::kernels::cuda {
namespace {

std::int32_t narrow(std::int64_t value) {
  return static_cast<std::int32_t>(value);
}

}  // namespace

void conv2d(const Context& ctx, Storage storage, const Conv2dDims& dims, const void* x, const void* weight,
            const FusedEpilogue& epilogue, void* y, bool tf32) {
  const ImplicitGemm gemm{.n = narrow(dims.n),
                          .h = narrow(dims.h),
                          .w = narrow(dims.w),
                          .c = narrow(dims.c),
                          .r = narrow(dims.r),
                          .s = narrow(dims.s),
                          .out_h = narrow(dims.p()),
                          .out_w = narrow(dims.q()),
                          .k = narrow(dims.k),
                          .multiply = narrow(dims.stride),
                          .offset_h = narrow(-dims.pad),
                          .offset_w = narrow(-dims.pad)};
  run_implicit_gemm(
      ctx, storage, tf32, gemm,
      {.source = x, .filter = weight, .y = y, .epilogue = epilogue, .border = border_geometry(dims)});
}

std::size_t conv2d_data_gradient_workspace_bytes(Storage storage, const Conv2dDims& dims) {
  return bytes_of(storage) * static_cast<std::size_t>(dims.k * dims.r * dims.s * dims.c);
}

void conv2d_data_gradient(const Context& ctx, Storage storage, const Conv2dDims& dims, const void* dy,
                          const void* weight, void* dx) {
  if (dims.n == 0) return;
  turn_filter(ctx, storage, dims.k, dims.r, dims.s, dims.c, weight, ctx.workspace);
  const ImplicitGemm gemm{.n = narrow(dims.n),
                          .h = narrow(dims.p()),
                          .w = narrow(dims.q()),
                          .c = narrow(dims.k),
                          .r = narrow(dims.r),
                          .s = narrow(dims.s),
                          .out_h = narrow(dims.h),
                          .out_w = narrow(dims.w),
                          .k = narrow(dims.c),
                          .divide = narrow(dims.stride),
                          .offset_h = narrow(dims.pad - (dims.r - 1)),
                          .offset_w = narrow(dims.pad - (dims.s - 1))};
  run_implicit_gemm(ctx, storage, false, gemm, {.source = dy, .filter = ctx.workspace, .y = dx});
}

}  // namespace aikd::kernels::cuda
