// Any bytes: a checkpoint or an aikd::Error. Run: fuzz_torch_file tests/fuzz/corpus/fuzz_torch_file
#include <cstdint>
#include <cstdlib>

#include "io/torch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const aikd::io::TorchFile file = aikd::io::parse_torch_file({data, size});
    for (const auto& entry : aikd::io::find_state_dict(file)) {
      if (!entry.tensor.defined()) std::abort();
      // Every value can be read: the sanitizer sees a tensor that is larger than its memory.
      const auto* bytes = static_cast<const std::uint8_t*>(entry.tensor.raw());
      volatile unsigned sum = 0;
      for (std::size_t i = 0; i < entry.tensor.bytes(); ++i) sum = sum + bytes[i];
    }
  } catch (const aikd::Error&) {
  }
  return 0;
}
