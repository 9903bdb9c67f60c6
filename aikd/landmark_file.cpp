#include "aikd/landmark_file.h"

#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "io/pickle.h"
#include "io/table.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Points = std::unordered_map<std::string, Landmarks>;

constexpr std::array<std::string_view, 11> kColumns{"path", "lx",  "ly",  "rx",  "ry", "nx",
                                                    "ny",   "mlx", "mly", "mrx", "mry"};

// Throws Error(kInput): "<where>: <what>."
template <class... Parts>
[[noreturn]] void fail_at(const std::string& where, const Parts&... parts) {
  fail(ErrorKind::kInput, where, ": ", parts..., ".");
}

std::string normalised(const fs::path& path) {
  return path.lexically_normal().generic_string();
}

void add(Points& points, std::string_view path, const Landmarks& landmarks, const std::string& where) {
  if (path.empty()) fail_at(where, "the path is empty");
  if (!points.emplace(normalised(fs::path(path)), landmarks).second)
    fail_at(where, "the path ", io::in_quotes(path), " appears a second time");
}

Landmarks from_numbers(const std::array<double, 10>& numbers, const std::string& where) {
  Landmarks landmarks;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (!std::isfinite(numbers[i]))
      fail_at(where, "the coordinate ", kColumns[i + 1], " is ", numbers[i], ", not a finite number");
    (i % 2 == 0 ? landmarks[i / 2].x : landmarks[i / 2].y) = numbers[i];
  }
  return landmarks;
}

// --- CSV ---

std::array<std::size_t, 11> find_columns(const std::vector<std::string>& header, const std::string& where) {
  std::array<std::size_t, 11> at{};
  for (std::size_t c = 0; c < kColumns.size(); ++c) {
    std::size_t matches = 0;
    for (std::size_t i = 0; i < header.size(); ++i) {
      if (header[i] != kColumns[c]) continue;
      at[c] = i;
      ++matches;
    }
    if (matches == 0)
      fail_at(where, "the header has no column '", kColumns[c],
              "'; expected path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry in any order");
    if (matches > 1) fail_at(where, "the header has the column '", kColumns[c], "' ", matches, " times");
  }
  return at;
}

void parse_csv(std::string_view text, const std::string& name, Points& points) {
  const std::string_view header = text.substr(0, text.find('\n'));
  const char delimiter =
      header.find(',') == std::string_view::npos && header.find('\t') != std::string_view::npos ? '\t' : ',';
  std::istringstream in{std::string(text)};
  io::DelimitedReader reader(in, delimiter);
  io::DelimitedRecord record;
  const auto next = [&] {
    try {
      return reader.next(record);
    } catch (const Error& error) {
      fail(ErrorKind::kInput, name, ": ", error.what());
    }
  };
  if (!next()) fail_at(name, "the file holds no header");
  const std::size_t width = record.fields.size();
  const std::array<std::size_t, 11> at = find_columns(record.fields, concat(name, ", line 1"));
  while (next()) {
    const std::vector<std::string>& fields = record.fields;
    if (fields.size() == 1 && fields[0].empty()) continue;  // a blank line
    const std::string where = concat(name, ", line ", record.line);
    if (fields.size() != width)
      fail_at(where, "the row has ", fields.size(), " fields; the header has ", width);
    std::array<double, 10> numbers{};
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const std::string& field = fields[at[i + 1]];
      if (!io::parse_number(field, numbers[i]))
        fail_at(where, "the coordinate ", kColumns[i + 1], " is ", io::in_quotes(field), ", not a number");
    }
    add(points, fields[at[0]], from_numbers(numbers, where), where);
  }
}

// --- JSON ---

