// Elementwise sum: y = a + b. 8 bytes in, 4 out.
#pragma once

#include <cstdint>

#include "kernels/context.h"

namespace aikd::kernels::cpu {

// Assigns y [count]; y may be a or b.
void add(const Context& ctx, std::int64_t count, const float* a, const float* b, float* y);

}  // namespace aikd::kernels::cpu
