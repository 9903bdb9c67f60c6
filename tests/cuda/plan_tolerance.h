// How far a plan on CUDA may be from the CPU's, relative in the L2 norm.
#pragma once

#include "nn/plan.h"

namespace aikd::test {

inline double tolerance(nn::Precision precision) {
  switch (precision) {
    case nn::Precision::kFp32:
      return 2e-6;
    case nn::Precision::kTf32:
      return 3e-3;
    case nn::Precision::kFp16:
      return 5e-3;
    case nn::Precision::kBf16:
      break;
  }
  return 4e-2;
}

}  // namespace aikd::test
