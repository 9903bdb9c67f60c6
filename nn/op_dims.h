// From tensors and shapes to what kernels take. Shared by everything that calls a kernel (eager ops, tape,
// plans); shapes have been checked before (nn/op_shapes.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/conv2d.h"
#include "kernels/normalise.h"
#include "nn/ops.h"
#include "nn/plan.h"

namespace aikd::nn {

inline const float* optional_data(const Tensor& tensor) {
  return tensor.defined() ? tensor.data<float>() : nullptr;
}

// The vectors of the last dimension that x holds.
inline std::int64_t rows_of(const Shape& x) {
  return x[-1] == 0 ? 0 : x.numel() / x[-1];
}

// x [N,H,W,C]; weight [K,R,S,C], or [R,S,C] of a depthwise convolution (then k = c).
inline kernels::Conv2dDims conv2d_dims(const Shape& x, const Shape& weight, const Conv2dOptions& options) {
  const bool depthwise = weight.rank() == 3;
  return {.n = x[0],
          .h = x[1],
          .w = x[2],
          .c = x[3],
          .k = weight[depthwise ? 2 : 0],
          .r = weight[depthwise ? 0 : 1],
          .s = weight[depthwise ? 1 : 2],
          .stride = options.stride,
          .pad = options.pad};
}

// An input table as kernels take it; `table` must outlive the result.
inline kernels::NormaliseTable normalise_table(const InputTable& table) {
  return {&table.table[0][0], {table.source[0], table.source[1], table.source[2]}};
}

// PReLU's slopes [C] or [1] as one for each of `channels`.
inline std::vector<float> slope_per_channel(const Tensor& slope, std::int64_t channels) {
  const auto given = slope.values<float>();
  std::vector<float> slopes(static_cast<std::size_t>(channels), given[0]);
  if (given.size() == slopes.size()) std::copy(given.begin(), given.end(), slopes.begin());
  return slopes;
}

}  // namespace aikd::nn
