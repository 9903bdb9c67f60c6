// cuDNN and cuBLASLt, loaded at run time: a program built with CUDA starts where neither is installed, and
// finds them where they are (the loader's path, the toolkit's folder, $AIKD_CUDA_LIBRARIES, Python's
// site-packages). No CUDA header is needed to include this.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "kernels/context.h"

namespace aikd::kernels::cuda {

struct CudnnState;     // kernels/cuda/cudnn_api.h
struct CublasLtState;  // kernels/cuda/cublas_api.h

// One set of handles, for one device and one stream at a time. Made by load_libraries() on the current
// device; used by one thread at a time, and while that device is current.
class Libraries {
 public:
  virtual ~Libraries() = default;
  // A cudnnHandle_t, a cublasLtHandle_t; null where the library is not there.
  virtual void* cudnn() noexcept = 0;
  virtual void* cublas_lt() noexcept = 0;
  // "cuDNN 9.19.0 (/usr/lib/.../libcudnn.so.9)" or why it is absent: "cuDNN absent: libcudnn.so.9 not found
  // ...".
  virtual const std::string& cudnn_description() const noexcept = 0;
  virtual const std::string& cublas_lt_description() const noexcept = 0;

  // For the files cudnn_*.cpp and cublas_*.cpp: function table, handle, algorithms found so far. Null where
  // absent.
  virtual CudnnState* cudnn_state() noexcept = 0;
  virtual CublasLtState* cublas_lt_state() noexcept = 0;
};

// Never throws and never returns null: what cannot be loaded or initialised is absent, and its description
// says why. Both libraries are absent in builds without CUDA, cuDNN where the build says so (AIKD_CUDNN=OFF).
//
// The libraries are looked for in this order: the folders of $AIKD_CUDA_LIBRARIES (separated by colons), the
// ordinary places of the loader, the toolkit's folder at build time, the `nvidia/*/lib` folders of Python's
// site-packages. Once loaded they stay in the process: they have threads and exit handlers of their own.
std::unique_ptr<Libraries> load_libraries();

// A failed call of a library: to ctx.on_error, or, where there is none, to stderr before the process is
// aborted.
void report_library_failure(const Context& ctx, const char* name, const std::string& sentence);

}  // namespace aikd::kernels::cuda
