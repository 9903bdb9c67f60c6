// One block of memory on one device. Move-only owner, shared by tensors through a shared_ptr.
#pragma once

#include <cstddef>
#include <memory>

#include "tensor/device.h"

namespace aikd {

class Buffer {
 public:
  static constexpr std::size_t kAlignment = 64;  // one cache line, one AVX-512 vector

  Buffer() = default;
  // Uninitialised memory; throws Error(kDevice) when it cannot be had.
  Buffer(std::size_t bytes, Device device);
  // Memory that somebody else owns (a mapped file): read-only, kept alive by `owner`.
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
  std::shared_ptr<const void> owner_;
};

}  // namespace aikd
