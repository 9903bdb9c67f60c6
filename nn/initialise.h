// Seeded weights for networks that nobody trained: for tests, benchmarks and the demo. Each value depends
// only on (seed, tensor name, index in PyTorch's order), so tests/golden/nets/make_nets.py makes the same
// ones.
#pragma once

#include <cstdint>
#include <string_view>

#include "nn/module.h"

namespace aikd::nn {

// 64-bit FNV-1a of the bytes of `text`.
std::uint64_t fnv1a64(std::string_view text) noexcept;

// Allocates and fills every tensor of `module` (fp32, optional ones too). With r = Random(seed ^
// fnv1a64(name)) and values drawn in PyTorch's element order:
//   convolutions   normal * sqrt(2 / fan_in)     He et al., arXiv 1502.01852; fan_in = C R S (depthwise: R S)
//   linear         normal * sqrt(1 / in)
//   biases         normal * 0.1                  BatchNorm's too
//   BN weight      0.75 + 0.5 uniform            1 where it is optional (iResNet's last)
//   BN statistics  mean 0, variance 1, count 0   calibrate them (nn/calibrate) for activations of natural
//   scale PReLU slope    0.1 + 0.3 uniform
// `name` is below the module (no prefix): "layer1.0.conv1.weight".
void initialise(Module& module, std::uint64_t seed);

}  // namespace aikd::nn
