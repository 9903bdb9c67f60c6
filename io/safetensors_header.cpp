#include "io/safetensors_header.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>

#include "io/text.h"
#include "tensor/error.h"

namespace aikd::io {
namespace {

using nlohmann::json;

template <class... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
  fail(ErrorKind::kModel, "The safetensors header ", parts...);
}

// Follows the JSON parser's events and accepts only the format's schema:
//   {"__metadata__": {string: string}, name: {"dtype": string, "shape": [int], "data_offsets": [int, int]}}
// A document object model is never built, so nesting and duplicates cost nothing before they are refused.
class Schema {
 public:
  explicit Schema(SafetensorsHeader& header) : header_(header) {}

  bool null() { unexpected("null"); }
  bool boolean(bool /*value*/) { unexpected("a boolean"); }
  bool number_integer(json::number_integer_t value) {  // only called for negative numbers
    if (place_ == Place::kArray) refuse("has the negative number ", value, " in ", where(), ".");
    unexpected("a number");
  }
  bool number_unsigned(json::number_unsigned_t value) {
    if (place_ != Place::kArray) unexpected("a number");
    numbers_->push_back(value);
    return true;
  }
  bool number_float(json::number_float_t /*value*/, const json::string_t& text) {
    if (place_ == Place::kArray)
      refuse("has the number ", in_quotes(text), " in ", where(),
             "; expected a non-negative integer below 2^64.");
    unexpected("a number");
  }
  bool string(json::string_t& value) {
    if (place_ == Place::kMetadata) {
      if (value.size() > kMaxMetadataValue)
        refuse("has ", value.size(), " bytes in the metadata value ", in_quotes(key_), "; at most ",
               kMaxMetadataValue, " are allowed.");
      header_.metadata.emplace(key_, value);
      return true;
    }
    if (place_ != Place::kTensor || key_ != "dtype") unexpected("a string");
    const std::optional<DType> dtype = dtype_from_name(value);
    if (!dtype) refuse("gives the tensor ", in_quotes(name_), " the unknown dtype ", in_quotes(value), ".");
    dtype_ = dtype;
    return true;
  }
  bool binary(json::binary_t& /*value*/) { unexpected("binary data"); }

  bool start_object(std::size_t /*elements*/) {
    if (place_ == Place::kStart) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTop) {
      place_ = name_ == "__metadata__" ? Place::kMetadata : Place::kTensor;
      dtype_.reset();
      shape_.reset();
      offsets_.reset();
    } else {
      too_deep();
    }
    return true;
  }
  bool end_object() {
    if (place_ == Place::kTensor) add_tensor();
    place_ = place_ == Place::kTop ? Place::kEnd : Place::kTop;
    return true;
  }
  bool key(json::string_t& value) {
    if (place_ == Place::kTop) {
      if (!names_.insert(value).second) refuse("names the tensor ", in_quotes(value), " twice.");
      name_ = value;
      return true;
    }
    key_ = value;
    if (place_ == Place::kMetadata) {
      if (value.size() > kMaxMetadataKey)
        refuse("has a metadata key of ", value.size(), " bytes; at most ", kMaxMetadataKey, " are allowed.");
      if (header_.metadata.contains(value)) refuse("has the metadata key ", in_quotes(value), " twice.");
      return true;
    }
    const bool again = value == "dtype"   ? dtype_.has_value()
                       : value == "shape" ? shape_.has_value()
                                          : offsets_.has_value();
    if (value != "dtype" && value != "shape" && value != "data_offsets")
      refuse("has the unknown field ", in_quotes(value), " for the tensor ", in_quotes(name_), ".");
    if (again) refuse("has the field ", in_quotes(value), " of the tensor ", in_quotes(name_), " twice.");
    return true;
  }
  bool start_array(std::size_t /*elements*/) {
    if (place_ == Place::kArray) too_deep();
    if (place_ != Place::kTensor || key_ == "dtype") unexpected("an array");
    numbers_ = &(key_ == "shape" ? shape_ : offsets_).emplace();
    place_ = Place::kArray;
    return true;
  }
  bool end_array() {
    place_ = Place::kTensor;
    return true;
  }
  bool parse_error(std::size_t position, const std::string& /*token*/, const json::exception& /*error*/) {
    refuse("is not valid JSON (at its byte ", position, ").");
  }

 private:
  enum class Place { kStart, kTop, kMetadata, kTensor, kArray, kEnd };

