#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

#include "io/pickle_reader.h"
#include "io/text.h"

namespace aikd::io {
namespace {

// Python keeps a byte b >= 0x80 of a file name that is not UTF-8 as the lone surrogate U+DC00 + b (PEP 383)
// and pickles it as that surrogate's three UTF-8 bytes: ED B2 80 .. ED B3 BF.
std::optional<char> escaped_byte(std::string_view bytes, std::size_t at) {
  if (bytes.size() - at < 3 || static_cast<std::uint8_t>(bytes[at]) != 0xed) return std::nullopt;
  const auto b1 = static_cast<std::uint8_t>(bytes[at + 1]), b2 = static_cast<std::uint8_t>(bytes[at + 2]);
  if ((b1 != 0xb2 && b1 != 0xb3) || (b2 & 0xc0U) != 0x80) return std::nullopt;
  return static_cast<char>(0x80U | ((b1 & 1U) << 6) | (b2 & 0x3fU));
}

void append_utf8(std::string& out, std::uint32_t code) {
  if (code >= 0xdc80 && code <= 0xdcff) {
    out += static_cast<char>(code - 0xdc00);
    return;
  }
  require(code <= 0x10ffff && (code < 0xd800 || code > 0xdfff), ErrorKind::kInput,
          "The pickle has a string with the character code ", code, ", which is not a Unicode character.");
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0U | (code >> 6));
    out += static_cast<char>(0x80U | (code & 0x3fU));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0U | (code >> 12));
    out += static_cast<char>(0x80U | ((code >> 6) & 0x3fU));
    out += static_cast<char>(0x80U | (code & 0x3fU));
  } else {
    out += static_cast<char>(0xf0U | (code >> 18));
    out += static_cast<char>(0x80U | ((code >> 12) & 0x3fU));
    out += static_cast<char>(0x80U | ((code >> 6) & 0x3fU));
    out += static_cast<char>(0x80U | (code & 0x3fU));
  }
}

std::uint32_t hex_code(std::string_view text, std::size_t at, std::size_t digits) {
  std::uint32_t code = 0;
  const char* begin = text.data() + at;
  const bool enough = text.size() - at >= digits;
  const bool ok = enough && std::from_chars(begin, begin + digits, code, 16).ptr == begin + digits;
  require(ok, ErrorKind::kInput, "The pickle has a string with a broken escape sequence: ", in_quotes(text),
          ".");
  return code;
}

}  // namespace

std::string decode_python_utf8(std::string_view bytes) {
  if (is_utf8(bytes)) return std::string(bytes);
  std::string out;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t length = utf8_length(bytes, at);
    const std::optional<char> byte = length == 0 ? escaped_byte(bytes, at) : std::nullopt;
    require(length != 0 || byte.has_value(), ErrorKind::kInput, "The pickle has the string ",
            in_quotes(bytes), ", which is not valid UTF-8.");
    if (byte) {
      out += *byte;
      at += 3;
    } else {
      out += bytes.substr(at, length);
      at += length;
    }
  }
  return out;
}

std::string encode_python_utf8(std::string_view text) {
  if (is_utf8(text)) return std::string(text);
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (const std::size_t length = utf8_length(text, at); length != 0) {
      out += text.substr(at, length);
      at += length;
      continue;
    }
    const auto byte = static_cast<std::uint8_t>(text[at++]);
    out += static_cast<char>(0xed);
    out += static_cast<char>(0xb0U | (byte >> 6));  // b2 or b3, as byte >= 0x80
    out += static_cast<char>(0x80U | (byte & 0x3fU));
  }
  return out;
}

std::string decode_string_literal(std::string_view line) {
  const bool quotes_match =
      line.size() >= 2 && (line.front() == '\'' || line.front() == '"') && line.front() == line.back();
  require(quotes_match, ErrorKind::kInput,
          "The pickle has a string literal without quotes: ", in_quotes(line), ".");
  line = line.substr(1, line.size() - 2);
  std::string out;
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (line[at] != '\\') {
      out += line[at];
      continue;
    }
    require(++at < line.size(), ErrorKind::kInput,
            "The pickle has a string literal that ends in a backslash.");
    constexpr std::string_view kNames = "\\'\"abfnrtv";
    constexpr std::string_view kValues = "\\'\"\a\b\f\n\r\t\v";
    if (const std::size_t which = kNames.find(line[at]); which != std::string_view::npos) {
      out += kValues[which];
    } else if (line[at] == 'x') {
      out += static_cast<char>(hex_code(line, at + 1, 2));
      at += 2;
    } else if (line[at] >= '0' && line[at] <= '7') {
      unsigned code = 0;
      const std::size_t end = std::min(at + 3, line.size());
      for (; at < end && line[at] >= '0' && line[at] <= '7'; ++at)
        code = code * 8 + static_cast<unsigned>(line[at] - '0');
      --at;
      out += static_cast<char>(code & 0xffU);
    } else {
      out += '\\';  // as Python: an unknown escape stands for itself
      out += line[at];
    }
  }
  return out;
}

std::string decode_raw_unicode_escape(std::string_view line) {
  std::string out;
  for (std::size_t at = 0; at < line.size(); ++at) {
    const bool escape = line[at] == '\\' && at + 1 < line.size();
    if (escape && (line[at + 1] == 'u' || line[at + 1] == 'U')) {
      const std::size_t digits = line[at + 1] == 'u' ? 4 : 8;
      append_utf8(out, hex_code(line, at + 2, digits));
      at += 1 + digits;
    } else if (escape) {  // both characters stand for themselves, so that "\\\\u0041" is no escape
      out += '\\';
      append_utf8(out, static_cast<std::uint8_t>(line[++at]));
    } else {
      append_utf8(out, static_cast<std::uint8_t>(line[at]));  // other bytes are Latin-1
    }
  }
  return out;
}

std::string latin1_bytes(std::string_view utf8) {
  std::string out;
  for (std::size_t at = 0; at < utf8.size(); ++at) {
    const auto b0 = static_cast<std::uint8_t>(utf8[at]);
    if (b0 < 0x80) {
      out += utf8[at];
      continue;
    }
    const bool two = (b0 == 0xc2 || b0 == 0xc3) && utf8_length(utf8, at) == 2;  // U+0080 .. U+00FF
    require(two, ErrorKind::kInput, "The pickle encodes a string as Latin-1 that is outside of it.");
    out += static_cast<char>(((b0 & 3U) << 6) | (static_cast<std::uint8_t>(utf8[++at]) & 0x3fU));
  }
  return out;
}

}  // namespace aikd::io
