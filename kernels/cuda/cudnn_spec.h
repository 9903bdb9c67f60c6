// A convolution in words, for sentences on what could not be done.
#pragma once

#include <string>

#include "kernels/cuda/cudnn_conv.h"

namespace aikd::kernels::cuda {

// "forward 3x3 stride 1 pad 1, 256 to 256 channels, 86 images of 14x14, fp16, with bias, PReLU"
std::string describe(const CudnnConvSpec& spec);

// What a spec may not ask for whatever the device: empty, or a sentence's end.
std::string check(const CudnnConvSpec& spec);

}  // namespace aikd::kernels::cuda
