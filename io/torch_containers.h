// The two containers of torch.save. Both return the root with its tensors in place. Errors are Error(kInput);
// io/torch_file.cpp makes them Error(kModel).
#pragma once

#include <cstdint>
#include <span>

#include "io/pickle.h"

namespace aikd::io {

PickleRef read_torch_zip(std::span<const std::uint8_t> bytes);
PickleRef read_torch_legacy(std::span<const std::uint8_t> bytes);

}  // namespace aikd::io
