#include "nn/plan_memory.h"

#include <algorithm>

#include "tensor/random.h"
#include "tests/support/test.h"

using namespace aikd;
using nn::ArenaLayout;
using nn::ValueLife;

TEST_CASE("plan memory: values that live together never overlap") {
  Random random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<ValueLife> values;
    const int count = 1 + static_cast<int>(random.below(30));
    for (int i = 0; i < count; ++i) {
      const int first = static_cast<int>(random.below(20)) - 1;
      values.push_back({random.below(500), first, first + static_cast<int>(random.below(8)), -1});
    }
    const ArenaLayout layout = nn::lay_out(values);
    int overlaps = 0;
    for (std::size_t a = 0; a < values.size(); ++a) {
      CHECK(layout.offsets[a] % 16 == 0);
      CHECK(layout.offsets[a] + values[a].floats <= layout.floats);
      for (std::size_t b = 0; b < a; ++b) {
        const bool together = values[a].first <= values[b].last && values[b].first <= values[a].last;
        const bool apart = layout.offsets[a] + values[a].floats <= layout.offsets[b] ||
                           layout.offsets[b] + values[b].floats <= layout.offsets[a];
        if (together && !apart) ++overlaps;
      }
    }
    CHECK(overlaps == 0);
  }
}

TEST_CASE("plan memory: a chain needs two places and a replacement none") {
  const std::vector<ValueLife> chain = {{100, -1, 0, -1}, {100, 0, 1, -1}, {100, 1, 2, -1}, {100, 2, 3, -1}};
  CHECK(nn::lay_out(chain).floats == 2 * 112);
  const std::vector<ValueLife> replaced = {{100, -1, 0, -1}, {100, 0, 1, 0}, {100, 1, 2, 1}, {50, 2, 3, -1}};
  const ArenaLayout layout = nn::lay_out(replaced);
  CHECK(layout.offsets[1] == layout.offsets[0]);
  CHECK(layout.offsets[2] == layout.offsets[0]);
  CHECK(layout.offsets[3] == 112);
  CHECK(layout.floats == 112 + 64);
}
