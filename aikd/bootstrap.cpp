#include "aikd/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "aikd/score_percentiles.h"
#include "tensor/error.h"
#include "tensor/random.h"

namespace aikd {

std::vector<std::vector<std::size_t>> groups_of(std::span<const std::string> names) {
  std::vector<std::vector<std::size_t>> groups;
  std::map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto [found, is_new] =
        names[i].empty() ? std::pair{index.end(), true} : index.try_emplace(names[i], groups.size());
    if (is_new) groups.emplace_back();
    groups[names[i].empty() ? groups.size() - 1 : found->second].push_back(i);
  }
  return groups;
}

Interval bootstrap_interval(std::span<const std::vector<std::size_t>> groups,
                            const std::function<double(std::span<const std::size_t>)>& statistic,
                            int resamples, double level, std::uint64_t seed) {
  require(!groups.empty(), ErrorKind::kUsage, "A bootstrap needs something to draw from.");
  require(resamples >= 2, ErrorKind::kUsage, "A bootstrap needs at least 2 draws, got ", resamples, ".");
  require(level > 0 && level < 1, ErrorKind::kUsage, "The level of an interval lies between 0 and 1, got ",
          level, ".");
  Random random(seed);
  std::vector<double> values;
  std::vector<std::size_t> draw;
  for (int i = 0; i < resamples; ++i) {
    draw.clear();
    for (std::size_t g = 0; g < groups.size(); ++g) {
      const std::vector<std::size_t>& group = groups[static_cast<std::size_t>(random.below(groups.size()))];
      draw.insert(draw.end(), group.begin(), group.end());
    }
    const double value = statistic(draw);
    if (!std::isnan(value)) values.push_back(value);
  }
  if (values.empty())
    return {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
  std::sort(values.begin(), values.end());
  return {percentile(values, 50 * (1 - level)), percentile(values, 50 * (1 + level))};
}

}  // namespace aikd
