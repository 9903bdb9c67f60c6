// CRC-32C (Castagnoli; RFC 3720, appendix B.4): reflected polynomial 0x82F63B78, start and end complemented.
#pragma once

#include <cstdint>
#include <span>

namespace aikd::io {

// Of `bytes`, continued from `before`, the checksum of what stands before them (0: nothing).
// crc32c(b, crc32c(a)) is that of a and b together.
std::uint32_t crc32c(std::span<const std::uint8_t> bytes, std::uint32_t before = 0) noexcept;

// As TFRecord files store it: turned right by 15 bits plus a constant, so that the checksum of data that hold
// checksums is not degenerate.
constexpr std::uint32_t masked_crc32c(std::uint32_t crc) noexcept {
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
}

}  // namespace aikd::io
