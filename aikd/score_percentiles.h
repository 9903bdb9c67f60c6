// The distribution of a run's scores: what helps to choose a threshold.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace aikd {

// p in 0..100 of ascending `sorted` (not empty): linear between the two nearest ranks, position
// p / 100 * (n - 1) (numpy.percentile's default, type 7 of Hyndman and Fan 1996).
double percentile(std::span<const float> sorted, double p);
double percentile(std::span<const double> sorted, double p);

// Which percentiles are printed.
inline constexpr int kShownPercentiles[] = {0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100};

// Counts in `bins` equal bins from the smallest to the largest of ascending `sorted`; one bin when all are
// equal.
struct Histogram {
  double lo = 0, hi = 0;
  std::vector<std::int64_t> counts;
};
Histogram histogram(std::span<const float> sorted, int bins);

}  // namespace aikd
