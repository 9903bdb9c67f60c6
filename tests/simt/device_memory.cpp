// tests/cuda/device_memory.h in the host emulator.
#include "tests/cuda/device_memory.h"

#include <cstdlib>
#include <utility>

#include "kernels/cuda/device.cuh"
#include "simt/simt.h"

namespace aikd::test {
namespace {

constexpr std::size_t kGuard = 256;
constexpr unsigned char kGuardByte = 0xa5;

}  // namespace

std::string gpu_missing() {
  return {};
}
bool emulated() {
  return true;
}

DeviceBytes::DeviceBytes(std::size_t bytes, const void* values) : bytes_(bytes) {
  const std::size_t all = (bytes + 255) / 256 * 256 + 2 * kGuard;
  block_ = std::aligned_alloc(256, all);
  if (block_ == nullptr) throw std::bad_alloc();
  std::memset(block_, kGuardByte, all);
  begin_ = static_cast<unsigned char*>(block_) + kGuard;
  if (bytes == 0) return;
  std::memset(begin_, 0xff, bytes);
  simt::register_global(begin_, bytes, values != nullptr);
  if (values != nullptr) std::memcpy(begin_, values, bytes);
}

DeviceBytes::~DeviceBytes() {
  if (bytes_ != 0 && block_ != nullptr) simt::unregister_global(begin_);
  std::free(block_);
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
  if (bytes_ != 0) std::memcpy(to, begin_, bytes_);
}

void DeviceBytes::write(const void* from) {
  if (bytes_ == 0) return;
  std::memcpy(begin_, from, bytes_);
  simt::mark_initialised(begin_, bytes_);
}

bool DeviceBytes::guards_intact() const {
  const auto* const block = static_cast<const unsigned char*>(block_);
  for (std::size_t i = 0; i < kGuard; ++i)
    if (block[i] != kGuardByte || block[kGuard + bytes_ + i] != kGuardByte) return false;
  return true;
}

DeviceTeam::DeviceTeam(std::size_t workspace_bytes) : workspace_(workspace_bytes) {}
DeviceTeam::~DeviceTeam() = default;

kernels::Context DeviceTeam::context() {
  if (workspace_.bytes() != 0) {  // nothing that an earlier call left may be read
    simt::unregister_global(workspace_.get());
    std::memset(workspace_.get(), 0xff, workspace_.bytes());
    simt::register_global(workspace_.get(), workspace_.bytes(), false);
  }
  kernels::Context context;
  context.workspace = workspace_.bytes() == 0 ? nullptr : workspace_.get();
  context.workspace_bytes = workspace_.bytes();
  return context;
}

}  // namespace aikd::test
