#include "aikd/label_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <sstream>

#include "io/pickle.h"
#include "io/pickle_reader.h"
#include "io/table.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd {
namespace {

constexpr std::array<std::string_view, 7> kNameColumns{"path",       "file", "filename", "image",
                                                       "image_path", "img",  "name"};
constexpr std::array<std::string_view, 5> kLabelColumns{"label", "quality", "quality_score", "score",
                                                        "utility"};

template <class... Parts>
[[noreturn]] void fail_at(const std::string& where, const Parts&... parts) {
  fail(ErrorKind::kUsage, where, ": ", parts..., ".");
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

template <class Names>
std::string joined(const Names& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + io::in_quotes(std::string_view(name));
  return out;
}

// The one column of `header` whose name is among `names`.
template <class Names>
std::optional<std::size_t> one_of(const std::vector<std::string>& header, const Names& names,
                                  const std::string& where, const char* what, const char* advice) {
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < header.size(); ++i) {
    if (std::find(names.begin(), names.end(), lower(header[i])) == names.end()) continue;
    if (found.has_value())
      fail_at(where, "the columns ", io::in_quotes(header[*found]), " and ", io::in_quotes(header[i]),
              " can both be the ", what, advice);
    found = i;
  }
  return found;
}

std::size_t label_column(const std::vector<std::string>& header, const std::string& column,
                         const std::string& where) {
  if (!column.empty()) {
    const auto at = std::find(header.begin(), header.end(), column);
    if (at == header.end())
      fail_at(where, "there is no column ", io::in_quotes(column), "; the columns are ", joined(header));
    return static_cast<std::size_t>(at - header.begin());
  }
  const auto at = one_of(header, kLabelColumns, where, "label", "; name the right one");
  if (!at.has_value())
    fail_at(where, "no column has a usual name of a label (", joined(kLabelColumns), "); the columns are ",
            joined(header));
  return *at;
}

bool means_none(std::string_view text) {
  return text.empty() || text == "NA" || text == "N/A" || text == "null" || text == "None";
}

// The number of a pickled value: Python's, numpy's scalar, or an array of one element.
std::optional<double> number_of(const io::PickleValue& value) {
  if (const auto* real = std::get_if<double>(&value.v)) return *real;
  if (const auto* integer = std::get_if<std::int64_t>(&value.v)) return static_cast<double>(*integer);
  const auto* tensor = std::get_if<Tensor>(&value.v);
  if (tensor == nullptr || !tensor->defined() || tensor->numel() != 1) return std::nullopt;
  if (tensor->dtype() == DType::kF64) return tensor->values<double>()[0];
  if (tensor->dtype() == DType::kF32) return static_cast<double>(tensor->values<float>()[0]);
  if (tensor->dtype() == DType::kI64) return static_cast<double>(tensor->values<std::int64_t>()[0]);
  return std::nullopt;
}

}  // namespace

void QualityLabels::add(const KeyRule& keys, const std::string& name, double value,
                        const std::string& where) {
  if (name.empty()) fail_at(where, "the name is empty");
  if (!std::isfinite(value))
    fail_at(where, "the label of ", io::in_quotes(name, 1000), " is ", io::format_number(value),
            ", not a finite number");
  const std::string key = keys.name_key(name);
  const auto [at, is_new] = labels_.try_emplace(key, QualityLabel{value, name, where});
  if (!is_new)
    fail_at(where, "the name ", io::in_quotes(name, 1000), " has the same key ", io::in_quotes(key, 1000),
            " as ", io::in_quotes(at->second.name, 1000), " of ", at->second.where);
}

void QualityLabels::add_text(const KeyRule& keys, const std::string& name, std::string_view number,
                             const std::string& where) {
  if (means_none(number)) {
    not_available_.push_back(name);
    return;
  }
  double value = std::numeric_limits<double>::quiet_NaN();  // which parse_number does not read
  if (lower(std::string(number)) != "nan" && !io::parse_number(number, value))
    fail_at(where, "the label of ", io::in_quotes(name, 1000), " is ", io::in_quotes(number),
            ", not a number");
  add(keys, name, value, where);
}

void QualityLabels::parse_plain(std::string_view text, const std::string& file, const KeyRule& keys) {
  std::size_t line_number = 0;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    ++line_number;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.empty()) continue;
    const std::string where = concat(file, ", line ", line_number);
    const std::size_t space = line.rfind(' ');
    if (space == std::string_view::npos || space == 0)
      fail_at(where, "expected a name and a number, or a table of them with commas or tabs, got ",
              io::in_quotes(line));
    add_text(keys, std::string(line.substr(0, space)), line.substr(space + 1), where);
  }
}

