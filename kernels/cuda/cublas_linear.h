// Fully connected layers through cuBLASLt: y[i,o] = epilogue(sum_j x[i,j] weight[o,j]), row-major, fp32
// accumulation.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/context.h"
#include "kernels/cuda/libraries.h"
#include "kernels/storage.h"

namespace aikd::kernels::cuda {

enum class LinearEpilogue : std::uint8_t {
  kNone,
  kBias,
  // cuBLASLt's own GELU is the tanh approximation (error up to 5e-4): only where asked for by name. The exact
  // one is gelu() of activation.h.
  kBiasGeluTanh,
};

struct CublasLinearSpec {
  std::int64_t rows = 1, in = 1, out = 1;  // each at least 1
  Storage input = Storage::kF32;   // of the two factors: x and weight; in the gradients dy and the other one
  Storage output = Storage::kF32;  // of the result: y, dx or dweight; bias has this type too
  bool tf32 = false;               // with fp32 input: tensor cores may be used
  LinearEpilogue epilogue = LinearEpilogue::kNone;
};

// Forward: y [rows,out] = x [rows,in] * weight [out,in]^T (+ bias [out]). False, with nothing launched, when
// cuBLASLt is absent or has no algorithm for the spec: the caller then uses the hand-written kernel.
// Algorithms are cached in `ctx.libraries` by spec, alignment of the pointers and size of the workspace;
// split-k algorithms are left out, so results repeat bit for bit. Uses ctx.workspace (NVIDIA advises 32 MiB
// on Hopper; less may leave out algorithms). A failed launch goes to ctx.on_error.
bool cublas_linear(const Context& ctx, const CublasLinearSpec& spec, const void* x, const void* weight,
                   const void* bias, void* y);
// The gradients have no epilogue (with one: false).
// dx [rows,in] = dy [rows,out] * weight [out,in]
bool cublas_linear_data_gradient(const Context& ctx, const CublasLinearSpec& spec, const void* dy,
                                 const void* weight, void* dx);
// dweight [out,in] = dy [rows,out]^T * x [rows,in]
bool cublas_linear_weight_gradient(const Context& ctx, const CublasLinearSpec& spec, const void* x,
                                   const void* dy, void* dweight);

}  // namespace aikd::kernels::cuda