  std::string where() const {
    return concat("the field ", in_quotes(key_), " of the tensor ", in_quotes(name_));
  }
  [[noreturn]] void too_deep() const { refuse("is nested too deeply at ", where(), "."); }
  [[noreturn]] void unexpected(const char* what) const {
    if (place_ == Place::kMetadata)
      refuse("has ", what, " as the metadata value ", in_quotes(key_), "; expected a string.");
    if (place_ == Place::kTop) {
      refuse("has ", what, " as the entry ", in_quotes(name_), "; expected an object.");
    }
    refuse("has ", what, " in ", where(), ".");
  }

  void add_tensor() {
    const char* missing = !dtype_ ? "dtype" : !shape_ ? "shape" : !offsets_ ? "data_offsets" : nullptr;
    if (missing != nullptr) refuse("lacks the field '", missing, "' of the tensor ", in_quotes(name_), ".");
    if (shape_->size() > Shape::kMaxRank)
      refuse("gives the tensor ", in_quotes(name_), " ", shape_->size(), " dimensions; at most ",
             Shape::kMaxRank, " are allowed.");
    // Bytes stay below 2^62, so that every later product and sum fits into 64 bits.
    constexpr std::uint64_t kLimit = std::uint64_t{1} << 62;
    std::uint64_t bytes = size_of(*dtype_);
    std::vector<std::int64_t> extents;
    for (const std::uint64_t n : *shape_) {
      if (n > kLimit || (n != 0 && bytes > kLimit / n))
        refuse("gives the tensor ", in_quotes(name_), " a shape whose product overflows.");
      bytes *= n;
      extents.push_back(static_cast<std::int64_t>(n));
    }
    if (offsets_->size() != 2)
      refuse("gives the tensor ", in_quotes(name_), " ", offsets_->size(), " data offsets; expected 2.");
    const std::uint64_t begin = (*offsets_)[0], end = (*offsets_)[1];
    if (begin > end)
      refuse("lets the tensor ", in_quotes(name_), " begin at byte ", begin, " and end before it, at ", end,
             ".");
    const Shape shape{std::span<const std::int64_t>(extents)};
    if (end - begin != bytes)
      refuse("gives the tensor ", in_quotes(name_), " ", end - begin, " bytes, but its shape ", shape, " of ",
             name_of(*dtype_), " takes ", bytes, ".");
    header_.items.push_back({name_, *dtype_, shape, begin, end});
  }

  SafetensorsHeader& header_;
  Place place_ = Place::kStart;
  std::unordered_set<std::string> names_;
  std::string name_, key_;
  std::optional<DType> dtype_;
  std::optional<std::vector<std::uint64_t>> shape_, offsets_;
  std::vector<std::uint64_t>* numbers_ = nullptr;
};

void check_coverage(SafetensorsHeader& header, std::uint64_t data_bytes) {
  std::ranges::stable_sort(header.items, [](const auto& a, const auto& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::uint64_t at = 0;
  for (const SafetensorsHeader::Item& item : header.items) {
    if (item.end > data_bytes)
      refuse("lets the tensor ", in_quotes(item.name), " end at byte ", item.end, ", but only ", data_bytes,
             " bytes follow the header; the file is truncated or damaged.");
    if (item.begin < at)
      refuse("lets the tensor ", in_quotes(item.name), " begin at byte ", item.begin,
             ", inside the tensor before it, which ends at ", at, ".");
    if (item.begin > at)
      refuse("leaves a gap of ", item.begin - at, " bytes before the tensor ", in_quotes(item.name), ".");
    at = item.end;
  }
  if (at != data_bytes) refuse("describes ", at, " bytes of tensors, but ", data_bytes, " bytes follow it.");
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view json_text, std::uint64_t data_bytes) {
  if (json_text.empty() || json_text.front() != '{') refuse("does not start with '{'.");
  if (!is_utf8(json_text)) refuse("is not valid UTF-8.");
  // The parser takes a NUL for the end of its input and would ignore what follows.
  if (const std::size_t nul = json_text.find('\0'); nul != std::string_view::npos)
    refuse("is not valid JSON (a NUL at its byte ", nul, ").");
  SafetensorsHeader header;
  Schema schema(header);
  json::sax_parse(json_text.begin(), json_text.end(), &schema);
  check_coverage(header, data_bytes);
  return header;
}

}  // namespace aikd::io
