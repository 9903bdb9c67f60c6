// The functions of cuBLASLt that this library calls, found at run time. Included by cublas_*.cpp only.
#pragma once

#include <cublasLt.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>

namespace aikd::kernels::cuda {

struct CublasLtApi {
  decltype(&cublasLtGetVersion) get_version = nullptr;
  decltype(&cublasLtGetStatusString) get_status_string = nullptr;
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtDestroy) destroy = nullptr;
  decltype(&cublasLtMatmulDescCreate) matmul_create = nullptr;
  decltype(&cublasLtMatmulDescDestroy) matmul_destroy = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) matmul_set = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) layout_create = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) get_heuristic = nullptr;
  decltype(&cublasLtMatmul) matmul = nullptr;
};

// What decides the algorithm: direction, spec, alignment of the pointers, size of the workspace.
using CublasLtKey = std::array<std::int64_t, 12>;
struct CublasLtChoice {
  bool found = false;  // false: the heuristics know none
  cublasLtMatmulAlgo_t algorithm{};
};

// What a Libraries keeps of cuBLASLt.
struct CublasLtState {
  CublasLtApi api;
  cublasLtHandle_t handle = nullptr;
  std::map<CublasLtKey, CublasLtChoice> choices;

  CublasLtState() = default;
  CublasLtState(const CublasLtState&) = delete;
  CublasLtState& operator=(const CublasLtState&) = delete;
  ~CublasLtState();
};

}  // namespace aikd::kernels::cuda
