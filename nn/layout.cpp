#include "nn/layout.h"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace aikd::nn {
namespace {

// Every permutation needed is one of matrices [batch, rows, cols] -> [batch, cols, rows] in PyTorch's order:
//   conv      [K, C, R*S]   -> [K, R*S, C]
//   depthwise [1, C, R*S]   -> [1, R*S, C]
//   linear    [out, C, H*W] -> [out, H*W, C]   when it reads a flattened image
struct Matrices {
  std::int64_t batch = 1, rows = 1, cols = 1;
};

Matrices matrices(const NamedTensor& spec) {
  const Shape& s = spec.shape;
  switch (spec.role) {
    case TensorRole::kConvWeight:
      return {s[0], s[3], s[1] * s[2]};
    case TensorRole::kDepthwiseWeight:
      return {1, s[2], s[0] * s[1]};
    case TensorRole::kLinearWeight:
      if (spec.flattened_channels > 0) {
        return {s[0], spec.flattened_channels, s[1] / spec.flattened_channels};
      }
      return {};
    default:
      return {};
  }
}

template <class Word>
void transpose(const Matrices& m, const void* source, void* target) {
  const auto* in = static_cast<const Word*>(source);
  auto* out = static_cast<Word*>(target);
  for (std::int64_t b = 0; b < m.batch; ++b, in += m.rows * m.cols, out += m.rows * m.cols) {
    for (std::int64_t c = 0; c < m.cols; ++c) {
      for (std::int64_t r = 0; r < m.rows; ++r) out[c * m.rows + r] = in[r * m.cols + c];
    }
  }
}

Tensor permute(const Tensor& source, const Matrices& m, const Shape& shape) {
  if (m.rows == 1 || m.cols == 1) return source.reshape(shape);
  Tensor target = Tensor::empty(shape, source.dtype());
  switch (size_of(source.dtype())) {
    case 1:
      transpose<std::uint8_t>(m, source.raw(), target.mutable_raw());
      break;
    case 2:
      transpose<std::uint16_t>(m, source.raw(), target.mutable_raw());
      break;
    case 4:
      transpose<std::uint32_t>(m, source.raw(), target.mutable_raw());
      break;
    default:
      transpose<std::uint64_t>(m, source.raw(), target.mutable_raw());
      break;
  }
  return target;
}

}  // namespace

Shape torch_shape(const NamedTensor& spec) {
  const Shape& s = spec.shape;
  if (spec.role == TensorRole::kConvWeight) return {s[0], s[3], s[1], s[2]};
  if (spec.role == TensorRole::kDepthwiseWeight) return {s[2], 1, s[0], s[1]};
  return s;
}

Tensor from_torch_layout(const Tensor& source, const NamedTensor& spec) {
  require(source.shape() == torch_shape(spec), ErrorKind::kInternal, "from_torch_layout was given ",
          spec.name, " of shape ", source.shape(), ", expected ", torch_shape(spec), ".");
  return permute(source, matrices(spec), spec.shape);
}

Tensor to_torch_layout(const Tensor& source, const NamedTensor& spec) {
  require(source.shape() == spec.shape, ErrorKind::kInternal, "to_torch_layout was given ", spec.name,
          " of shape ", source.shape(), ", expected ", spec.shape, ".");
  Matrices m = matrices(spec);
  std::swap(m.rows, m.cols);
  return permute(source, m, torch_shape(spec));
}

}  // namespace aikd::nn
