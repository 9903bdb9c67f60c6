// Device and page-locked memory of the CUDA runtime, and copies.
#include <array>
#include <iomanip>
#include <memory>
#include <mutex>
#include <utility>

#include "tensor/caching_allocator.h"
#include "tensor/cuda/check.h"
#include "tensor/cuda_runtime.h"

namespace aikd::cuda {
namespace {

constexpr int kMaxDevices = 64;

class DeviceMemory final : public MemorySource {
 public:
  explicit DeviceMemory(int device) : device_(device) {}

  void* allocate(std::size_t bytes) override {
    const CurrentDevice current(device_);
    void* memory = nullptr;
    const cudaError_t status = cudaMalloc(&memory, bytes);
    if (status == cudaErrorMemoryAllocation) {
      (void)cudaGetLastError();
      return nullptr;
    }
    check(status, "allocating ", bytes, " bytes on ", name());
    return memory;
  }
  // A status is of no use here: it can only repeat that something failed on the device before.
  void release(void* memory) noexcept override {
    if (cudaFree(memory) != cudaSuccess) (void)cudaGetLastError();
  }
  bool wait() override {
    const CurrentDevice current(device_);
    const cudaError_t status = cudaDeviceSynchronize();
    if (status == cudaErrorStreamCaptureUnsupported) {
      (void)cudaGetLastError();
      return false;
    }
    check(status, "waiting for ", name());
    return true;
  }
  std::string name() const override { return concat("cuda:", device_); }
  std::string remaining() const override {
    const CurrentDevice current(device_);
    std::size_t free = 0, total = 0;
    if (cudaMemGetInfo(&free, &total) != cudaSuccess) return {};
    const auto gib = [](std::size_t bytes) { return static_cast<double>(bytes) / (1024.0 * 1024 * 1024); };
    return concat(std::fixed, std::setprecision(1), gib(free), " of ", gib(total),
                  " GiB are free on the device");
  }

 private:
  int device_;
};

// Never destroyed: tensors in static variables may outlive any order of destruction, and the driver takes the
// memory back with the process.
CachingAllocator& allocator(int device) {
  static auto& mutex = *new std::mutex;
  static auto& all = *new std::array<std::unique_ptr<CachingAllocator>, kMaxDevices>;
  require(device >= 0 && device < kMaxDevices, ErrorKind::kDevice, "There is no device cuda:", device, ".");
  const std::lock_guard lock(mutex);
  std::unique_ptr<CachingAllocator>& mine = all[static_cast<std::size_t>(device)];
  if (mine == nullptr) mine = std::make_unique<CachingAllocator>(std::make_unique<DeviceMemory>(device));
  return *mine;
}

void copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, const char* tried,
          const Stream& stream) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to, from, bytes, kind, native(stream)), tried, " of ", bytes,
        " bytes, cuda:", stream.device());
}

}  // namespace

void* allocate(std::size_t bytes, int device, void* stream) {
  return allocator(device).allocate(bytes, stream);
}

void release(void* memory, int device, void* stream) noexcept {
  allocator(device).release(memory, stream);
}

MemoryUse memory_use(int device) {
  const CachingAllocator::Statistics s = allocator(device).statistics();
  return {.in_use = s.in_use, .cached = s.cached, .peak = s.peak};
}

void release_cached(int device) {
  allocator(device).release_cached();
}

void forget_stream(int device, void* stream) {
  allocator(device).forget_stream(stream);
}

PinnedBuffer::PinnedBuffer(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  check(cudaHostAlloc(&data_, bytes, cudaHostAllocPortable), "allocating ", bytes,
        " bytes of page-locked host memory");
}
PinnedBuffer::~PinnedBuffer() {
  if (data_ != nullptr && cudaFreeHost(data_) != cudaSuccess) (void)cudaGetLastError();
}
PinnedBuffer::PinnedBuffer(PinnedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
PinnedBuffer& PinnedBuffer::operator=(PinnedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void copy_to_device(void* to, const void* from, std::size_t bytes, const Stream& stream) {
  copy(to, from, bytes, cudaMemcpyHostToDevice, "a copy to the device", stream);
}
void copy_to_host(void* to, const void* from, std::size_t bytes, const Stream& stream) {
  copy(to, from, bytes, cudaMemcpyDeviceToHost, "a copy to the host", stream);
}
void copy_on_device(void* to, const void* from, std::size_t bytes, const Stream& stream) {
  copy(to, from, bytes, cudaMemcpyDeviceToDevice, "a copy on the device", stream);
}
void fill_bytes(void* to, unsigned char value, std::size_t bytes, const Stream& stream) {
  if (bytes == 0) return;
  const CurrentDevice current(stream.device());
  check(cudaMemsetAsync(to, value, bytes, native(stream)), "filling ", bytes,
        " bytes, cuda:", stream.device());
}

}  // namespace aikd::cuda