void QualityLabels::parse_text(std::string_view text, const std::string& file, const KeyRule& keys,
                               const std::string& column) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const std::string_view first = text.substr(0, text.find('\n'));
  const bool comma = first.find(',') != std::string_view::npos;
  if (!comma && first.find('\t') == std::string_view::npos) return parse_plain(text, file, keys);
  std::istringstream in{std::string(text)};
  io::DelimitedReader reader(in, comma ? ',' : '\t');
  io::DelimitedRecord record;
  const auto next = [&] {
    try {
      return reader.next(record);
    } catch (const Error& error) {
      fail(ErrorKind::kUsage, file, ": ", error.what());
    }
  };
  if (!next()) fail_at(file, "the file of labels is empty");
  const std::vector<std::string> header = record.fields;
  std::size_t name_at = 0, label_at = 1;
  double number = 0;
  const bool headless = header.size() == 2 && io::parse_number(header[1], number);
  const std::string first_line = concat(file, ", line 1");
  if (headless) {
    if (!column.empty())
      fail_at(first_line, "there is no header, so there is no column ", io::in_quotes(column));
    add_text(keys, header[0], header[1], first_line);
  } else {
    const auto name = one_of(header, kNameColumns, first_line, "name of the image", "; remove one");
    if (!name.has_value())
      fail_at(first_line, "no column has a usual name of an image's path (", joined(kNameColumns),
              "); the columns are ", joined(header));
    name_at = *name;
    label_at = label_column(header, column, first_line);
  }
  while (next()) {
    const std::vector<std::string>& fields = record.fields;
    if (fields.size() == 1 && fields[0].empty()) continue;  // a blank line
    const std::string where = concat(file, ", line ", record.line);
    if (fields.size() != header.size())
      fail_at(where, "the row has ", fields.size(), " fields; the first one has ", header.size());
    add_text(keys, fields[name_at], fields[label_at], where);
  }
}

void QualityLabels::parse_pickle(std::string_view bytes, const std::string& file, const KeyRule& keys) {
  io::PickleRef root;
  try {
    root = io::read_pickle({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  } catch (const Error& error) {
    fail(ErrorKind::kUsage, file, ": ", error.what());
  }
  const auto* dict = std::get_if<io::PickleDict>(&root->v);
  if (dict == nullptr) fail_at(file, "the pickle is ", io::describe(*root), ", not a dict of labels by name");
  for (std::size_t i = 0; i < dict->items.size(); ++i) {
    const auto& [key, value] = dict->items[i];
    const auto* name = std::get_if<std::string>(&key->v);
    if (name == nullptr)
      fail_at(concat(file, ", entry ", i + 1), "the key is ", io::describe(*key), ", not a string");
    const std::string where = concat(file, ", entry ", i + 1);
    if (std::holds_alternative<io::PickleNone>(value->v)) {
      not_available_.push_back(*name);
      continue;
    }
    const std::optional<double> number = number_of(*value);
    if (!number.has_value())
      fail_at(where, "the label of ", io::in_quotes(*name, 1000), " is ", io::describe(*value),
              ", not a number");
    add(keys, *name, *number, where);
  }
}

void QualityLabels::read(const std::filesystem::path& path, const KeyRule& keys, const std::string& column) {
  const std::string text = read_whole_file(path, "file of labels");
  const std::string file = io::in_quotes(path.string(), 1000);
  if (text.empty()) fail_at(file, "the file of labels is empty");
  // Protocols 2 and up begin with PROTO; 0 and 1 with what opens a dict.
  if (text.starts_with("\x80") || text.starts_with("(d") || text.starts_with("}q") ||
      text.starts_with("}.")) {
    parse_pickle(text, file, keys);
  } else {
    parse_text(text, file, keys, column);
  }
}

std::vector<std::uint8_t> write_label_pickle(const std::vector<std::pair<std::string, double>>& labels) {
  std::string out = "\x80\x04}";        // PROTO 4, EMPTY_DICT
  constexpr std::size_t kBatch = 1000;  // as Python's pickler
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (i % kBatch == 0) out += '(';  // MARK
    const std::string name = io::encode_python_utf8(labels[i].first);
    out += 'X';  // BINUNICODE: 4 bytes of length, little-endian
    for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>((name.size() >> shift) & 0xff);
    out += name;
    out += 'G';  // BINFLOAT: 8 bytes, big-endian
    const auto bits = std::bit_cast<std::uint64_t>(labels[i].second);
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>((bits >> shift) & 0xff);
    if ((i + 1) % kBatch == 0 || i + 1 == labels.size()) out += 'u';  // SETITEMS
  }
  out += '.';
  return {out.begin(), out.end()};
}

}  // namespace aikd
