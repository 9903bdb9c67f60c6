// Reductions in a fixed order.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/context.h"
#include "kernels/storage.h"

namespace aikd::kernels {
namespace cpu {

// y[i] = sum_j x[i,j]^2, accumulated in double in index order. Assigns y [rows].
void sum_of_squares(const Context& ctx, std::int64_t rows, std::int64_t columns, const float* x, double* y);

// Two-pass statistics over the first dimension, for BatchNorm: mean[c] and the biased variance
// var[c] = mean of (x - mean)^2, both in double. rows >= 1. Assigns mean, var [channels].
void channel_statistics(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x,
                        double* mean, double* var);

}  // namespace cpu

// Device pointers, no overlap, no alignment needed. The order of each sum depends on the shape and the
// storage alone.
namespace cuda {

// y[c] = sum_i x[i,c]. Assigns y [channels]; rows may be 0. Runs of rows are added in fp32, their sums in
// double. Reads x once. ctx.workspace: sum_workspace_bytes.
std::size_t sum_workspace_bytes(std::int64_t rows, std::int64_t channels);
void sum(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels, const void* x,
         float* y);

// y[i] = sqrt(sum_j x[i,j]^2), in fp32: values from 1e-19 to 1e18 neither vanish nor overflow. Assigns y
// [rows]. Made for embeddings (hundreds of columns): one block per row. Reads x once.
void row_norms(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t columns, const void* x,
               float* y);

// *y = mean of x, added in double. Made for the losses of a batch: one block does all of it. count 0: y is
// left alone.
void mean(const Context& ctx, std::int64_t count, const float* x, float* y);

}  // namespace cuda
}  // namespace aikd::kernels
