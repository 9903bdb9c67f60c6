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

struct PickleValue {
  std::variant<PickleNone, bool, std::int64_t, double, std::string, PickleBytes, PickleList, PickleTuple,
               PickleDict, Tensor>
      v;
};

// Error(kInput) for a malformed, oversized or refused pickle. Understands plain data plus numpy scalars and
// arrays (numpy.core.multiarray.scalar / _reconstruct, numpy.dtype, also numpy._core), which become double /
// int64 / Tensor.
PickleRef read_pickle(std::span<const std::uint8_t> bytes);

// Writes {str: numpy.float32}-like score dictionaries as the original's `quality-scores.pkl`; see
// io/pickle.cpp.
std::vector<std::uint8_t> write_score_pickle(const std::vector<std::pair<std::string, float>>& scores);

}  // namespace aikd::io
