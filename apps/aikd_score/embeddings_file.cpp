#include "apps/aikd_score/embeddings_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "io/table.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd::apps {
namespace {

// The number of rows is known only at the end, so the header gets its room before them, filled up with spaces
// as the format allows.
constexpr std::size_t kHeaderRoom = 4096;

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

}  // namespace

EmbeddingsFile::EmbeddingsFile(const std::filesystem::path& path, std::int64_t size,
                               const std::map<std::string, std::string>& metadata)
    : path_(path), part_(path), size_(size), metadata_(metadata) {
  part_ += ".part";
  fd_ = ::open(part_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_with(errno);
  const std::string room(8 + kHeaderRoom, ' ');
  write(room.data(), room.size());
}

EmbeddingsFile::~EmbeddingsFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(part_.c_str());
}

void EmbeddingsFile::add(const std::string& path, float score, std::span<const float> embedding) {
  require(static_cast<std::int64_t>(embedding.size()) == size_, ErrorKind::kInternal, "An embedding of ",
          embedding.size(), " numbers was given to a file of ", size_, ".");
  write(embedding.data(), embedding.size_bytes());
  scores_.push_back(score);
  paths_ += path;
  paths_ += '\0';
}

std::string EmbeddingsFile::header() const {
  const std::size_t n = scores_.size(), d = static_cast<std::size_t>(size_);
  const std::size_t first = n * d * 4, second = first + n * 4, third = second + paths_.size();
  std::string json = "{\"__metadata__\":{";
  for (const auto& [key, value] : metadata_)
    json += concat(json.back() == '{' ? "" : ",", io::json_string(key), ":", io::json_string(value));
  json += concat("},\"embeddings\":{\"dtype\":\"F32\",\"shape\":[", n, ",", d, "],\"data_offsets\":[0,",
                 first, "]},\"scores\":{\"dtype\":\"F32\",\"shape\":[", n, "],\"data_offsets\":[", first, ",",
                 second, "]},\"paths\":{\"dtype\":\"U8\",\"shape\":[", paths_.size(), "],\"data_offsets\":[",
                 second, ",", third, "]}}");
  require(json.size() <= kHeaderRoom, ErrorKind::kInternal, "The header of the embeddings has ", json.size(),
          " bytes; there is room for ", kHeaderRoom, ".");
  json.resize(kHeaderRoom, ' ');
  const std::uint64_t length = kHeaderRoom;
  std::string out(sizeof length, '\0');
  std::memcpy(out.data(), &length, sizeof length);
  return out + json;
}

void EmbeddingsFile::finish() {
  write(scores_.data(), scores_.size() * sizeof(float));
  write(paths_.data(), paths_.size());
  const std::string head = header();
  if (::lseek(fd_, 0, SEEK_SET) < 0) fail_with(errno);
  write(head.data(), head.size());
  if (::fsync(fd_) != 0 && errno != EINVAL && errno != ENOTSUP) fail_with(errno);
  if (::close(std::exchange(fd_, -1)) != 0 || ::rename(part_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(part_.c_str());
    fail_with(error);
  }
}

void EmbeddingsFile::write(const void* data, std::size_t bytes) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(fd_, from, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_with(errno);
    from += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

void EmbeddingsFile::fail_with(int error) const {
  fail(ErrorKind::kOutput, "The embeddings ", io::in_quotes(path_.string(), 1000),
       " cannot be written: ", std::strerror(error), ".");
}

}  // namespace aikd::apps
