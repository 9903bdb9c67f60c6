#include "io/text.h"

#include <cstdint>
#include <cstdio>

#include "tensor/error.h"

namespace aikd::io {
namespace {

struct Decoded {
  std::uint32_t code = 0;
  std::size_t length = 0;  // bytes; 0 = not UTF-8 here
};

// Table 3-7 of the Unicode standard: the second byte's range depends on the first.
Decoded decode(std::string_view text, std::size_t at) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[at + i]); };
  const std::uint8_t b0 = byte(0);
  if (b0 < 0x80) return {b0, 1};
  const std::size_t length = b0 >= 0xf0 ? 4 : b0 >= 0xe0 ? 3 : 2;
  if (b0 < 0xc2 || b0 > 0xf4 || text.size() - at < length) return {};
  const std::uint8_t low = b0 == 0xe0 ? 0xa0 : b0 == 0xf0 ? 0x90 : 0x80;
  const std::uint8_t high = b0 == 0xed ? 0x9f : b0 == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < low || byte(1) > high) return {};
  std::uint32_t code = b0 & (0xffU >> (length + 1));
  code = (code << 6) | (byte(1) & 0x3fU);
  for (std::size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return {};
    code = (code << 6) | (byte(i) & 0x3fU);
  }
  return {code, length};
}

bool printable(std::uint32_t code) noexcept {
  if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;
  if (code == 0x2028 || code == 0x2029) return false;  // line and paragraph separator
  // Bidirectional controls reorder the line they stand in ("Trojan Source", CVE-2021-42574).
  if (code == 0x200e || code == 0x200f || code == 0x61c) return false;
  return !(code >= 0x202a && code <= 0x202e) && !(code >= 0x2066 && code <= 0x2069);
}

std::string escaped_byte(std::uint8_t byte) {
  char buffer[8];
  std::snprintf(buffer, sizeof buffer, "\\x%02x", static_cast<unsigned>(byte));
  return buffer;
}

}  // namespace

bool is_utf8(std::string_view text) noexcept {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = decode(text, at).length;
    if (length == 0) return false;
    at += length;
  }
  return true;
}

std::size_t utf8_length(std::string_view text, std::size_t at) noexcept {
  return decode(text, at).length;
}

std::string escape_for_terminal(std::string_view text, std::size_t max_bytes) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const Decoded d = decode(text, at);
    std::string piece;
    if (d.length == 0) {
      piece = escaped_byte(static_cast<std::uint8_t>(text[at]));
    } else if (d.code == '\\') {
      piece = "\\\\";
    } else if (d.code == '\n') {
      piece = "\\n";
    } else if (d.code == '\t') {
      piece = "\\t";
    } else if (d.code == '\r') {
      piece = "\\r";
    } else if (printable(d.code)) {
      piece = std::string(text.substr(at, d.length));
    } else if (d.code < 0x80) {
      piece = escaped_byte(static_cast<std::uint8_t>(d.code));
    } else {
      char buffer[16];
      std::snprintf(buffer, sizeof buffer, "\\u{%x}", static_cast<unsigned>(d.code));
      piece = buffer;
    }
    if (out.size() + piece.size() > max_bytes) return out + "...";
    out += piece;
    at += d.length == 0 ? 1 : d.length;
  }
  return out;
}

std::string in_quotes(std::string_view text, std::size_t max_bytes) {
  return concat("'", escape_for_terminal(text, max_bytes), "'");
}

}  // namespace aikd::io
