#include "io/image_exif.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>

namespace aikd::io {
namespace {

using Bytes = std::span<const std::uint8_t>;

std::uint32_t big_endian(Bytes bytes, std::size_t at, std::size_t count) noexcept {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value = (value << 8) | bytes[at + i];
  return value;
}

std::uint32_t little_endian(Bytes bytes, std::size_t at, std::size_t count) noexcept {
  std::uint32_t value = 0;
  for (std::size_t i = count; i-- > 0;) value = (value << 8) | bytes[at + i];
  return value;
}

bool starts_with(Bytes bytes, std::string_view prefix) noexcept {
  return bytes.size() >= prefix.size() && std::memcmp(bytes.data(), prefix.data(), prefix.size()) == 0;
}

// The tag's value as stated, whatever it is; nothing when the directory does not have the tag.
std::optional<std::uint32_t> orientation_tag(Bytes tiff) noexcept {
  if (tiff.size() < 8) return std::nullopt;
  const bool big = starts_with(tiff, "MM");
  if (!big && !starts_with(tiff, "II")) return std::nullopt;
  const auto read = [&](std::size_t at, std::size_t count) {
    return big ? big_endian(tiff, at, count) : little_endian(tiff, at, count);
  };
  if (read(2, 2) != 42) return std::nullopt;
  const std::size_t directory = read(4, 4);
  if (directory > tiff.size() - 2) return std::nullopt;
  const std::size_t entries = read(directory, 2);
  std::optional<std::uint32_t> found;
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + 12 * i;
    if (entry + 12 > tiff.size()) break;
    if (read(entry, 2) != 0x0112 || read(entry + 4, 4) != 1) continue;
    // TIFF 6.0 section 2: types 1 BYTE, 3 SHORT, 4 LONG; a value of up to 4 bytes stands at the field's
    // start.
    switch (read(entry + 2, 2)) {
      case 1:
        found = read(entry + 8, 1);
        break;
      case 3:
        found = read(entry + 8, 2);
        break;
      case 4:
        found = read(entry + 8, 4);
        break;
      default:
        break;
    }
  }
  return found;
}

int valid_or_zero(std::uint32_t value) noexcept {
  return value >= 1 && value <= 8 ? static_cast<int>(value) : 0;
}

// The digit after tiff:Orientation=" or <tiff:Orientation>, 0 when there is none.
int xmp_orientation(Bytes xmp) noexcept {
  const std::string_view text(reinterpret_cast<const char*>(xmp.data()), xmp.size());
  constexpr std::string_view kKey = "tiff:Orientation";
  for (std::size_t at = text.find(kKey); at != std::string_view::npos; at = text.find(kKey, at + 1)) {
    std::string_view rest = text.substr(at + kKey.size());
    if (rest.starts_with("=\""))
      rest.remove_prefix(2);
    else if (rest.starts_with(">"))
      rest.remove_prefix(1);
    else
      continue;
    if (rest.empty() || rest[0] < '0' || rest[0] > '9') continue;
    return valid_or_zero(static_cast<std::uint32_t>(rest[0] - '0'));
  }
  return 0;
}

}  // namespace

int tiff_orientation(std::span<const std::uint8_t> tiff) noexcept {
  const auto tag = orientation_tag(tiff);
  return tag ? valid_or_zero(*tag) : 0;
}

int jpeg_orientation(std::span<const std::uint8_t> encoded) noexcept {
  constexpr std::string_view kExif("Exif\0\0", 6), kXmp("http://ns.adobe.com/xap/1.0/\0", 29);
  int from_xmp = 0;
  // ITU-T T.81 annex B: segments are FF marker, two bytes of length (counting themselves), payload.
  std::size_t at = 2;
  while (at + 4 <= encoded.size() && encoded[at] == 0xFF) {
    const unsigned marker = encoded[at + 1];
    if (marker == 0xFF) {  // a fill byte
      ++at;
      continue;
    }
    if (marker == 0xDA || marker == 0xD9) break;  // start of scan, end of image
    if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD7)) {
      at += 2;
      continue;
    }
    const std::size_t length = big_endian(encoded, at + 2, 2);
    if (length < 2 || at + 2 + length > encoded.size()) break;
    const Bytes payload = encoded.subspan(at + 4, length - 2);
    if (marker == 0xE1 && starts_with(payload, kExif)) {
      if (const auto tag = orientation_tag(payload.subspan(kExif.size()))) {
        const int value = valid_or_zero(*tag);
        return value == 0 ? 1 : value;
      }
    } else if (marker == 0xE1 && starts_with(payload, kXmp) && from_xmp == 0) {
      from_xmp = xmp_orientation(payload.subspan(kXmp.size()));
    }
    at += 2 + length;
  }
  return from_xmp == 0 ? 1 : from_xmp;
}

int png_orientation(std::span<const std::uint8_t> encoded) noexcept {
  // PNG (ISO/IEC 15948) 5.3: length, type, data, CRC.
  std::size_t at = 8;
  while (at + 12 <= encoded.size()) {
    const std::size_t length = big_endian(encoded, at, 4);
    if (length > encoded.size() - at - 12) break;
    if (starts_with(encoded.subspan(at + 4), "eXIf")) {
      const int value = tiff_orientation(encoded.subspan(at + 8, length));
      return value == 0 ? 1 : value;
    }
    at += 12 + length;
  }
  return 1;
}

Image apply_orientation(Image image, int orientation) {
  if (orientation < 2 || orientation > 8) return image;
  const int w = image.width, h = image.height;
  const bool swapped = orientation >= 5;
  Image out(swapped ? h : w, swapped ? w : h);
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x) {
      int sx = swapped ? y : x, sy = swapped ? x : y;
      if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) sx = w - 1 - sx;
      if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) sy = h - 1 - sy;
      std::copy_n(image.at(sx, sy), 3, out.at(x, y));
    }
  }
  return out;
}

}  // namespace aikd::io
