// safetensors files, mapped for reading and written whole. https://github.com/huggingface/safetensors (format
// section of its README): 8 bytes little-endian header length, JSON header, then the tensors' bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace aikd::io {

struct SafetensorsEntry {
  std::string name;
  Tensor tensor;  // from a mapped file: borrowed, read-only; it keeps the mapping alive
};

struct SafetensorsFile {
  std::vector<SafetensorsEntry> tensors;  // in the order of their bytes in the file
  std::map<std::string, std::string> metadata;
  const Tensor* find(const std::string& name) const noexcept;  // null when absent
};

// Every check of the format has its own sentence, Error(kModel): header length, first byte, UTF-8, JSON and
// its depth, duplicate keys, dtype, shape, offsets (integers, in the file, sorted, gap-free, end - begin ==
// size), metadata strings.
SafetensorsFile read_safetensors(const std::filesystem::path& path);
SafetensorsFile parse_safetensors(std::span<const std::uint8_t> bytes);  // copies; for tests and fuzzing

// Written to a temporary name beside `path`, synced, renamed. Tensors are written in the order given, the
// header padded to 8 bytes with spaces. Error(kOutput).
void write_safetensors(const std::filesystem::path& path, const SafetensorsFile& file);

}  // namespace aikd::io
