// The subcommand `scoring`: images per second from bytes on the host to scores on the host.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/cuda/card.h"
#include "bench/cuda/ceilings.h"
#include "bench/cuda/report.h"

namespace aikd::bench {

struct ScoringOptions {
  std::string model;
  // In the order in which they are measured: what matters most first, should the time run out.
  std::vector<int> batches = {256, 1, 86, 128, 1024, 8, 64, 32, 512, 344, 172, 16, 2, 4};
  std::vector<std::string> precisions = {"fp16", "bf16", "tf32", "fp32"};
  bool autotune = false;
};

void measure_scoring(Card& card, Report& report, const Ceilings& ceilings, const Deadline& deadline,
                     const ScoringOptions& options);

}  // namespace aikd::bench
