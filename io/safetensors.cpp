#include "io/safetensors.h"

#include <cstring>
#include <string_view>

#include "io/mapped_file.h"
#include "io/safetensors_header.h"
#include "io/text.h"

namespace aikd::io {
namespace {

// Tensors borrow from `bytes` when `owner` keeps them alive and they are aligned; else they are copies.
SafetensorsFile parse(std::span<const std::uint8_t> bytes, const std::shared_ptr<const void>& owner) {
  require(bytes.size() >= 8, ErrorKind::kModel, "A safetensors file has at least 8 bytes, but this one has ",
          bytes.size(), ".");
  std::uint64_t header_bytes = 0;
  for (std::size_t i = 8; i-- > 0;) header_bytes = (header_bytes << 8) | bytes[i];  // little-endian
  require(header_bytes <= kMaxSafetensorsHeader, ErrorKind::kModel, "The safetensors header is ",
          header_bytes, " bytes long; at most ", kMaxSafetensorsHeader,
          " are allowed. Is this a safetensors file?");
  require(header_bytes <= bytes.size() - 8, ErrorKind::kModel, "The safetensors header is ", header_bytes,
          " bytes long, but only ", bytes.size() - 8, " bytes follow its length; the file is truncated.");
  const std::string_view json(reinterpret_cast<const char*>(bytes.data()) + 8, header_bytes);
  const std::span<const std::uint8_t> data = bytes.subspan(8 + static_cast<std::size_t>(header_bytes));
  SafetensorsHeader header = parse_safetensors_header(json, data.size());

  SafetensorsFile file;
  file.metadata = std::move(header.metadata);
  for (SafetensorsHeader::Item& item : header.items) {
    const std::uint8_t* from = data.data() + item.begin;
    const bool aligned = reinterpret_cast<std::uintptr_t>(from) % size_of(item.dtype) == 0;
    Tensor tensor;
    if (owner != nullptr && aligned && item.begin != item.end) {
      tensor = Tensor::borrow(from, item.shape, item.dtype, owner);
    } else {
      tensor = Tensor::empty(item.shape, item.dtype);
      if (tensor.bytes() != 0) std::memcpy(tensor.mutable_raw(), from, tensor.bytes());
    }
    file.tensors.push_back({std::move(item.name), std::move(tensor)});
  }
  return file;
}

}  // namespace

const Tensor* SafetensorsFile::find(const std::string& name) const noexcept {
  for (const SafetensorsEntry& entry : tensors) {
    if (entry.name == name) return &entry.tensor;
  }
  return nullptr;
}

SafetensorsFile read_safetensors(const std::filesystem::path& path) {
  const std::shared_ptr<const MappedFile> mapped = MappedFile::open(path, ErrorKind::kModel);
  try {
    return parse(mapped->bytes(), mapped);
  } catch (const Error& error) {
    throw Error(error.kind(), concat(in_quotes(path.string(), 1000), ": ", error.what()));
  }
}

SafetensorsFile parse_safetensors(std::span<const std::uint8_t> bytes) {
  return parse(bytes, nullptr);
}

}  // namespace aikd::io
