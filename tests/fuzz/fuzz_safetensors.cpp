// Any bytes: a file of tensors or an aikd::Error. Run: fuzz_safetensors tests/fuzz/corpus/fuzz_safetensors
#include <cstdint>
#include <cstdlib>

#include "io/safetensors.h"
#include "io/text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const aikd::io::SafetensorsFile file = aikd::io::parse_safetensors({data, size});
    std::size_t bytes = 0;
    for (const auto& entry : file.tensors) {
      bytes += entry.tensor.bytes();
      if (file.find(entry.name) != &entry.tensor) std::abort();  // names are unique
      if (!aikd::io::is_utf8(entry.name)) std::abort();
    }
    if (bytes + 8 > size) std::abort();  // every tensor has bytes of its own in the file
  } catch (const aikd::Error&) {
  }
  return 0;
}
