// One tensor-core product of one warp, from matrices in memory: a check of how fragments are laid out
// (device_cuda.cuh), on which gemm_mma.cuh and every kernel above it rest. Called by tests; costs a launch.
#pragma once

#include "kernels/context.h"
#include "kernels/storage.h"

namespace aikd::kernels::cuda {

// Adds to d [16][8] the product a [16][depth] b [depth][8]; depth is 16 for 16-bit storages, 8 for fp32
// (TF32: a and b are rounded to 10 bits of mantissa). False, with nothing launched, where the card has no
// such product.
bool add_fragment_product(const Context& ctx, Storage storage, const void* a, const void* b, float* d);

}  // namespace aikd::kernels::cuda
