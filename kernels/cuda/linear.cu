#include "kernels/cuda/gemm_parts.cuh"
#include "kernels/cuda/implicit_gemm.cuh"
#include "kernels/linear.h"

namespace aikd::kernels::cuda {
namespace {

// Rows of a matrix as the pixels of one image of one line, seen by 1x1 filters.
Conv2dDims as_convolution(const LinearDims& dims) {
  return {.n = 1, .h = 1, .w = dims.rows, .c = dims.in, .k = dims.out};
}

// The parts of the reduction, by its length alone: at most 64, of at least 256 elements, in whole stages.
Runs parts_of(std::int64_t in) {
  constexpr std::int64_t kMostParts = 64, kShortest = 256, kStage = 32;
  return cut_into_runs(in, kMostParts, kShortest, kStage);
}

// Whether blocks share the parts of a result among them: where tiles of 64 x 64 alone would fill less than
// half of an H100.
bool splits(const LinearDims& dims) {
  constexpr std::int64_t kEnoughTiles = 66;
  return parts_of(dims.in).count > 1 &&
         ceil_div<std::int64_t>(dims.rows, 64) * ceil_div<std::int64_t>(dims.out, 64) < kEnoughTiles;
}

std::size_t turned_bytes(Storage storage, const LinearDims& dims) {
  const std::size_t bytes = bytes_of(storage) * static_cast<std::size_t>(dims.in * dims.out);
  return ceil_div<std::size_t>(bytes, 256) * 256;
}

// `partial`: linear_workspace_bytes(dims), when it splits.
void multiply(const Context& ctx, Storage storage, const LinearDims& dims, const void* x, const void* weight,
              const float* bias, void* y, void* partial) {
  if (dims.rows == 0 || dims.out == 0) return;
  const bool split = splits(dims);
  const ImplicitGemm gemm{.w = static_cast<std::int32_t>(dims.rows),
                          .c = static_cast<std::int32_t>(dims.in),
                          .out_w = static_cast<std::int32_t>(dims.rows),
                          .k = static_cast<std::int32_t>(dims.out),
                          .parts = static_cast<std::int32_t>(parts_of(dims.in).count),
                          .part_length = static_cast<std::int32_t>(parts_of(dims.in).length)};
  GemmPointers pointers{.source = x, .filter = weight, .y = y};
  if (split) {
    pointers.partial = static_cast<float*>(partial);
  } else {
    pointers.epilogue.bias = bias;
  }
  run_implicit_gemm(ctx, storage, false, gemm, pointers);
  if (!split) return;
  with_storage(storage, [&](auto tag) {
    using T = typename decltype(tag)::type;
    sum_parts<T>(ctx, pointers.partial, gemm.parts, dims.rows * dims.out, bias, gemm.k, static_cast<T*>(y));
  });
}

}  // namespace

std::size_t linear_workspace_bytes(const LinearDims& dims) {
  if (!splits(dims)) return 0;
  return sizeof(float) * static_cast<std::size_t>(parts_of(dims.in).count * dims.rows * dims.out);
}

void linear(const Context& ctx, Storage storage, const LinearDims& dims, const void* x, const void* weight,
            const float* bias, void* y) {
  multiply(ctx, storage, dims, x, weight, bias, y, ctx.workspace);
}

std::size_t linear_data_gradient_workspace_bytes(Storage storage, const LinearDims& dims) {
  return turned_bytes(storage, dims) +
         linear_workspace_bytes({.rows = dims.rows, .in = dims.out, .out = dims.in});
}

// dx = dy weight: a linear layer with weight^T.
void linear_data_gradient(const Context& ctx, Storage storage, const LinearDims& dims, const void* dy,
                          const void* weight, void* dx) {
  if (dims.rows == 0) return;
  turn_filter(ctx, storage, dims.out, 1, 1, dims.in, weight, ctx.workspace);
  multiply(ctx, storage, {.rows = dims.rows, .in = dims.out, .out = dims.in}, dy, ctx.workspace, nullptr, dx,
           static_cast<unsigned char*>(ctx.workspace) + turned_bytes(storage, dims));
}

std::size_t linear_weight_gradient_workspace_bytes(const LinearDims& dims) {
  return conv2d_filter_gradient_workspace_bytes(as_convolution(dims));
}

void linear_weight_gradient(const Context& ctx, Storage storage, const LinearDims& dims, const void* x,
                            const void* dy, float* dweight) {
  conv2d_filter_gradient(ctx, storage, as_convolution(dims), x, dy, dweight);
}

}  // namespace aikd::kernels::cuda
