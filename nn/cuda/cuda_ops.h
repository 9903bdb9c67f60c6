// The arithmetic of training (nn/device_ops.h) on a CUDA device. Every result is new memory of the context's
// stream; nothing waits for the device, and no sum depends on anything but shapes, so steps repeat bit for
// bit.
//
// Images in 16 bits: convolutions on tensor cores with fp32 sums, everything else computed in fp32 and
// rounded once. Vectors, and with them linear layers, losses and their gradients, are fp32 in every precision
// (kTf32: linear layers may round their inputs to 10 mantissa bits).
#pragma once

#include <memory>

#include "nn/device_ops.h"

namespace aikd::nn {

// Called by make_device_ops for a context on a CUDA device, in builds with CUDA; and by the tests of the host
// emulator. `context` must outlive it.
std::unique_ptr<DeviceOps> make_cuda_ops(Context& context, Precision precision);

}  // namespace aikd::nn
