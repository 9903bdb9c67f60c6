// Which image format a file's bytes are, and the sentences that all decoders share.
#include <cstring>

#include "io/image_codecs.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd::io::codecs {
namespace {

bool has_at(Bytes bytes, std::size_t at, std::string_view text) noexcept {
  return bytes.size() >= at + text.size() && std::memcmp(bytes.data() + at, text.data(), text.size()) == 0;
}

// Truevision TGA 2.0, field 1 to 5 (18 bytes): only the combinations a picture can have.
bool looks_like_tga(Bytes b) noexcept {
  if (b.size() < 18) return false;
  const unsigned color_map = b[1], type = b[2], map_bits = b[7], bits = b[16], descriptor = b[17];
  const unsigned width = b[12] | (unsigned{b[13]} << 8), height = b[14] | (unsigned{b[15]} << 8);
  if (color_map > 1 || width == 0 || height == 0 || (descriptor & 0xC0U) != 0) return false;
  const bool mapped = type == 1 || type == 9, grey = type == 3 || type == 11, color = type == 2 || type == 10;
  if (mapped)
    return color_map == 1 && bits == 8 &&
           (map_bits == 15 || map_bits == 16 || map_bits == 24 || map_bits == 32);
  if (grey) return bits == 8 || bits == 16;
  return color && (bits == 15 || bits == 16 || bits == 24 || bits == 32);
}

}  // namespace

Format detect_format(Bytes b) noexcept {
  if (has_at(b, 0, "\xFF\xD8\xFF")) return Format::kJpeg;
  if (has_at(b, 0, "\x89PNG\r\n\x1A\n")) return Format::kPng;
  if (has_at(b, 0, "GIF87a") || has_at(b, 0, "GIF89a")) return Format::kGif;
  if (has_at(b, 0, "8BPS")) return Format::kPsd;
  if (has_at(b, 0, "#?RADIANCE\n") || has_at(b, 0, "#?RGBE\n")) return Format::kHdr;
  if (has_at(b, 0, "BM")) return Format::kBmp;
  if (b.size() > 2 && b[0] == 'P' && (b[1] == '5' || b[1] == '6') &&
      (b[2] == ' ' || b[2] == '\n' || b[2] == '\r' || b[2] == '\t' || b[2] == '#'))
    return Format::kPnm;
  return looks_like_tga(b) ? Format::kTga : Format::kUnknown;
}

std::string_view name_of(Format format) noexcept {
  switch (format) {
    case Format::kJpeg:
      return "JPEG";
    case Format::kPng:
      return "PNG";
    case Format::kBmp:
      return "BMP";
    case Format::kGif:
      return "GIF";
    case Format::kPnm:
      return "PNM";
    case Format::kTga:
      return "TGA";
    case Format::kPsd:
      return "PSD";
    case Format::kHdr:
      return "HDR";
    case Format::kUnknown:
      break;
  }
  return "unknown";
}

std::string_view describe_unknown(Bytes b) noexcept {
  if (has_at(b, 0, "RIFF") && has_at(b, 8, "WEBP")) return "a WebP image";
  if (has_at(b, 4, "ftyp")) {
    if (has_at(b, 8, "avif") || has_at(b, 8, "avis")) return "an AVIF image";
    for (const std::string_view brand : {"heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1"})
      if (has_at(b, 8, brand)) return "a HEIC image";
    return "an MP4 or similar video file";
  }
  if (has_at(b, 0, {"II*\0", 4}) || has_at(b, 0, {"MM\0*", 4}) || has_at(b, 0, {"II+\0", 4}) ||
      has_at(b, 0, {"MM\0+", 4}))
    return "a TIFF image";
  if (has_at(b, 0, {"\0\0\0\x0CjP  \r\n\x87\n", 12}) || has_at(b, 0, "\xFF\x4F\xFF\x51"))
    return "a JPEG 2000 image";
  if (has_at(b, 0, {"\0\0\0\x0CJXL \r\n\x87\n", 12}) || has_at(b, 0, "\xFF\x0A")) return "a JPEG XL image";
  if (b.size() > 2 && b[0] == 'P' && b[1] >= '1' && b[1] <= '7' && (b[2] == '\n' || b[2] == ' '))
    return "a PNM image of a kind other than binary grey (P5) or colour (P6)";
  if (has_at(b, 0, "%PDF")) return "a PDF document";
  if (has_at(b, 0, "PK\x03\x04")) return "a zip archive";
  if (has_at(b, 0, "<svg") || has_at(b, 0, "<?xml") || has_at(b, 0, "<!DOCTYPE") || has_at(b, 0, "<html"))
    return "an XML, SVG or HTML file";
  // Text: UTF-8 without control characters, in the first bytes (of which the last may be the beginning of a
  // character).
  std::string_view head(reinterpret_cast<const char*>(b.data()), b.size() < 512 ? b.size() : 512);
  for (int i = 0; i < 3 && !head.empty() && (static_cast<unsigned char>(head.back()) & 0x80U) != 0; ++i)
    head.remove_suffix(1);
  if (head.empty() || !is_utf8(head)) return "";
  for (const char c : head)
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t') return "";
  return "text";
}

void check_size(std::int64_t width, std::int64_t height, Format format, const DecodeLimits& limits) {
  require(width > 0 && height > 0, ErrorKind::kInput, "The ", name_of(format), " header states an image of ",
          width, " x ", height, " pixels; both sides must be at least 1.");
  require(height <= limits.max_pixels / width, ErrorKind::kInput, "The ", name_of(format),
          " header states an image of ", width, " x ", height, " pixels, more than the limit of ",
          limits.max_pixels, " pixels.");
}

void fail_truncated(Format format, std::string_view detail) {
  fail(ErrorKind::kInput, "The ", name_of(format), " file is truncated: ", detail, ".");
}

void fail_corrupt(Format format, std::string_view detail) {
  fail(ErrorKind::kInput, "The ", name_of(format), " file is corrupt: ", detail, ".");
}

// IHDR is the first chunk and stands at a fixed place: signature 8, length 4, type 4, width 4, height 4.
ImageSize png_size(Bytes b) {
  if (b.size() < 33) fail_truncated(Format::kPng, "it ends within its header");
  if (std::memcmp(b.data() + 12, "IHDR", 4) != 0) fail_corrupt(Format::kPng, "its first chunk is not IHDR");
  const auto read = [&](std::size_t at) {
    return (std::uint32_t{b[at]} << 24) | (std::uint32_t{b[at + 1]} << 16) | (std::uint32_t{b[at + 2]} << 8) |
           std::uint32_t{b[at + 3]};
  };
  const std::uint32_t width = read(16), height = read(20);
  if (width > 0x7fffffffU || height > 0x7fffffffU)
    fail_corrupt(Format::kPng, "its header states a side of 2^31 pixels or more");
  return {static_cast<int>(width), static_cast<int>(height)};
}

}  // namespace aikd::io::codecs
