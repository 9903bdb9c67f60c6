// The subcommand `parity`: the same faces on the CPU in fp32 and on the card in every precision.
#pragma once

#include <string>
#include <vector>

#include "bench/cuda/card.h"
#include "bench/cuda/report.h"

namespace aikd::bench {

struct ParityOptions {
  std::string model, images;
  int limit = 64;  // images, the first in order of name
  int batch = 32;
};

// False when an error is above its bound.
bool check_parity(Card& card, Report& report, const ParityOptions& options);

// How two lists of scores differ.
struct ScoreErrors {
  double mean_difference = 0, max_difference = 0;
  double max_relative = 0;        // |difference| / max(|expected|, standard deviation of the expected scores)
  double max_plain_relative = 0;  // |difference| / |expected|
  double deviation = 0;           // standard deviation of the expected scores
  double spearman = 0;            // of the ranks, ties by their mean rank
};
ScoreErrors compare_scores(const std::vector<double>& got, const std::vector<double>& expected);

}  // namespace aikd::bench
