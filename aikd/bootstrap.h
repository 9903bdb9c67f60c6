// Confidence intervals by the bootstrap (Efron, 1979): the statistic of many samples drawn with replacement.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace aikd {

struct Interval {
  double low = 0, high = 0;
};

// Which samples belong together: groups of equal names, in the order of their first; a sample without a name
// is a group of its own.
std::vector<std::vector<std::size_t>> groups_of(std::span<const std::string> names);

// The percentile interval that holds `level` (0 to 1) of the statistic over `resamples` draws of as many
// groups as there are: images of one person resemble each other, so people are drawn, not images. The
// statistic gets the indices of a draw, repeated as drawn. Draws whose statistic is NaN are left out; NaN
// bounds when all are. Deterministic in `seed`. Error(kUsage) for no groups, resamples below 2 or a level
// outside (0, 1).
Interval bootstrap_interval(std::span<const std::vector<std::size_t>> groups,
                            const std::function<double(std::span<const std::size_t>)>& statistic,
                            int resamples, double level, std::uint64_t seed);

}  // namespace aikd
