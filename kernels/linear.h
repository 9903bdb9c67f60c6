// Fully connected layer: y[i,o] = bias[o] + sum_j x[i,j] * weight[o,j].
//
// Work: rows*in*out multiply-adds; for few rows memory bound on 4*in*out bytes of weights.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/context.h"

namespace aikd::kernels {

struct LinearDims {
  std::int64_t rows = 1, in = 1, out = 1;
};

namespace cpu {

// Assigns y [rows,out]. weight [out,in]; bias: out floats or null. y must not overlap the others. rows may be
// 0. Sums are accumulated in a fixed number of partial sums that does not depend on rows or threads.
void linear(const Context& ctx, const LinearDims& dims, const float* x, const float* weight,
            const float* bias, float* y);

// The same with weights packed once: pack_linear makes [out/B][in][B], B = linear_block() outputs, padded
// with zeros. x rows are x_stride floats apart and y rows y_stride. y gets a whole number of blocks: y_stride
// >= linear_padded_outputs(out); what is beyond `out` is assigned 0. `bias` has linear_padded_outputs(out)
// floats.
std::int64_t linear_block();
std::int64_t linear_padded_outputs(std::int64_t out);
std::size_t packed_linear_floats(std::int64_t in, std::int64_t out);
void pack_linear(std::int64_t in, std::int64_t out, const float* weight, float* packed);
void packed_linear(const Context& ctx, const LinearDims& dims, const float* x, std::int64_t x_stride,
                   const float* packed, const float* bias, float* y, std::int64_t y_stride);

}  // namespace cpu
}  // namespace aikd::kernels
