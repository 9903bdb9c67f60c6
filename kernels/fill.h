// Writing a value, and copying.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/context.h"
#include "kernels/storage.h"

namespace aikd::kernels::cuda {

// y[i] = value, rounded to the storage. Assigns y [count]; no alignment needed. Writes only.
void fill(const Context& ctx, Storage storage, std::int64_t count, float value, void* y);

// Copies `bytes` bytes from x to y, which do not overlap; no alignment needed. As a kernel, so that it is
// captured and timed like the others: what it reaches is the ceiling that benchmarks hold them against.
void copy(const Context& ctx, std::size_t bytes, const void* x, void* y);

}  // namespace aikd::kernels::cuda
