// Where a plan's values live: one arena, places reused as soon as a value has been read for the last time.
#pragma once

#include <cstddef>
#include <vector>

namespace aikd::nn {

struct ValueLife {
  std::size_t floats = 0;
  int first = 0,
      last = 0;  // the steps that write and that last read it; -1 for a value that is there before step 0
  int replaces = -1;  // a value whose place it takes over: its last reader is the step that writes this one
};

struct ArenaLayout {
  std::vector<std::size_t> offsets;  // in floats, multiples of 16; as the values were given
  std::size_t floats = 0;
};

// First fit, in the order of first steps. Values whose lives overlap (a value is alive from `first` to
// `last`, both included) never share a float, except with the one they replace.
ArenaLayout lay_out(const std::vector<ValueLife>& values);

}  // namespace aikd::nn
