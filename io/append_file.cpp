#include "io/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "io/text.h"
#include "tensor/error.h"

namespace aikd::io {

AppendFile::AppendFile(const std::filesystem::path& path, std::uint64_t keep) : path_(path) {
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_with("it cannot be opened", errno);
  // The destructor does not run for a constructor that throws.
  const auto give_up = [this](std::string_view what, int error) {
    ::close(std::exchange(fd_, -1));
    fail_with(what, error);
  };
  struct stat info {};
  if (::fstat(fd_, &info) != 0) give_up("its size cannot be read", errno);
  size_ = std::min(keep, static_cast<std::uint64_t>(info.st_size));
  if (S_ISREG(info.st_mode) && size_ < static_cast<std::uint64_t>(info.st_size) &&
      ::ftruncate(fd_, static_cast<off_t>(size_)) != 0)
    give_up("it cannot be cut", errno);
}

AppendFile::~AppendFile() {
  if (fd_ >= 0) ::close(fd_);
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      size_(std::exchange(other.size_, 0)) {}

AppendFile& AppendFile::operator=(AppendFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  return *this;
}

void AppendFile::append(std::string_view bytes) {
  require(is_open(), ErrorKind::kInternal, "A log is appended to before it is opened.");
  std::uint64_t at = size_;
  while (!bytes.empty()) {
    // At a stated place, so that what another program put behind it does not move it.
    const ssize_t written =
        ::pwrite(fd_, bytes.data(), std::min<std::size_t>(bytes.size(), 1U << 30), static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const int error = written < 0 ? errno : ENOSPC;
      // A piece is wholly there or not at all. Should this fail too, the torn end is found on the next start.
      const int cut = ::ftruncate(fd_, static_cast<off_t>(size_));
      fail_with(cut == 0 ? "writing failed, and what it held before is intact"
                         : "writing failed, and its last line is torn",
                error);
    }
    at += static_cast<std::uint64_t>(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  size_ = at;
}

void AppendFile::sync() {
  if (is_open() && ::fsync(fd_) != 0 && errno != EINVAL && errno != ENOTSUP)
    fail_with("syncing failed", errno);
}

void AppendFile::fail_with(std::string_view what, int error) const {
  fail(ErrorKind::kOutput, "The log ", in_quotes(path_.string(), 1000), " cannot be written: ", what, " (",
       std::strerror(error), ").");
}

}  // namespace aikd::io
