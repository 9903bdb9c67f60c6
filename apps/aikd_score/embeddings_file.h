// Embeddings of any number of images as one safetensors file, written as they come.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace aikd::apps {

// Tensors: embeddings F32 [n, d]; scores F32 [n]; paths U8 [bytes], n times UTF-8 (bytes that are not: kept)
// and a NUL byte. Only scored images are in it; row i of one belongs to row i of the others.
class EmbeddingsFile {
 public:
  // Writes to "<path>.part" until finish(). All functions throw Error(kOutput).
  EmbeddingsFile(const std::filesystem::path& path, std::int64_t size,
                 const std::map<std::string, std::string>& metadata);
  ~EmbeddingsFile();  // without finish(): the part is removed
  EmbeddingsFile(const EmbeddingsFile&) = delete;
  EmbeddingsFile& operator=(const EmbeddingsFile&) = delete;

  void add(const std::string& path, float score, std::span<const float> embedding);
  void finish();

 private:
  void write(const void* data, std::size_t bytes);
  [[noreturn]] void fail_with(int error) const;
  std::string header() const;

  std::filesystem::path path_, part_;
  std::int64_t size_;
  std::map<std::string, std::string> metadata_;
  std::string paths_;
  std::vector<float> scores_;
  int fd_ = -1;
};

}  // namespace aikd::apps
