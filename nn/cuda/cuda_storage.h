// The types of training and scoring on CUDA: of a precision, of a kernel's argument, of a tensor.
#pragma once

#include "kernels/storage.h"
#include "nn/plan.h"
#include "tensor/dtype.h"
#include "tensor/error.h"

namespace aikd::nn {

// What images and their filters are stored in; vectors are fp32 whatever the precision.
constexpr kernels::Storage storage_of(Precision precision) noexcept {
  if (precision == Precision::kFp16) return kernels::Storage::kF16;
  return precision == Precision::kBf16 ? kernels::Storage::kBF16 : kernels::Storage::kF32;
}

constexpr DType dtype_of_storage(kernels::Storage storage) noexcept {
  if (storage == kernels::Storage::kF16) return DType::kF16;
  return storage == kernels::Storage::kBF16 ? DType::kBF16 : DType::kF32;
}

inline kernels::Storage storage_of(DType dtype) {
  require(dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16, ErrorKind::kInternal,
          "The kernels compute on F32, F16 and BF16, but were given a tensor of ", name_of(dtype), ".");
  if (dtype == DType::kF16) return kernels::Storage::kF16;
  return dtype == DType::kBF16 ? kernels::Storage::kBF16 : kernels::Storage::kF32;
}

}  // namespace aikd::nn
