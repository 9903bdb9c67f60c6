// What a pickle holds, as the JSON that tests/golden/io/golden_values.py writes: every type and every bit
// kept.
#pragma once

#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/pickle.h"
#include "tests/support/test.h"

namespace aikd::test {

inline std::string hex(const void* data, std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) {
    const auto byte = static_cast<const unsigned char*>(data)[i];
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 0xfU];
  }
  return text;
}

inline nlohmann::json golden_value(const Tensor& tensor) {
  return {
      {"tensor", std::string(name_of(tensor.dtype()))},
      {"shape", std::vector<std::int64_t>(tensor.shape().extents().begin(), tensor.shape().extents().end())},
      {"data", hex(tensor.raw(), tensor.bytes())}};
}

inline nlohmann::json golden_value(const io::PickleValue& value) {
  using nlohmann::json;
  const auto array = [](const std::vector<io::PickleRef>& items) {
    json out = json::array();
    for (const io::PickleRef& item : items) out.push_back(golden_value(*item));
    return out;
  };
  if (const auto* v = std::get_if<bool>(&value.v)) return *v;
  if (const auto* v = std::get_if<std::int64_t>(&value.v)) return *v;
  if (const auto* v = std::get_if<double>(&value.v)) return {{"float", hex(v, 8)}};
  if (const auto* v = std::get_if<std::string>(&value.v)) return *v;
  if (const auto* v = std::get_if<io::PickleBytes>(&value.v))
    return {{"bytes", hex(v->data.data(), v->data.size())}};
  if (const auto* v = std::get_if<io::PickleList>(&value.v)) return {{"list", array(v->items)}};
  if (const auto* v = std::get_if<io::PickleTuple>(&value.v)) return {{"tuple", array(v->items)}};
  if (const auto* v = std::get_if<Tensor>(&value.v)) return golden_value(*v);
  if (const auto* v = std::get_if<io::PickleDict>(&value.v)) {
    json items = json::array();
    for (const auto& [key, item] : v->items)
      items.push_back(json::array({golden_value(*key), golden_value(*item)}));
    return {{"dict", items}};
  }
  return nullptr;
}

inline std::vector<std::uint8_t> read_bytes(const std::filesystem::path& path) {
  const std::string text = read_text(path);
  return {text.begin(), text.end()};
}
inline std::span<const std::uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// The message of the Error that `call` throws; "no error" when it throws none.
template <class Call>
std::string error_of(ErrorKind kind, const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.kind() == kind ? error.what() : std::string("an error of another kind: ") + error.what();
  }
  return "no error";
}

inline bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace aikd::test
