#include "tensor/context.h"

#include "kernels/cuda/libraries.h"
#include "tensor/error.h"

namespace aikd {
namespace {

// kernels::Context::on_error. Kernels are plain functions on the host's side: the exception passes through
// them.
void throw_launch_failure(const char* what, const char* reason) {
  fail(ErrorKind::kDevice, "The kernel '", what, "' could not be launched: ", reason, ".");
}

}  // namespace

Context::Context(Device device, int threads, std::uint64_t seed)
    : device_(device), seed_(seed), pool_(threads) {
  if (!on_cuda()) return;
  stream_ = cuda::Stream(device.index);
  libraries_ = cuda::make_libraries();
}

Context::~Context() = default;

const cuda::Stream& Context::stream() const {
  require(on_cuda(), ErrorKind::kInternal, "The stream of a context on the CPU was asked for.");
  return stream_;
}

void Context::synchronize() const {
  if (on_cuda()) stream_.synchronize();
}

std::string Context::libraries_description() const {
  if (libraries_ == nullptr) return "none";
  return concat(libraries_->cudnn_description(), "; ", libraries_->cublas_lt_description());
}

Tensor Context::empty(const Shape& shape, DType dtype) const {
  return on_cuda() ? Tensor::empty(shape, dtype, stream_) : Tensor::empty(shape, dtype, device_);
}

Tensor Context::zeros(const Shape& shape, DType dtype) const {
  return on_cuda() ? Tensor::zeros(shape, dtype, stream_) : Tensor::zeros(shape, dtype, device_);
}

Buffer Context::scratch(std::size_t bytes) const {
  return on_cuda() ? Buffer(bytes, stream_) : Buffer(bytes, device_);
}

kernels::Context Context::kernel_context(std::size_t workspace_bytes) {
  if (workspace_.bytes() < workspace_bytes) {
    workspace_ = Buffer();  // first, so that old and new are never held together
    workspace_ = scratch(workspace_bytes);
  }
  return with_workspace(workspace_);
}

kernels::Context Context::kernel_context(Buffer& workspace) {
  require(workspace.bytes() == 0 || workspace.device() == device_, ErrorKind::kInternal, "A workspace on ",
          workspace.device().to_string(), " was given to a context on ", device_.to_string(), ".");
  return with_workspace(workspace);
}

kernels::Context Context::with_workspace(Buffer& workspace) {
  kernels::Context context;
  context.executor = &pool_;
  context.workspace = workspace.bytes() == 0 ? nullptr : workspace.mutable_data();
  context.workspace_bytes = workspace.bytes();
  if (on_cuda()) {
    cuda::make_current(device_.index);
    context.stream = stream_.handle();
    context.libraries = libraries_.get();
    context.on_error = throw_launch_failure;
  }
  return context;
}

}  // namespace aikd
