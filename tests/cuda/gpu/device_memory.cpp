// tests/cuda/device_memory.h on a card.
#include "tests/cuda/device_memory.h"

#include <cuda_runtime.h>

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <utility>

#include "kernels/cuda/libraries.h"
#include "tensor/cuda_runtime.h"

namespace aikd::test {
namespace {

constexpr std::size_t kGuard = 256;
constexpr unsigned char kGuardByte = 0xa5;

void check(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));
}
void throw_error(const char* what, const char* reason) {
  throw std::runtime_error(std::string(what) + ": " + reason);
}

}  // namespace

std::string gpu_missing() {
  std::string why;
  if (!cuda::devices(&why).empty()) return {};
  const char* const required = std::getenv("AIKD_REQUIRE_GPU");
  if (required != nullptr && std::string(required) == "1")
    FAIL("AIKD_REQUIRE_GPU=1, but there is no device: ", why);
  return "no CUDA device here: " + why;
}
bool emulated() {
  return false;
}

DeviceBytes::DeviceBytes(std::size_t bytes, const void* values) : bytes_(bytes) {
  check(cudaMalloc(&block_, bytes + 2 * kGuard));
  check(cudaMemset(block_, kGuardByte, bytes + 2 * kGuard));
  begin_ = static_cast<unsigned char*>(block_) + kGuard;
  if (bytes == 0) return;
  check(cudaMemset(begin_, 0xff, bytes));
  if (values != nullptr) check(cudaMemcpy(begin_, values, bytes, cudaMemcpyHostToDevice));
}

DeviceBytes::~DeviceBytes() {
  cudaDeviceSynchronize();
  cudaFree(block_);
}

DeviceBytes::DeviceBytes(DeviceBytes&& other) noexcept
    : block_(std::exchange(other.block_, nullptr)),
      begin_(std::exchange(other.begin_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

DeviceBytes& DeviceBytes::operator=(DeviceBytes&& other) noexcept {
  std::swap(block_, other.block_);
  std::swap(begin_, other.begin_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void DeviceBytes::read(void* to) const {
  check(cudaDeviceSynchronize());
  if (bytes_ != 0) check(cudaMemcpy(to, begin_, bytes_, cudaMemcpyDeviceToHost));
}

void DeviceBytes::write(const void* from) {
  check(cudaDeviceSynchronize());
  if (bytes_ != 0) check(cudaMemcpy(begin_, from, bytes_, cudaMemcpyHostToDevice));
}

bool DeviceBytes::guards_intact() const {
  std::vector<unsigned char> all(bytes_ + 2 * kGuard);
  check(cudaDeviceSynchronize());
  check(cudaMemcpy(all.data(), block_, all.size(), cudaMemcpyDeviceToHost));
  for (std::size_t i = 0; i < kGuard; ++i)
    if (all[i] != kGuardByte || all[kGuard + bytes_ + i] != kGuardByte) return false;
  return true;
}

DeviceTeam::DeviceTeam(std::size_t workspace_bytes) : workspace_(workspace_bytes) {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  stream_ = stream;
  libraries_ = kernels::cuda::load_libraries().release();
}

DeviceTeam::~DeviceTeam() {
  cudaStreamSynchronize(static_cast<cudaStream_t>(stream_));
  delete static_cast<kernels::cuda::Libraries*>(libraries_);
  cudaStreamDestroy(static_cast<cudaStream_t>(stream_));
}

kernels::Context DeviceTeam::context() {
  check(cudaDeviceSynchronize());  // tests write with the default stream
  if (workspace_.bytes() != 0) check(cudaMemset(workspace_.get(), 0xff, workspace_.bytes()));
  check(cudaDeviceSynchronize());
  kernels::Context context;
  context.workspace = workspace_.bytes() == 0 ? nullptr : workspace_.get();
  context.workspace_bytes = workspace_.bytes();
  context.stream = stream_;
  context.libraries = static_cast<kernels::cuda::Libraries*>(libraries_);
  context.on_error = throw_error;
  return context;
}

}  // namespace aikd::test
