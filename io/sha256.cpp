#include "io/sha256.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "io/text.h"
#include "tensor/error.h"

namespace aikd::io {
namespace {

class Digest {
 public:
  Digest() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    require(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1,
            ErrorKind::kInternal, "The crypto library cannot start a SHA-256 digest.");
  }
  void update(const void* data, std::size_t bytes) {
    require(EVP_DigestUpdate(context_.get(), data, bytes) == 1, ErrorKind::kInternal,
            "The crypto library failed to update a SHA-256 digest.");
  }
  std::string hex() {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    require(EVP_DigestFinal_ex(context_.get(), bytes, &length) == 1, ErrorKind::kInternal,
            "The crypto library failed to finish a SHA-256 digest.");
    std::string text;
    for (unsigned int i = 0; i < length; ++i) {
      text += "0123456789abcdef"[bytes[i] >> 4];
      text += "0123456789abcdef"[bytes[i] & 0xfU];
    }
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string sha256_hex(std::span<const std::uint8_t> bytes) {
  Digest digest;
  digest.update(bytes.data(), bytes.size());
  return digest.hex();
}

std::string sha256_file(const std::filesystem::path& path) {
  const std::string name = in_quotes(path.string(), 1000);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  require(fd >= 0, ErrorKind::kInput, "The file ", name, " cannot be opened: ", std::strerror(errno), ".");
  const struct Closer {
    int fd;
    ~Closer() { ::close(fd); }
  } closer{fd};
  Digest digest;
  std::vector<unsigned char> block(std::size_t{1} << 20);
  for (;;) {
    const ssize_t got = ::read(fd, block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    require(got >= 0, ErrorKind::kInput, "The file ", name, " cannot be read: ", std::strerror(errno), ".");
    if (got == 0) return digest.hex();
    digest.update(block.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace aikd::io
