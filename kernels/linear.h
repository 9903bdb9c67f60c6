// Fully connected layer: y[i,o] = bias[o] + sum_j x[i,j] * weight[o,j].
//
// Work: rows*in*out multiply-adds; for few rows memory bound on 4*in*out bytes of weights.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/context.h"
#include "kernels/storage.h"

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

// Hand-written kernels. x, y, dx, dy and weight [out,in] share one storage; device pointers, which need no
// alignment and do not overlap. rows may be 0; rows*out and in*out are below 2^31. Tensor cores for 16-bit
// storages as in conv2d.h.
//
// The reduction is cut into parts by its length alone (at most 64 of at least 256 elements), each summed by
// itself, and the parts are added in order: a row gives the same bits among any number of rows. With few rows
// the parts go to different blocks, so that 25088 x 512 weights (51 MB in fp32; 15 us at 3.35 TB/s) are read
// by the whole card. Unmeasured.
namespace cuda {

// Assigns y [rows,out]. bias: out floats or null. ctx.workspace: linear_workspace_bytes(dims).
std::size_t linear_workspace_bytes(const LinearDims& dims);
void linear(const Context& ctx, Storage storage, const LinearDims& dims, const void* x, const void* weight,
            const float* bias, void* y);

// Assigns dx [rows,in]: dx[i,j] = sum_o dy[i,o] weight[o,j]. ctx.workspace: the transposed weights, and the
// parts' sums.
std::size_t linear_data_gradient_workspace_bytes(Storage storage, const LinearDims& dims);
void linear_data_gradient(const Context& ctx, Storage storage, const LinearDims& dims, const void* dy,
                          const void* weight, void* dx);

// Assigns dweight [out,in], fp32 for every storage: dweight[o,j] = sum_i dy[i,o] x[i,j]. As
// conv2d_filter_gradient.
std::size_t linear_weight_gradient_workspace_bytes(const LinearDims& dims);
void linear_weight_gradient(const Context& ctx, Storage storage, const LinearDims& dims, const void* x,
                            const void* dy, float* dweight);

}  // namespace cuda
}  // namespace aikd::kernels
