// Where and how work runs: the device, its threads or stream, libraries, and scratch memory. One Context is
// used by one caller at a time; programs make one and pass it down.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "kernels/context.h"
#include "tensor/buffer.h"
#include "tensor/cuda_runtime.h"
#include "tensor/device.h"
#include "tensor/tensor.h"
#include "tensor/thread_pool.h"

namespace aikd {

class Context {
 public:
  // On a CUDA device also makes a stream and loads cuDNN and cuBLASLt; the threads then serve what stays on
  // the host (decoding, warping). Throws Error(kDevice) for a device that is not there.
  explicit Context(Device device = Device::cpu(), int threads = 0, std::uint64_t seed = 0);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  Device device() const noexcept { return device_; }
  bool on_cuda() const noexcept { return device_.type == Device::Type::kCuda; }
  int threads() const noexcept { return pool_.threads(); }
  std::uint64_t seed() const noexcept { return seed_; }
  ThreadPool& pool() noexcept { return pool_; }

  // The stream that everything of this context is ordered on; Error(kInternal) on the CPU.
  const cuda::Stream& stream() const;
  // Waits for what was issued and reports what failed in it. On the CPU there is nothing to wait for.
  void synchronize() const;
  // "cuDNN 9.19.0 (/usr/lib/...); cuBLASLt 13.0.0 (...)", with the reason for each that is absent; on the CPU
  // "none".
  std::string libraries_description() const;

  // Tensors on this context's device. On CUDA they come and go with its stream (tensor/buffer.h), zeros
  // included: nothing is waited for.
  Tensor empty(const Shape& shape, DType dtype = DType::kF32) const;
  Tensor zeros(const Shape& shape, DType dtype = DType::kF32) const;
  // Scratch memory for the life of the object, of the same kind; for calls that must keep theirs from each
  // other.
  Buffer scratch(std::size_t bytes) const;

  // What kernels see. Makes the device current for the calling thread. Scratch of at least `workspace_bytes`
  // is kept and grows; its contents do not survive a call, and its place may change with the next: a recorded
  // graph needs a workspace of its own.
  kernels::Context kernel_context(std::size_t workspace_bytes = 0);
  kernels::Context kernel_context(Buffer& workspace);

 private:
  kernels::Context with_workspace(Buffer& workspace);

  Device device_;
  std::uint64_t seed_;
  ThreadPool pool_;
  // In this order: the memory and the handles go before the stream they belong to.
  cuda::Stream stream_;
  std::unique_ptr<kernels::cuda::Libraries> libraries_;
  Buffer workspace_;
};

}  // namespace aikd
