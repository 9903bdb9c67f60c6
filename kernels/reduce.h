// Reductions in double, in a fixed order.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace aikd::kernels::cpu {

// y[i] = sum_j x[i,j]^2, accumulated in double in index order. Assigns y [rows].
void sum_of_squares(const Context& ctx, std::int64_t rows, std::int64_t columns, const float* x, double* y);

// Two-pass statistics over the first dimension, for BatchNorm: mean[c] and the biased variance
// var[c] = mean of (x - mean)^2, both in double. rows >= 1. Assigns mean, var [channels].
void channel_statistics(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x,
                        double* mean, double* var);

}  // namespace aikd::kernels::cpu
