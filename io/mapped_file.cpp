#include "io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "io/text.h"

namespace aikd::io {
namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path, ErrorKind kind) {
  const std::string name = in_quotes(path.string(), 1000);
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  require(file.fd >= 0, kind, "The file ", name, " cannot be opened: ", std::strerror(errno), ".");
  struct stat info {};
  require(::fstat(file.fd, &info) == 0, kind, "The file ", name,
          " cannot be examined: ", std::strerror(errno), ".");
  require(!S_ISDIR(info.st_mode), kind, name, " is a directory, not a file.");
  require(S_ISREG(info.st_mode), kind, name, " is not a regular file.");
  const auto size = static_cast<std::size_t>(info.st_size);
  std::shared_ptr<MappedFile> mapped(new MappedFile);
  if (size == 0) return mapped;  // mmap refuses a length of 0
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
  require(data != MAP_FAILED, kind, "The file ", name, " cannot be mapped: ", std::strerror(errno), ".");
  mapped->data_ = static_cast<const std::uint8_t*>(data);
  mapped->size_ = size;
  return mapped;
}

MappedFile::~MappedFile() {
  // munmap takes a pointer to non-const although it writes nothing.
  if (data_ != nullptr) ::munmap(const_cast<std::uint8_t*>(data_), size_);
}

}  // namespace aikd::io
