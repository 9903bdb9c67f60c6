// Any bytes: plain data that can be walked by recursion, or an aikd::Error.
// Run: fuzz_pickle tests/fuzz/corpus/fuzz_pickle
#include <cstdint>
#include <cstdlib>

#include "io/pickle.h"

namespace {

std::size_t walk(const aikd::io::PickleValue& value, int depth) {
  if (depth > 101) std::abort();
  std::size_t count = 1;
  if (const auto* list = std::get_if<aikd::io::PickleList>(&value.v))
    for (const auto& item : list->items) count += walk(*item, depth + 1);
  if (const auto* tuple = std::get_if<aikd::io::PickleTuple>(&value.v))
    for (const auto& item : tuple->items) count += walk(*item, depth + 1);
  if (const auto* dict = std::get_if<aikd::io::PickleDict>(&value.v))
    for (const auto& [key, item] : dict->items) count += walk(*key, depth + 1) + walk(*item, depth + 1);
  if (std::holds_alternative<std::shared_ptr<aikd::io::PickleObject>>(value.v)) std::abort();
  return count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const aikd::io::PickleRef root = aikd::io::read_pickle({data, size});
    if (walk(*root, 0) > 10'000 + 64 * size) std::abort();
  } catch (const aikd::Error&) {
  }
  return 0;
}
