// Where and how work runs: the device, its threads or stream, and scratch memory. One Context is used by one
// caller at a time; programs make one and pass it down.
#pragma once

#include <cstdint>

#include "kernels/context.h"
#include "tensor/buffer.h"
#include "tensor/device.h"
#include "tensor/thread_pool.h"

namespace aikd {

class Context {
 public:
  explicit Context(Device device = Device::cpu(), int threads = 0, std::uint64_t seed = 0);

  Device device() const noexcept { return device_; }
  int threads() const noexcept { return pool_.threads(); }
  std::uint64_t seed() const noexcept { return seed_; }
  ThreadPool& pool() noexcept { return pool_; }

  // What kernels see. Scratch of at least `workspace_bytes` is kept and grows; its contents do not survive a
  // call.
  kernels::Context kernel_context(std::size_t workspace_bytes = 0);

 private:
  Device device_;
  std::uint64_t seed_;
  ThreadPool pool_;
  Buffer workspace_;
};

}  // namespace aikd
