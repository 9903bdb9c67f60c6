#include <array>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "io/atomic_file.h"
#include "io/safetensors.h"
#include "io/safetensors_header.h"
#include "io/text.h"

namespace aikd::io {
namespace {

using nlohmann::ordered_json;

std::string json_string(const std::string& text) {
  return ordered_json(text).dump();
}

void check_metadata(const std::map<std::string, std::string>& metadata) {
  for (const auto& [key, value] : metadata) {
    require(is_utf8(key) && is_utf8(value), ErrorKind::kOutput, "The metadata entry ", in_quotes(key),
            " is not valid UTF-8.");
    require(key.size() <= kMaxMetadataKey && value.size() <= kMaxMetadataValue, ErrorKind::kOutput,
            "The metadata entry ", in_quotes(key), " is too long: ", key.size(), " and ", value.size(),
            " bytes, at most ", kMaxMetadataKey, " and ", kMaxMetadataValue, " are allowed.");
  }
}

void check_tensors(const std::vector<SafetensorsEntry>& entries) {
  std::unordered_set<std::string_view> names;
  for (const SafetensorsEntry& entry : entries) {
    const std::string name = in_quotes(entry.name);
    require(entry.name != "__metadata__" && is_utf8(entry.name), ErrorKind::kOutput,
            "A tensor in a safetensors file cannot be named ", name, ".");
    require(names.insert(entry.name).second, ErrorKind::kOutput, "Two tensors are named ", name, ".");
    require(entry.tensor.defined(), ErrorKind::kOutput, "The tensor ", name, " has no values.");
    require(entry.tensor.device() == Device::cpu(), ErrorKind::kOutput, "The tensor ", name, " is on ",
            entry.tensor.device().to_string(), "; copy it to the CPU before it is written.");
  }
}

// Text is put together by hand, because a JSON object model would take a quadratic time to keep the order.
std::string header_of(const SafetensorsFile& file) {
  std::string text = "{";
  if (!file.metadata.empty()) {
    text += "\"__metadata__\":{";
    for (const auto& [key, value] : file.metadata) {
      if (text.back() != '{') text += ',';
      text += concat(json_string(key), ':', json_string(value));
    }
    text += '}';
  }
  std::uint64_t at = 0;
  for (const SafetensorsEntry& entry : file.tensors) {
    if (text.size() > 1) text += ',';
    const std::uint64_t end = at + entry.tensor.bytes();
    std::string shape;
    for (const std::int64_t n : entry.tensor.shape().extents()) shape += concat(shape.empty() ? "" : ",", n);
    text += concat(json_string(entry.name), ":{\"dtype\":\"", name_of(entry.tensor.dtype()), "\",\"shape\":[",
                   shape, "],\"data_offsets\":[", at, ",", end, "]}");
    at = end;
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');  // tensors begin at a multiple of 8 bytes
  return text;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, const SafetensorsFile& file) {
  check_metadata(file.metadata);
  check_tensors(file.tensors);
  const std::string header = header_of(file);
  require(header.size() <= kMaxSafetensorsHeader, ErrorKind::kOutput, "The safetensors header would take ",
          header.size(), " bytes; at most ", kMaxSafetensorsHeader, " are allowed.");
  std::array<std::uint8_t, 8> length{};
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<std::uint8_t>(header.size() >> (8 * i));

  AtomicFile out(path);
  out.write(length.data(), length.size());
  out.write(header.data(), header.size());
  for (const SafetensorsEntry& entry : file.tensors) {
    if (entry.tensor.bytes() != 0) out.write(entry.tensor.raw(), entry.tensor.bytes());
  }
  out.commit();
}

}  // namespace aikd::io
