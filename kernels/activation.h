// Activations. Each reads and writes 4 bytes per element; y may be x. NaN stays NaN.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace aikd::kernels::cpu {

// y[i,c] = x > 0 ? x : slope[c] * x. So 0 gives slope*0 (the sign of zero is that of the product). Assigns y
// [rows,channels]; slope: channels floats.
void prelu(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x, const float* slope,
           float* y);

// y = x < lo ? lo : x > hi ? hi : x, with lo <= hi (hi may be infinite: ReLU is clamp(0, inf)).
void clamp(const Context& ctx, std::int64_t count, const float* x, float lo, float hi, float* y);

// Exact GELU (Hendrycks and Gimpel 2016), y = x/2 (1 + erf(x / sqrt 2)), computed in double as
// x/2 erfc(-x / sqrt 2), which keeps its digits for x << 0, and rounded once.
void gelu(const Context& ctx, std::int64_t count, const float* x, float* y);

}  // namespace aikd::kernels::cpu
