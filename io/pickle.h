// A reader of Python pickles that can only build plain data: none, booleans, integers, floats, strings,
// bytes, lists, tuples, dicts, and the few objects a hook agrees to build (tensors, numpy scalars and
// arrays). Protocols 0 to 5; every other opcode and every other global is refused by name. Nothing is ever
// imported or called.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tensor/tensor.h"

namespace aikd::io {

struct PickleValue;
class PickleObject;                              // io/pickle_reader.h
using PickleRef = std::shared_ptr<PickleValue>;  // shared, because pickles share objects through the memo

struct PickleNone {};
struct PickleBytes {
  std::string data;
};
struct PickleList {
  std::vector<PickleRef> items;
};
struct PickleTuple {
  std::vector<PickleRef> items;
};
struct PickleDict {  // in order of insertion; keys are any value
  std::vector<std::pair<PickleRef, PickleRef>> items;
  const PickleValue* find(const std::string& key) const noexcept;
};

// A string is UTF-8, except that a file name which is not (Python's "surrogateescape") has its own bytes. The
// last alternative stands only inside the reader: what the functions below return never holds one, contains
// no cycle, and is at most 100 levels deep.
struct PickleValue {
  std::variant<PickleNone, bool, std::int64_t, double, std::string, PickleBytes, PickleList, PickleTuple,
               PickleDict, Tensor, std::shared_ptr<PickleObject>>
      v;
};

// Error(kInput) for a malformed, oversized or refused pickle. Understands plain data plus numpy scalars and
// arrays (numpy.core.multiarray.scalar / _reconstruct, numpy.dtype, also numpy._core), which become double /
// bool / int64 / Tensor (unsigned 16, 32 and 64-bit integers become the next wider signed type).
PickleRef read_pickle(std::span<const std::uint8_t> bytes);

// The original's `quality-scores.pkl`: a dict {path: numpy.float32}, protocol 4; see io/pickle_write.cpp. Of
// equal paths the last one's score is kept, as in a Python dict.
std::vector<std::uint8_t> write_score_pickle(const std::vector<std::pair<std::string, float>>& scores);

}  // namespace aikd::io
