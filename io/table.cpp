#include "io/table.h"

#include <charconv>
#include <system_error>

#include "tensor/error.h"

namespace aikd::io {
namespace {

template <class T, class... Format>
std::string to_text(T value, Format... format) {
  char text[512];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value, format...);
  require(error == std::errc(), ErrorKind::kInternal, "A number does not fit its text buffer.");
  return {text, end};
}

template <class T>
bool from_text(std::string_view text, T& value) noexcept {
  T parsed{};
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (error != std::errc() || end != text.data() + text.size() || parsed != parsed) return false;
  value = parsed;
  return true;
}

bool needs_quotes(std::string_view field, char delimiter) {
  if (field.empty()) return false;
  if (field.front() == ' ' || field.back() == ' ') return true;
  for (const char c : field)
    if (c == delimiter || c == '"' || c == '\n' || c == '\r') return true;
  return false;
}

}  // namespace

std::string format_number(float value) {
  return to_text(value);
}
std::string format_number(double value) {
  return to_text(value);
}
std::string format_fixed(double value, int decimals) {
  return to_text(value, std::chars_format::fixed, decimals);
}

bool parse_number(std::string_view text, double& value) noexcept {
  return from_text(text, value);
}
bool parse_number(std::string_view text, float& value) noexcept {
  return from_text(text, value);
}

std::string delimited_record(std::span<const std::string> fields, char delimiter) {
  std::string out;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) out += delimiter;
    if (!needs_quotes(fields[i], delimiter)) {
      out += fields[i];
      continue;
    }
    out += '"';
    for (const char c : fields[i]) {
      if (c == '"') out += '"';
      out += c;
    }
    out += '"';
  }
  out += '\n';
  return out;
}

bool DelimitedReader::next(DelimitedRecord& record) {
  record.fields.clear();
  record.line = line_;
  record.complete = false;
  std::string field;
  enum class State { kStart, kPlain, kQuoted, kQuoteSeen } state = State::kStart;
  bool any = false;
  for (int got = in_.get(); got != std::char_traits<char>::eof(); got = in_.get()) {
    const char c = static_cast<char>(got);
    any = true;
    ++offset_;
    if (c == '\n') ++line_;
    if (state == State::kQuoted) {
      if (c == '"') {
        state = State::kQuoteSeen;
      } else {
        field += c;
      }
      continue;
    }
    if (state == State::kQuoteSeen && c == '"') {  // a doubled quote stands for one
      field += c;
      state = State::kQuoted;
      continue;
    }
    if (c == '"' && state == State::kStart) {
      state = State::kQuoted;
    } else if (c == delimiter_) {
      record.fields.push_back(std::move(field));
      field.clear();
      state = State::kStart;
    } else if (c == '\n') {
      if (state != State::kQuoteSeen && !field.empty() && field.back() == '\r') field.pop_back();
      record.complete = true;
      break;
    } else if (state == State::kQuoteSeen) {
      require(c == '\r', ErrorKind::kInput, "Line ", record.line,
              ": a field has text behind its closing quote.");
    } else {
      field += c;
      state = State::kPlain;
    }
  }
  if (!any) return false;
  record.fields.push_back(std::move(field));
  record.end = offset_;
  return true;
}

}  // namespace aikd::io
