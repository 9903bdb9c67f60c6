#include "tensor/buffer.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <utility>

#include "tensor/cuda_runtime.h"
#include "tensor/error.h"

namespace aikd {
namespace {

// Weights and activations are read from end to end: with pages of 2 MiB instead of 4 KiB the processor walks
// its page tables 512 times less often, and the first write of fresh memory stops for the kernel as much
// less.
constexpr std::size_t kHugePage = std::size_t{1} << 21;

void* allocate_cpu(std::size_t bytes) {
  const std::size_t alignment = bytes >= 2 * kHugePage ? kHugePage : Buffer::kAlignment;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* data = std::aligned_alloc(alignment, rounded);
  // Advice: a kernel that has none to give away goes on with small pages.
  if (data != nullptr && alignment == kHugePage) (void)madvise(data, rounded, MADV_HUGEPAGE);
  return data;
}

}  // namespace

Buffer::Buffer(std::size_t bytes, Device device) : bytes_(bytes), device_(device) {
  if (device.type == Device::Type::kCuda) {
    data_ = cuda::allocate(bytes, device.index, nullptr);
    return;
  }
  if (bytes == 0) return;
  require(bytes <= SIZE_MAX - kHugePage, ErrorKind::kDevice, "Cannot allocate ", bytes, " bytes.");
  data_ = allocate_cpu(bytes);
  require(data_ != nullptr, ErrorKind::kDevice, "Cannot allocate ", bytes, " bytes of memory.");
}

Buffer::Buffer(std::size_t bytes, const cuda::Stream& stream)
    : bytes_(bytes), device_(Device::cuda(stream.device())), stream_(stream.handle()) {
  require(stream_ != nullptr, ErrorKind::kInternal, "Memory was asked for on a CUDA stream that is null.");
  data_ = cuda::allocate(bytes, device_.index, stream_);
}

Buffer Buffer::borrow(const void* data, std::size_t bytes, std::shared_ptr<const void> owner) {
  require(owner != nullptr, ErrorKind::kInternal, "Borrowed memory needs an owner that keeps it alive.");
  Buffer buffer;
  buffer.data_ = const_cast<void*>(data);  // never written: mutable_data() refuses
  buffer.bytes_ = bytes;
  buffer.owner_ = std::move(owner);
  return buffer;
}

Buffer::~Buffer() {
  release();
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      device_(other.device_),
      stream_(std::exchange(other.stream_, nullptr)),
      owner_(std::move(other.owner_)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    release();
    data_ = std::exchange(other.data_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
    device_ = other.device_;
    stream_ = std::exchange(other.stream_, nullptr);
    owner_ = std::move(other.owner_);
  }
  return *this;
}

void* Buffer::mutable_data() {
  require(!borrowed(), ErrorKind::kInternal,
          "Write access was asked for to memory that is mapped read-only.");
  return data_;
}

void Buffer::release() noexcept {
  if (borrowed()) {
    owner_.reset();
  } else if (device_.type == Device::Type::kCuda) {
    cuda::release(data_, device_.index, stream_);
  } else {
    std::free(data_);
  }
  data_ = nullptr;
}

}  // namespace aikd
