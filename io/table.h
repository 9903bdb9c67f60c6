// Tables as text: CSV and TSV (RFC 4180, the delimiter a comma or a tab) and JSON lines of flat objects.
// Fields are bytes: file names that are not UTF-8 survive a round trip in every format.
#pragma once

#include <cstddef>
#include <istream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace aikd::io {

// The shortest decimal number that reads back as the same value; "nan", "inf" and "-inf" for the rest. The
// locale plays no part.
std::string format_number(float value);
std::string format_number(double value);
std::string format_fixed(double value, int decimals);
// The whole of `text` as a finite or infinite number; false when it is anything else.
bool parse_number(std::string_view text, double& value) noexcept;
bool parse_number(std::string_view text, float& value) noexcept;

// One record with its newline. A field is quoted when it holds the delimiter, a quote, CR or LF, or begins or
// ends with a space.
std::string delimited_record(std::span<const std::string> fields, char delimiter);

struct DelimitedRecord {
  std::vector<std::string> fields;
  std::size_t line = 1;   // where it begins
  std::size_t end = 0;    // offset of the byte behind it
  bool complete = false;  // ended by a newline; the last record of a file that was cut off is not
};

// Reads records one by one; quoted fields may hold newlines; "\r\n" ends a record as "\n" does.
class DelimitedReader {
 public:
  DelimitedReader(std::istream& in, char delimiter) : in_(in), delimiter_(delimiter) {}
  // False at the end. Error(kInput), with the line, for text behind a closing quote.
  bool next(DelimitedRecord& record);

 private:
  std::istream& in_;
  char delimiter_;
  std::size_t line_ = 1, offset_ = 0;
};

// A JSON string with its quotes. Bytes that are not UTF-8 become the lone surrogates U+DC80..U+DCFF, as
// Python's "surrogateescape" has it: json.loads and os.fsencode give the same bytes back.
std::string json_string(std::string_view bytes);

struct JsonField {
  enum class Kind { kNull, kBool, kNumber, kString };
  std::string name;
  Kind kind = Kind::kNull;
  std::string text;  // "true", the digits as written, or the string's bytes
};
// One object whose members are strings, numbers, booleans and null. Error(kInput) for anything else.
std::vector<JsonField> parse_flat_json(std::string_view line);
const JsonField* find_field(const std::vector<JsonField>& fields, std::string_view name) noexcept;

// `bytes` as valid UTF-8 for display: every byte that is not part of valid UTF-8 becomes U+FFFD.
std::string displayable_utf8(std::string_view bytes);

}  // namespace aikd::io
