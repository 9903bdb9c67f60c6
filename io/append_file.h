// A log that grows by whole pieces: a piece that cannot be written in full leaves the file as it was before.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace aikd::io {

class AppendFile {
 public:
  AppendFile() = default;  // closed
  // Opens `path` or creates it, and cuts it to `keep` bytes where it is longer. Error(kOutput).
  AppendFile(const std::filesystem::path& path, std::uint64_t keep);
  ~AppendFile();
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&& other) noexcept;

  bool is_open() const noexcept { return fd_ >= 0; }
  std::uint64_t size() const noexcept { return size_; }  // bytes written whole

  // All of `bytes` or nothing. After a failure (a full disk, a file size limit) the file is cut back to what
  // it was, and the Error(kOutput) says so. A process that is killed inside may leave a torn piece at the
  // end; so readers of such files must look for one.
  void append(std::string_view bytes);
  // Waits until what was appended is on the disk. Error(kOutput).
  void sync();

 private:
  [[noreturn]] void fail_with(std::string_view what, int error) const;

  std::filesystem::path path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace aikd::io
