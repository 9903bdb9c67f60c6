// One block of memory on one device. Move-only owner, shared by tensors through a shared_ptr.
//
// On a CUDA device memory comes from a cache (tensor/cuda_runtime.h), in two kinds:
//
//   Buffer(bytes, device)   for what lives long and is used by any stream: weights, arenas. Given out again
//   only after
//                           the whole device has finished, so it may be let go at any time.
//   Buffer(bytes, stream)   for what comes and goes within the work of one stream. Letting go costs nothing
//   and waits
//                           for nothing: the next owner's work on the stream comes after this one's. Whoever
//                           uses it on another stream makes `stream` wait for that (cuda::Event) before
//                           letting go.
//
// A buffer may outlive its stream: then it is treated as the first kind.
#pragma once

#include <cstddef>
#include <memory>

#include "tensor/device.h"

namespace aikd {

namespace cuda {
class Stream;
}

class Buffer {
 public:
  static constexpr std::size_t kAlignment = 64;  // one cache line, one AVX-512 vector
  static constexpr std::size_t kCudaAlignment = 256;

  Buffer() = default;
  // Uninitialised memory; throws Error(kDevice) when it cannot be had.
  Buffer(std::size_t bytes, Device device);
  Buffer(std::size_t bytes, const cuda::Stream& stream);
  // Host memory that somebody else owns (a mapped file): read-only, kept alive by `owner`.
  static Buffer borrow(const void* data, std::size_t bytes, std::shared_ptr<const void> owner);

  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  const void* data() const noexcept { return data_; }
  void* mutable_data();  // throws Error(kInternal) for borrowed memory
  std::size_t bytes() const noexcept { return bytes_; }
  Device device() const noexcept { return device_; }
  bool borrowed() const noexcept { return owner_ != nullptr; }

 private:
  void release() noexcept;

  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  Device device_;
  void* stream_ = nullptr;  // the second kind: the stream's handle, never used but as a name
  std::shared_ptr<const void> owner_;
};

}  // namespace aikd
