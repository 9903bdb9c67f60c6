#include "kernels/cuda/cublas_linear.h"

#include <cstdint>
#include <utility>

#include "kernels/cuda/cublas_api.h"

namespace aikd::kernels::cuda {
namespace {

// cuBLASLt stores matrices by columns. A row-major [a,b] matrix is, by columns, its transpose [b,a] with
// leading extent b. So
//   y  = x weight^T      is  y^T  [out,rows] = weight [out,in]       x^T [in,rows]
//   dx = dy weight       is  dx^T [in,rows]  = weight^T [in,out]     dy^T [out,rows]
//   dweight = dy^T x     is  dweight^T [in,out] = x^T [in,rows]      dy [rows,out]
// where what stands transposed is what lies in memory, and the others are read with the transposing
// operation. The bias, of `out` numbers, is added along the rows of the result by columns: what the epilogues
// do.
struct Product {
  std::int64_t m, n, k;  // d [m,n] = op(a) [m,k] op(b) [k,n], by columns
  cublasOperation_t a_operation, b_operation;
  const void *a, *b;
  void* d;
  const char* name;
};

cudaDataType_t type_of(Storage storage) {
  switch (storage) {
    case Storage::kF16:
      return CUDA_R_16F;
    case Storage::kBF16:
      return CUDA_R_16BF;
    case Storage::kF32:
      break;
  }
  return CUDA_R_32F;
}

cublasLtEpilogue_t type_of(LinearEpilogue epilogue) {
  switch (epilogue) {
    case LinearEpilogue::kBias:
      return CUBLASLT_EPILOGUE_BIAS;
    case LinearEpilogue::kBiasGeluTanh:
      return CUBLASLT_EPILOGUE_GELU_BIAS;
    case LinearEpilogue::kNone:
      break;
  }
  return CUBLASLT_EPILOGUE_DEFAULT;
}

// The largest power of two, up to 256, that divides the address.
std::uint32_t alignment_of(const void* pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  std::uint32_t alignment = 1;
  while (alignment < 256 && address % (alignment * 2) == 0) alignment *= 2;
  return alignment;
}

// Descriptors of one product; destroyed with it. ok() is false from the first failure on.
class Descriptors {
 public:
  Descriptors(const CublasLtApi& api, const CublasLinearSpec& spec, const Product& p, const void* bias)
      : api_(api) {
    // The scale (alpha, beta) is in fp32 whatever the storage, and so are the sums.
    const bool tf32 = spec.tf32 && spec.input == Storage::kF32;
    check(api.matmul_create(&matmul, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F));
    set(CUBLASLT_MATMUL_DESC_TRANSA, p.a_operation);
    set(CUBLASLT_MATMUL_DESC_TRANSB, p.b_operation);
    const cublasLtEpilogue_t epilogue = type_of(spec.epilogue);
    if (epilogue != CUBLASLT_EPILOGUE_DEFAULT) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
      set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, std::int32_t{type_of(spec.output)});
    }
    layout(&a, spec.input, p.m, p.k, p.a_operation);
    layout(&b, spec.input, p.k, p.n, p.b_operation);
    layout(&d, spec.output, p.m, p.n, CUBLAS_OP_N);
  }
  ~Descriptors() {
    if (matmul != nullptr) api_.matmul_destroy(matmul);
    for (cublasLtMatrixLayout_t const layout : {a, b, d})
      if (layout != nullptr) api_.layout_destroy(layout);
  }
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;
  bool ok() const { return ok_; }

  cublasLtMatmulDesc_t matmul = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, d = nullptr;

 private:
  void check(cublasStatus_t status) { ok_ = ok_ && status == CUBLAS_STATUS_SUCCESS; }
  template <class T>
  void set(cublasLtMatmulDescAttributes_t name, const T& value) {
    if (ok_) check(api_.matmul_set(matmul, name, &value, sizeof value));
  }
  // Of a matrix that is [rows,columns] after `operation`.
  void layout(cublasLtMatrixLayout_t* out, Storage storage, std::int64_t rows, std::int64_t columns,
              cublasOperation_t operation) {
    if (operation == CUBLAS_OP_T) std::swap(rows, columns);
    if (ok_)
      check(api_.layout_create(out, type_of(storage), static_cast<std::uint64_t>(rows),
                               static_cast<std::uint64_t>(columns), rows));
  }

  const CublasLtApi& api_;
  bool ok_ = true;
};

