#include "tensor/context.h"

namespace aikd {

Context::Context(Device device, int threads, std::uint64_t seed)
    : device_(device), seed_(seed), pool_(threads) {}

kernels::Context Context::kernel_context(std::size_t workspace_bytes) {
  if (workspace_.bytes() < workspace_bytes) workspace_ = Buffer(workspace_bytes, device_);
  kernels::Context context;
  context.executor = &pool_;
  context.workspace = workspace_.bytes() == 0 ? nullptr : workspace_.mutable_data();
  context.workspace_bytes = workspace_.bytes();
  return context;
}

}  // namespace aikd
