#include "aikd/score_percentiles.h"

#include <algorithm>
#include <cmath>

#include "tensor/error.h"

namespace aikd {

namespace {

template <class T>
double percentile_of(std::span<const T> sorted, double p) {
  require(!sorted.empty() && p >= 0 && p <= 100, ErrorKind::kInternal,
          "percentile() needs values and a p of 0..100; got ", sorted.size(), " values and p = ", p, ".");
  const double position = p / 100 * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double lo = static_cast<double>(sorted[below]), hi = static_cast<double>(sorted[above]);
  return lo + (hi - lo) * (position - static_cast<double>(below));
}

}  // namespace

double percentile(std::span<const float> sorted, double p) {
  return percentile_of(sorted, p);
}

double percentile(std::span<const double> sorted, double p) {
  return percentile_of(sorted, p);
}

Histogram histogram(std::span<const float> sorted, int bins) {
  require(!sorted.empty() && bins > 0, ErrorKind::kInternal,
          "histogram() needs values and at least one bin.");
  Histogram h;
  h.lo = static_cast<double>(sorted.front());
  h.hi = static_cast<double>(sorted.back());
  if (!(h.hi > h.lo)) {
    h.counts = {static_cast<std::int64_t>(sorted.size())};
    return h;
  }
  h.counts.assign(static_cast<std::size_t>(bins), 0);
  for (const float value : sorted) {
    const double place = (static_cast<double>(value) - h.lo) / (h.hi - h.lo) * bins;
    ++h.counts[static_cast<std::size_t>(std::min(place, static_cast<double>(bins - 1)))];
  }
  return h;
}

}  // namespace aikd
