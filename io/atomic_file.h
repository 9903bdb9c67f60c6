// Output files appear whole or not at all: written to a temporary name in the same folder, synced, renamed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace aikd::io {

class AtomicFile {
 public:
  // Creates the temporary file "<path>.tmp-<process>-<number>". All functions throw Error(kOutput).
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();  // without commit(): the temporary is removed and an old `path` stays as it was
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, std::size_t bytes);
  void commit();  // fsync, rename over `path`, fsync of the folder

 private:
  [[noreturn]] void fail_with(const char* what, int error) const;

  std::filesystem::path path_, temporary_;
  int fd_ = -1;
  bool pending_ = false;  // the temporary exists
};

}  // namespace aikd::io
