// The JSON header of a safetensors file: read strictly, checked against the size of the data that follows it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace aikd::io {

inline constexpr std::uint64_t kMaxSafetensorsHeader = std::uint64_t{1} << 20;  // bytes
inline constexpr std::size_t kMaxMetadataKey = 256;                             // bytes
inline constexpr std::size_t kMaxMetadataValue = std::size_t{64} << 10;         // bytes

struct SafetensorsHeader {
  struct Item {
    std::string name;
    DType dtype = DType::kF32;
    Shape shape;
    std::uint64_t begin = 0, end = 0;  // bytes, relative to the end of the header
  };
  std::vector<Item> items;  // in the order of their bytes; gap-free and covering the data
  std::map<std::string, std::string> metadata;
};

// `json` is the header without its length; `data_bytes` is what follows it in the file. Error(kModel).
SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes);

}  // namespace aikd::io
