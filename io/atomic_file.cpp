#include "io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "io/text.h"
#include "tensor/error.h"

namespace aikd::io {

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(path) {
  static std::atomic<unsigned> counter{0};
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) fail_with("it is a directory", 0);
  for (;;) {
    temporary_ = path;
    temporary_ += concat(".tmp-", ::getpid(), "-", counter++);
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ >= 0) break;
    if (errno != EEXIST) fail_with("a temporary file beside it cannot be created", errno);
  }
  pending_ = true;
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (pending_) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  const auto* from = static_cast<const char*>(data);
  while (bytes != 0) {
    // Linux writes at most 0x7ffff000 bytes at once.
    const ssize_t written = ::write(fd_, from, std::min<std::size_t>(bytes, 1U << 30));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_with("writing failed", errno);
    from += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

void AtomicFile::commit() {
  // Some file systems cannot sync and say so with EINVAL or ENOTSUP; the data is written all the same.
  if (::fsync(fd_) != 0 && errno != EINVAL && errno != ENOTSUP) fail_with("syncing failed", errno);
  const int closed = ::close(std::exchange(fd_, -1));
  if (closed != 0) fail_with("closing failed", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    fail_with("the finished file cannot be renamed", errno);
  pending_ = false;
  // The rename itself survives a power cut only once the folder is synced; where that cannot be done the file
  // is still whole.
  const std::filesystem::path parent = path_.has_parent_path() ? path_.parent_path() : ".";
  const int folder = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
}

void AtomicFile::fail_with(const char* what, int error) const {
  fail(ErrorKind::kOutput, "The file ", in_quotes(path_.string(), 1000), " cannot be written: ", what,
       error == 0 ? "" : " (", error == 0 ? "" : std::strerror(error), error == 0 ? "." : ").");
}

}  // namespace aikd::io
