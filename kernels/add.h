// Elementwise sums. 8 bytes in, 4 out (fp32).
#pragma once

#include <cstdint>

#include "kernels/context.h"
#include "kernels/storage.h"

namespace aikd::kernels {
namespace cpu {

// y = a + b. Assigns y [count]; y may be a or b.
void add(const Context& ctx, std::int64_t count, const float* a, const float* b, float* y);

}  // namespace cpu

// All tensors share one storage; device pointers, no alignment needed. Each value is one fp32 operation,
// rounded to the storage.
namespace cuda {

// y = a + b. Assigns y [count]; y may be a or b.
void add(const Context& ctx, Storage storage, std::int64_t count, const void* a, const void* b, void* y);
// y += x. x may be y.
void accumulate(const Context& ctx, Storage storage, std::int64_t count, const void* x, void* y);
// y = factor * x. Assigns y [count]; y may be x.
void scale(const Context& ctx, Storage storage, std::int64_t count, float factor, const void* x, void* y);

}  // namespace cuda
}  // namespace aikd::kernels
