#include "apps/common/output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "io/text.h"
#include "tensor/error.h"

namespace aikd::apps {

OutputFile::OutputFile(const std::string& path, Mode mode) : path_(path == "-" ? "" : path) {
  if (path_.empty()) {
    fd_ = STDOUT_FILENO;
    return;
  }
  const int how = mode == Mode::kAppend ? O_APPEND : O_TRUNC;
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | how, 0666);
  if (fd_ < 0) fail_with(errno);
  struct stat info {};
  regular_ = ::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode);
}

OutputFile::~OutputFile() {
  try {
    close();
  } catch (const Error&) {  // somebody else's error is on its way, or close() would have been called
  }
  if (fd_ >= 0 && !path_.empty()) ::close(fd_);
}

void OutputFile::write(std::string_view text) {
  buffer_ += text;
  if (buffer_.size() >= (1U << 16)) flush();
}

void OutputFile::flush() {
  std::size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t written = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error = errno;
      buffer_.clear();  // it cannot be had back: the destructor must not try again
      fail_with(error);
    }
    done += static_cast<std::size_t>(written);
  }
  buffer_.clear();
}

void OutputFile::close() {
  if (fd_ < 0) return;
  flush();
  if (path_.empty()) return;
  if (::close(std::exchange(fd_, -1)) != 0) fail_with(errno);  // some disks report "full" only here
}

void OutputFile::fail_with(int error) const {
  const char* reason = error == EPIPE ? "its reader has gone away" : std::strerror(error);
  if (path_.empty()) fail(ErrorKind::kOutput, "Standard output cannot be written: ", reason, ".");
  fail(ErrorKind::kOutput, "The output ", io::in_quotes(path_, 1000), " cannot be written: ", reason, ".");
}

}  // namespace aikd::apps
