// How the elements of an activation are stored on CUDA devices. Arithmetic is in fp32 whatever the storage;
// narrowing rounds to nearest, ties to even.
#pragma once

#include <cstddef>
#include <cstdint>

namespace aikd::kernels {

enum class Storage : std::uint8_t { kF32, kF16, kBF16 };

constexpr std::size_t bytes_of(Storage storage) noexcept {
  return storage == Storage::kF32 ? 4 : 2;
}
constexpr const char* name_of(Storage storage) noexcept {
  return storage == Storage::kF32 ? "fp32" : storage == Storage::kF16 ? "fp16" : "bf16";
}

}  // namespace aikd::kernels
