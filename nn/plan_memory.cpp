#include "nn/plan_memory.h"

#include <algorithm>
#include <numeric>

namespace aikd::nn {

ArenaLayout lay_out(const std::vector<ValueLife>& values) {
  ArenaLayout layout;
  layout.offsets.assign(values.size(), 0);
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a].first < values[b].first; });
  struct Place {
    std::size_t begin, end;
    int last;
  };
  std::vector<Place> taken;
  for (const std::size_t v : order) {
    const ValueLife& value = values[v];
    const std::size_t floats = (std::max<std::size_t>(value.floats, 1) + 15) / 16 * 16;
    if (value.replaces >= 0) {
      const std::size_t offset = layout.offsets[static_cast<std::size_t>(value.replaces)];
      layout.offsets[v] = offset;
      for (Place& place : taken) {
        if (place.begin == offset && place.last == value.first) place.last = value.last;
      }
      continue;
    }
    std::erase_if(taken, [&](const Place& place) { return place.last < value.first; });
    std::sort(taken.begin(), taken.end(), [](const Place& a, const Place& b) { return a.begin < b.begin; });
    std::size_t offset = 0;
    for (const Place& place : taken) {
      if (offset + floats <= place.begin) break;
      offset = std::max(offset, place.end);
    }
    layout.offsets[v] = offset;
    layout.floats = std::max(layout.floats, offset + floats);
    taken.push_back({offset, offset + floats, value.last});
  }
  return layout;
}

}  // namespace aikd::nn
