// Image files made byte by byte, for tests of decoders.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/test.h"

namespace aikd::test {

inline std::vector<std::uint8_t> bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}

inline std::vector<std::uint8_t> file_bytes(const std::filesystem::path& path) {
  return bytes_of(read_text(path));
}

inline std::vector<std::uint8_t> golden_image(const std::string& name) {
  return file_bytes(golden_dir() / "preprocess" / "images" / name);
}

// A 24-bit BMP without padding problems: the header and as many zero bytes as it needs.
inline std::vector<std::uint8_t> bmp(std::uint32_t width, std::uint32_t height) {
  std::vector<std::uint8_t> out = {'B', 'M'};
  const auto put = [&](std::uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  };
  const std::uint32_t stride = (width * 3 + 3) / 4 * 4;
  put(54 + stride * height, 4);
  put(0, 4);
  put(54, 4);
  put(40, 4);
  put(width, 4);
  put(height, 4);
  put(1, 2);
  put(24, 2);
  for (int i = 0; i < 6; ++i) put(0, 4);
  if (width < 1000 && height < 1000) out.resize(out.size() + std::size_t{stride} * height);
  return out;
}

inline std::uint32_t crc32_of(const std::uint8_t* data, std::size_t size) {
  std::uint32_t crc = 0xFFFFFFFFU;  // PNG (ISO/IEC 15948) annex D
  for (std::size_t i = 0; i < size; ++i) {
    crc ^= data[i];
    for (int k = 0; k < 8; ++k) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
  }
  return crc ^ 0xFFFFFFFFU;
}

// Replaces a PNG's width and height, and its header's checksum.
inline void set_png_size(std::vector<std::uint8_t>& png, std::uint32_t width, std::uint32_t height) {
  const auto put = [&](std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) png.at(at + i) = static_cast<std::uint8_t>(value >> (24 - 8 * i));
  };
  put(16, width);
  put(20, height);
  put(29, crc32_of(png.data() + 12, 17));
}

// The offset of the first segment with this marker (FF xx) of a JPEG.
inline std::size_t find_marker(const std::vector<std::uint8_t>& jpeg, std::uint8_t marker) {
  std::size_t at = 2;
  while (at + 4 <= jpeg.size() && jpeg[at + 1] != marker)
    at += 2 + (std::size_t{jpeg[at + 2]} << 8) + jpeg[at + 3];
  return at;
}

}  // namespace aikd::test
