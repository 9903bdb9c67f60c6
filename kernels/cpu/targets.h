// The instruction sets the CPU kernels are compiled for; included before Highway in every kernel file. SSSE3
// adds nothing to SSE4; vectors of unknown size (SVE, RVV) cannot be kept in arrays of accumulators.
#pragma once

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
// Scalar code as well where every processor has vectors (aarch64): it is what the others are compared with.
#define HWY_COMPILE_ALL_ATTAINABLE

// Vector registers of the target that is being compiled. On aarch64 it is the architecture that has 32: newer
// versions of Highway have several NEON targets.
#define AIKD_REGISTERS (HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM_A64 ? 32 : 16)

// Loops over accumulators held in registers must be unrolled completely.
#if defined(__clang__)
#define AIKD_UNROLL _Pragma("clang loop unroll(full)")
#else
#define AIKD_UNROLL _Pragma("GCC unroll 32")
#endif