Landmarks from_json(const Json& value, const std::string& where) {
  constexpr const char* kExpected = "expected five points [x, y] or ten numbers";
  std::array<double, 10> numbers{};
  const auto number = [&](const Json& element) {
    if (!element.is_number())
      fail_at(where, "a coordinate is of the type ", element.type_name(), ", not a number");
    return element.get<double>();
  };
  if (!value.is_array()) fail_at(where, "the points are not an array; ", kExpected);
  if (value.size() == 10) {
    for (std::size_t i = 0; i < 10; ++i) numbers[i] = number(value[i]);
  } else if (value.size() == 5) {
    for (std::size_t i = 0; i < 5; ++i) {
      if (!value[i].is_array() || value[i].size() != 2)
        fail_at(where, "point ", i + 1, " is not an array of two numbers; ", kExpected);
      numbers[2 * i] = number(value[i][0]);
      numbers[2 * i + 1] = number(value[i][1]);
    }
  } else {
    fail_at(where, "the array of points has ", value.size(), " elements; ", kExpected);
  }
  return from_numbers(numbers, where);
}

void parse_json(std::string_view text, const std::string& name, Points& points) {
  // The library keeps the last of equal keys and says nothing, so the keys of the outer object are watched.
  Points seen;
  std::string duplicate;
  Json root;
  try {
    root = Json::parse(text, [&](int depth, Json::parse_event_t event, Json& value) {
      if (event == Json::parse_event_t::key && depth == 1 &&
          !seen.emplace(value.get<std::string>(), Landmarks{}).second && duplicate.empty())
        duplicate = value.get<std::string>();
      return true;
    });
  } catch (const Json::exception& error) {
    fail_at(name, "the JSON cannot be parsed: ", io::escape_for_terminal(error.what(), 300));
  }
  if (root.is_object()) {
    if (!duplicate.empty()) fail_at(name, "the path ", io::in_quotes(duplicate), " appears a second time");
    for (const auto& [path, value] : root.items()) {
      const std::string where = concat(name, ", entry ", io::in_quotes(path));
      if (!value.is_null()) add(points, path, from_json(value, where), where);
    }
    return;
  }
  if (!root.is_array()) fail_at(name, "the JSON is neither an object nor an array");
  for (std::size_t i = 0; i < root.size(); ++i) {
    const std::string where = concat(name, ", element ", i + 1);
    if (!root[i].is_object() || !root[i].contains("path") || !root[i]["path"].is_string() ||
        !root[i].contains("landmarks"))
      fail_at(where, "expected an object with a string \"path\" and \"landmarks\"");
    const Json& value = root[i]["landmarks"];
    if (!value.is_null()) add(points, root[i]["path"].get<std::string>(), from_json(value, where), where);
  }
}

// --- pickle ---

// The elements of a list or tuple; null for anything else.
const std::vector<io::PickleRef>* elements(const io::PickleValue& value) {
  if (const auto* list = std::get_if<io::PickleList>(&value.v)) return &list->items;
  if (const auto* tuple = std::get_if<io::PickleTuple>(&value.v)) return &tuple->items;
  return nullptr;
}

std::optional<double> number_of(const io::PickleValue& value) {
  if (const auto* real = std::get_if<double>(&value.v)) return *real;
  if (const auto* integer = std::get_if<std::int64_t>(&value.v)) return static_cast<double>(*integer);
  return std::nullopt;
}

template <class T>
void copy_numbers(const Tensor& tensor, double* out) {
  for (const T value : tensor.values<T>()) *out++ = static_cast<double>(value);
}

// The values of an array of integers or floating-point numbers, at most ten; false for any other array.
bool tensor_numbers(const Tensor& tensor, double* out) {
  if (!tensor.defined() || tensor.numel() > 10) return false;
  switch (tensor.dtype()) {
    case DType::kF64:
      copy_numbers<double>(tensor, out);
      return true;
    case DType::kF32:
      copy_numbers<float>(tensor, out);
      return true;
    case DType::kI64:
      copy_numbers<std::int64_t>(tensor, out);
      return true;
    case DType::kI32:
      copy_numbers<std::int32_t>(tensor, out);
      return true;
    case DType::kI16:
      copy_numbers<std::int16_t>(tensor, out);
      return true;
    case DType::kU8:
      copy_numbers<std::uint8_t>(tensor, out);
      return true;
    default:
      return false;
  }
}

bool pair_of(const io::PickleValue& value, double* out) {
  if (const auto* tensor = std::get_if<Tensor>(&value.v))
    return tensor->shape() == Shape{2} && tensor_numbers(*tensor, out);
  const auto* items = elements(value);
  if (items == nullptr || items->size() != 2) return false;
  for (std::size_t i = 0; i < 2; ++i) {
    const std::optional<double> number = number_of(*(*items)[i]);
    if (!number) return false;
    out[i] = *number;
  }
  return true;
}

