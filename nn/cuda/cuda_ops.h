// The arithmetic of training (nn/device_ops.h) on a CUDA device.
#pragma once

#include <memory>

#include "nn/device_ops.h"

namespace aikd::nn {

// Called by make_device_ops for a context on a CUDA device, in builds with CUDA; and by the tests of the host
// emulator. `context` must outlive it.
std::unique_ptr<DeviceOps> make_cuda_ops(Context& context, Precision precision);

}  // namespace aikd::nn