// The first algorithm of the heuristics that needs no reduction across blocks: split-k algorithms add parts
// of a sum in an order of their own, and another number of parts gives other bits.
CublasLtChoice choose(const CublasLtState& state, const Descriptors& descriptors, const Product& p,
                      std::size_t workspace_bytes) {
  CublasLtChoice choice;
  cublasLtMatmulPreference_t preference = nullptr;
  if (state.api.preference_create(&preference) != CUBLAS_STATUS_SUCCESS) return choice;
  bool ok = true;
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t name, auto value) {
    ok = ok && state.api.preference_set(preference, name, &value, sizeof value) == CUBLAS_STATUS_SUCCESS;
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{workspace_bytes});
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE});
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(p.a));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(p.b));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(p.d));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(p.d));
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  if (ok &&
      state.api.get_heuristic(state.handle, descriptors.matmul, descriptors.a, descriptors.b, descriptors.d,
                              descriptors.d, preference, 1, &result, &found) == CUBLAS_STATUS_SUCCESS &&
      found == 1 && result.state == CUBLAS_STATUS_SUCCESS) {
    choice.found = true;
    choice.algorithm = result.algo;
  }
  state.api.preference_destroy(preference);
  return choice;
}

bool multiply(const Context& ctx, const CublasLinearSpec& spec, const Product& p, const void* bias) {
  if (ctx.libraries == nullptr || p.m < 1 || p.n < 1 || p.k < 1) return false;
  CublasLtState* const state = ctx.libraries->cublas_lt_state();
  if (state == nullptr) return false;
  const Descriptors descriptors(state->api, spec, p, bias);
  if (!descriptors.ok()) return false;  // a combination of types that cuBLASLt does not have

  const CublasLtKey key = {
      p.m,
      p.n,
      p.k,
      p.a_operation,
      p.b_operation,
      static_cast<std::int64_t>(spec.input) * 16 + static_cast<std::int64_t>(spec.output),
      spec.tf32,
      static_cast<std::int64_t>(spec.epilogue),
      alignment_of(p.a),
      alignment_of(p.b),
      std::int64_t{alignment_of(p.d)} * 512 + alignment_of(bias),
      static_cast<std::int64_t>(ctx.workspace_bytes)};
  auto entry = state->choices.find(key);
  if (entry == state->choices.end())
    entry = state->choices.emplace(key, choose(*state, descriptors, p, ctx.workspace_bytes)).first;
  if (!entry->second.found) return false;

  const float one = 1, zero = 0;  // d = 1 a b + 0 d: d is not read
  const cublasStatus_t status =
      state->api.matmul(state->handle, descriptors.matmul, &one, p.a, descriptors.a, p.b, descriptors.b,
                        &zero, p.d, descriptors.d, p.d, descriptors.d, &entry->second.algorithm,
                        ctx.workspace, ctx.workspace_bytes, static_cast<cudaStream_t>(ctx.stream));
  if (status != CUBLAS_STATUS_SUCCESS)
    report_library_failure(ctx, p.name, state->api.get_status_string(status));
  return true;
}

}  // namespace

bool cublas_linear(const Context& ctx, const CublasLinearSpec& spec, const void* x, const void* weight,
                   const void* bias, void* y) {
  return multiply(ctx, spec,
                  {spec.out, spec.rows, spec.in, CUBLAS_OP_T, CUBLAS_OP_N, weight, x, y, "cublas_linear"},
                  bias);
}

bool cublas_linear_data_gradient(const Context& ctx, const CublasLinearSpec& spec, const void* dy,
                                 const void* weight, void* dx) {
  if (spec.epilogue != LinearEpilogue::kNone) return false;
  return multiply(
      ctx, spec,
      {spec.in, spec.rows, spec.out, CUBLAS_OP_N, CUBLAS_OP_N, weight, dy, dx, "cublas_linear_data_gradient"},
      nullptr);
}

bool cublas_linear_weight_gradient(const Context& ctx, const CublasLinearSpec& spec, const void* x,
                                   const void* dy, void* dweight) {
  if (spec.epilogue != LinearEpilogue::kNone) return false;
  return multiply(ctx, spec,
                  {spec.in, spec.out, spec.rows, CUBLAS_OP_N, CUBLAS_OP_T, x, dy, dweight,
                   "cublas_linear_weight_gradient"},
                  nullptr);
}

}  // namespace aikd::kernels::cuda