std::optional<std::array<double, 10>> five_by_two(const io::PickleValue& value) {
  std::array<double, 10> numbers{};
  if (const auto* tensor = std::get_if<Tensor>(&value.v)) {
    if (tensor->shape() == Shape{5, 2} && tensor_numbers(*tensor, numbers.data())) return numbers;
    return std::nullopt;
  }
  const auto* items = elements(value);
  if (items == nullptr || items->size() != 5) return std::nullopt;
  for (std::size_t i = 0; i < 5; ++i)
    if (!pair_of(*(*items)[i], &numbers[2 * i])) return std::nullopt;
  return numbers;
}

bool is_none(const io::PickleValue& value) {
  return std::holds_alternative<io::PickleNone>(value.v);
}

void parse_pickle(std::span<const std::uint8_t> bytes, const std::string& name, Points& points) {
  io::PickleRef root;
  try {
    root = io::read_pickle(bytes);
  } catch (const Error& error) {
    fail(ErrorKind::kInput, name, ": ", error.what());
  }
  const auto* dict = std::get_if<io::PickleDict>(&root->v);
  if (dict == nullptr) fail_at(name, "the pickle is not a dict of landmarks by name");
  for (std::size_t i = 0; i < dict->items.size(); ++i) {
    const auto& [key, value] = dict->items[i];
    const auto* path = std::get_if<std::string>(&key->v);
    if (path == nullptr) fail_at(concat(name, ", entry ", i + 1), "the key is not a string");
    const std::string where = concat(name, ", entry ", io::in_quotes(*path));
    if (is_none(*value)) continue;
    std::optional<std::array<double, 10>> numbers = five_by_two(*value);
    if (const auto* items = elements(*value); !numbers && items != nullptr && items->size() > 1) {
      if (is_none(*(*items)[1])) continue;
      numbers = five_by_two(*(*items)[1]);
    }
    if (!numbers) fail_at(where, "neither the value nor its element [1] is a 5x2 array of numbers");
    add(points, *path, from_numbers(*numbers, where), where);
  }
}

// Protocols 2 and up begin with PROTO; 0 and 1 with what opens a dict: MARK DICT, or EMPTY_DICT and its memo.
bool looks_like_pickle(std::string_view text) {
  return text.starts_with("\x80") || text.starts_with("(d") || text.starts_with("}q") ||
         text.starts_with("}.");
}

}  // namespace

LandmarkFile LandmarkFile::parse(std::span<const std::uint8_t> bytes, const std::string& name) {
  LandmarkFile file;
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.empty()) fail_at(name, "the landmark file is empty");
  if (looks_like_pickle(text)) {
    parse_pickle(bytes, name, file.points_);
  } else {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    if (first != std::string_view::npos && (text[first] == '{' || text[first] == '['))
      parse_json(text, name, file.points_);
    else
      parse_csv(text, name, file.points_);
  }
  if (file.points_.empty()) fail_at(name, "the landmark file has no entries");
  return file;
}

LandmarkFile LandmarkFile::read(const fs::path& path) {
  const std::string name = io::in_quotes(path.string(), 1000);
  std::error_code error;
  if (fs::is_directory(path, error)) fail_at(name, "the landmark file is a folder");
  std::ifstream in(path, std::ios::binary);
  if (!in) fail_at(name, "the landmark file cannot be opened: ", std::strerror(errno));
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) fail_at(name, "the landmark file cannot be read");
  return parse({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, name);
}

std::optional<Landmarks> LandmarkFile::find(const fs::path& image_path) const {
  const auto lookup = [&](const std::string& key) -> std::optional<Landmarks> {
    const auto it = points_.find(key);
    return it == points_.end() ? std::nullopt : std::optional(it->second);
  };
  std::string key = normalised(image_path);
  while (true) {
    if (auto found = lookup(key)) return found;
    const std::size_t slash = key.find('/');
    if (slash == std::string::npos) return std::nullopt;
    key.erase(0, slash + 1);
  }
}

}  // namespace aikd
