// For the files that include CUDA's headers: a status becomes an Error, and a current device for one scope.
#pragma once

#include <cuda_runtime_api.h>

#include "tensor/cuda_runtime.h"
#include "tensor/error.h"

namespace aikd::cuda {

// Throws Error(kDevice) unless `status` is success; the parts name what was tried: "copying 16 bytes to
// cuda:0".
template <class... Parts>
void check(cudaError_t status, const Parts&... tried) {
  if (status == cudaSuccess) [[likely]]
    return;
  (void)cudaGetLastError();  // else the next launch would report this failure as its own
  fail(ErrorKind::kDevice, "CUDA failed at ", concat(tried...), ": ", cudaGetErrorString(status), " (",
       cudaGetErrorName(status), ").");
}

// The calling thread's current device is `device` while this lives, then what it was.
class CurrentDevice {
 public:
  explicit CurrentDevice(int device) : wanted_(device) {
    check(cudaGetDevice(&before_), "asking for the current device");
    if (before_ != wanted_) make_current(wanted_);
  }
  ~CurrentDevice() {
    if (before_ != wanted_) (void)cudaSetDevice(before_);
  }
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

 private:
  int wanted_, before_ = 0;
};

inline cudaStream_t native(const Stream& stream) {
  require(stream.handle() != nullptr, ErrorKind::kInternal, "A CUDA call was given a stream that is null.");
  return static_cast<cudaStream_t>(stream.handle());
}

// tensor/cuda/cuda_memory.cpp: the cache of `device` learns that a stream has finished and goes.
void forget_stream(int device, void* stream);

}  // namespace aikd::cuda
