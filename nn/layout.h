// Between PyTorch's tensor layouts and ours (nn/module.h, TensorRole). Any element type; pure permutations,
// so that going there and back gives the same bits.
#pragma once

#include "nn/module.h"

namespace aikd::nn {

// The shape PyTorch gives this tensor: [K,C,R,S] for our [K,R,S,C], [C,1,R,S] for our [R,S,C], else the same.
Shape torch_shape(const NamedTensor& spec);
// `source` has torch_shape(spec) (Error(kInternal) otherwise); the result has spec.shape.
Tensor from_torch_layout(const Tensor& source, const NamedTensor& spec);
// `source` has spec.shape; the result has torch_shape(spec).
Tensor to_torch_layout(const Tensor& source, const NamedTensor& spec);

}  // namespace aikd::nn
