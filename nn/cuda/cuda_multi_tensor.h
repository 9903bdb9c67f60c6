// Optimisers and averages on CUDA (nn/multi_tensor.h).
#pragma once

#include <memory>

#include "nn/multi_tensor.h"

namespace aikd::nn {

// Called by make_multi_tensor for a context on a CUDA device, in builds with CUDA; and by the tests of the
// host emulator. `context` must outlive it.
std::unique_ptr<MultiTensor> make_cuda_multi_tensor(Context& context);

}  // namespace aikd::nn
