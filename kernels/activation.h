// Activations. Each reads and writes 4 bytes per element (fp32); y may be x. NaN stays NaN.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/context.h"
#include "kernels/storage.h"

namespace aikd::kernels {
namespace cpu {

// y[i,c] = x > 0 ? x : slope[c] * x. So 0 gives slope*0 (the sign of zero is that of the product). Assigns y
// [rows,channels]; slope: channels floats.
void prelu(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x, const float* slope,
           float* y);

// y = x < lo ? lo : x > hi ? hi : x, with lo <= hi (hi may be infinite: ReLU is clamp(0, inf)).
void clamp(const Context& ctx, std::int64_t count, const float* x, float lo, float hi, float* y);

// Exact GELU (Hendrycks and Gimpel 2016), y = x/2 (1 + erf(x / sqrt 2)), computed in double as
// x/2 erfc(-x / sqrt 2), which keeps its digits for x << 0, and rounded once.
void gelu(const Context& ctx, std::int64_t count, const float* x, float* y);

}  // namespace cpu

// Tensors share one storage; device pointers, no alignment needed. Gradients read x and dy and write dx,
// which may be dy; each element of the result is one fp32 value rounded to the storage.
namespace cuda {

// As above.
void prelu(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels, const void* x,
           const float* slope, void* y);

// dx = x > 0 ? dy : slope[c] dy; dslope[c] = sum of dy x over the rows where not x > 0. Assigns dx
// [rows,channels] (null: not wanted) and dslope [channels]; rows may be 0. One pass over x and dy. The order
// of each sum depends on the shape and the storage alone.
std::size_t prelu_backward_workspace_bytes(std::int64_t rows, std::int64_t channels);
void prelu_backward(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels,
                    const void* x, const float* slope, const void* dy, void* dx, float* dslope);

// As above.
void clamp(const Context& ctx, Storage storage, std::int64_t count, const void* x, float lo, float hi,
           void* y);

// dx = x <= lo or x >= hi ? 0 : dy. At the bounds, where there is no derivative, this is the convention of
// PyTorch's ReLU, ReLU6 and Hardtanh (gradient 0 at the bound; threshold_backward, hardtanh_backward), for
// which this op stands. torch.clamp itself has another: 1 at the bounds (clamp_backward). Where x is NaN: dy.
void clamp_backward(const Context& ctx, Storage storage, std::int64_t count, const void* x, float lo,
                    float hi, const void* dy, void* dx);

// Exact GELU in fp32, within a few units of the last place wherever the result is a normal number.
void gelu(const Context& ctx, Storage storage, std::int64_t count, const void* x, void* y);

// dx = dy (Phi(x) + x phi(x)), Phi the normal distribution function and phi its density.
void gelu_backward(const Context& ctx, Storage storage, std::int64_t count, const void* x, const void* dy,
                   void* dx);

}  // namespace cuda
}  // namespace aikd::kernels
