// A whole file as read-only memory. Shared by the tensors that borrow from it; unmapped with the last of
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "tensor/error.h"

namespace aikd::io {

class MappedFile {
 public:
  // Throws Error(kind) with a sentence for: a file that is not there, may not be read, is a directory or
  // another thing that is not a regular file. An empty file gives an empty span. The file must not be
  // truncated in place while it is mapped (replacing it by rename, as this program writes files, is safe).
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path, ErrorKind kind);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::uint8_t> bytes() const noexcept { return {data_, size_}; }

 private:
  MappedFile() = default;
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace aikd::io
