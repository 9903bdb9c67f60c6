#include <cstdint>

#include "io/table.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd::io {
namespace {

// Calls valid(sequence) for each well-formed sequence and invalid(byte) for each other byte.
template <class Valid, class Invalid>
void walk_utf8(std::string_view bytes, Valid valid, Invalid invalid) {
  for (std::size_t i = 0; i < bytes.size();) {
    const std::size_t length = utf8_length(bytes, i);
    if (length == 0) {
      invalid(static_cast<unsigned char>(bytes[i++]));
    } else {
      valid(bytes.substr(i, length));
      i += length;
    }
  }
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto put = [&out](std::uint32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

constexpr char kHex[] = "0123456789abcdef";

void append_escape(std::string& out, unsigned code) {
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kHex[(code >> shift) & 0xFU];
}

class FlatJson {
 public:
  explicit FlatJson(std::string_view text) : text_(text) {}

  std::vector<JsonField> object() {
    std::vector<JsonField> fields;
    expect('{');
    skip_space();
    if (!accept('}')) {
      do {
        JsonField field;
        skip_space();
        field.name = string();
        expect(':');
        value(field);
        fields.push_back(std::move(field));
        skip_space();
      } while (accept(','));
      expect('}');
    }
    skip_space();
    check(at_ == text_.size(), "the end of the line");
    return fields;
  }

 private:
  void check(bool ok, const char* expected) const {
    require(ok, ErrorKind::kInput, "The JSON line is malformed at character ", at_ + 1, ": expected ",
            expected, ".");
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
  }
  bool accept(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    skip_space();
    const char expected[] = {'\'', c, '\'', '\0'};
    check(accept(c), expected);
  }
  bool accept_word(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  void value(JsonField& field) {
    skip_space();
    check(at_ < text_.size(), "a value");
    if (text_[at_] == '"') {
      field.kind = JsonField::Kind::kString;
      field.text = string();
    } else if (accept_word("null")) {
      field.kind = JsonField::Kind::kNull;
    } else if (accept_word("true")) {
      field.kind = JsonField::Kind::kBool;
      field.text = "true";
    } else if (accept_word("false")) {
      field.kind = JsonField::Kind::kBool;
      field.text = "false";
    } else {
      const std::size_t begin = at_;
      while (at_ < text_.size() &&
             std::string_view("+-.eE0123456789").find(text_[at_]) != std::string_view::npos)
        ++at_;
      field.kind = JsonField::Kind::kNumber;
      field.text = text_.substr(begin, at_ - begin);
      double number = 0;
      check(parse_number(field.text, number), "a string, a number, true, false or null");
    }
  }

  unsigned hex4() {
    check(at_ + 4 <= text_.size(), "four hexadecimal digits");
    unsigned code = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = text_[at_++];
      const unsigned digit = c >= '0' && c <= '9'   ? static_cast<unsigned>(c - '0')
                             : c >= 'a' && c <= 'f' ? static_cast<unsigned>(c - 'a') + 10U
                             : c >= 'A' && c <= 'F' ? static_cast<unsigned>(c - 'A') + 10U
                                                    : 16U;
      check(digit < 16, "four hexadecimal digits");
      code = code * 16 + digit;
    }
    return code;
  }

  std::string string() {
    check(accept('"'), "a string");
    std::string out;
    while (!accept('"')) {
      check(at_ < text_.size(), "the closing quote of a string");
      const char c = text_[at_++];
      check(static_cast<unsigned char>(c) >= 0x20, "an escaped control character");
      if (c != '\\') {
        out += c;
        continue;
      }
      check(at_ < text_.size(), "the rest of an escape");
      escape(out, text_[at_++]);
    }
    return out;
  }

  void escape(std::string& out, char c) {
    constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    if (const std::size_t i = kFrom.find(c); i != std::string_view::npos) {
      out += kTo[i];
      return;
    }
    check(c == 'u', "one of the escapes of JSON");
    const unsigned code = hex4();
    if (code >= 0xDC80 && code <= 0xDCFF) {  // a byte that was not UTF-8
      out += static_cast<char>(static_cast<unsigned char>(code - 0xDC00));
    } else if (code >= 0xD800 && code < 0xDC00) {
      check(accept('\\') && accept('u'), "the second half of a surrogate pair");
      const unsigned low = hex4();
      check(low >= 0xDC00 && low < 0xE000, "the second half of a surrogate pair");
      append_utf8(out, 0x10000U + ((code - 0xD800U) << 10) + (low - 0xDC00U));
    } else {
      check(code < 0xDC00 || code > 0xDFFF, "no lone second half of a surrogate pair");
      append_utf8(out, code);
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::string json_string(std::string_view bytes) {
  std::string out = "\"";
  walk_utf8(
      bytes,
      [&out](std::string_view sequence) {
        const auto c = static_cast<unsigned char>(sequence[0]);
        if (c == '"' || c == '\\') {
          out += '\\';
          out += sequence;
        } else if (c == '\n') {
          out += "\\n";
        } else if (c == '\t') {
          out += "\\t";
        } else if (c == '\r') {
          out += "\\r";
        } else if (c < 0x20 || c == 0x7F) {
          append_escape(out, c);
        } else {
          out += sequence;
        }
      },
      [&out](unsigned char byte) { append_escape(out, 0xDC00U + byte); });
  return out + '"';
}

std::vector<JsonField> parse_flat_json(std::string_view line) {
  return FlatJson(line).object();
}

const JsonField* find_field(const std::vector<JsonField>& fields, std::string_view name) noexcept {
  for (const JsonField& field : fields)
    if (field.name == name) return &field;
  return nullptr;
}

std::string displayable_utf8(std::string_view bytes) {
  std::string out;
  walk_utf8(
      bytes, [&out](std::string_view sequence) { out += sequence; },
      [&out](unsigned char) { append_utf8(out, 0xFFFDU); });
  return out;
}

}  // namespace aikd::io
