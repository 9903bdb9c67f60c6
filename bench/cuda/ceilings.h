// The two rates that everything else is held against, measured in the same run: bytes through device memory,
// and dense matrix products.
#pragma once

#include <map>

#include "bench/cuda/card.h"
#include "bench/cuda/report.h"

namespace aikd::bench {

struct Ceilings {
  double bytes_per_s = 0;                       // copy, read + written; the better of two ways
  std::map<nn::Precision, double> flops_per_s;  // empty without cuBLASLt

  // 0 where it was not measured.
  double matrix(nn::Precision precision) const;
};

// Copies of 1 GiB by our kernel and by the runtime; products of `extent`^3 through cuBLASLt on random data.
// About two seconds.
Ceilings measure_ceilings(Card& card, Report& report, std::int64_t extent = 8192,
                          std::int64_t copy_bytes = std::int64_t{1} << 30);

}  // namespace aikd::bench
