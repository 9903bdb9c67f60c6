#include "nn/initialise.h"

#include <cmath>
#include <span>

#include "nn/layout.h"
#include "tensor/random.h"

namespace aikd::nn {
namespace {

void fill_normal(std::span<float> values, Random& random, double deviation) {
  for (float& v : values) v = static_cast<float>(random.normal() * deviation);
}

void fill_uniform(std::span<float> values, Random& random, double lo, double hi) {
  for (float& v : values) v = static_cast<float>(random.uniform(lo, hi));
}

}  // namespace

std::uint64_t fnv1a64(std::string_view text) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3U;
  }
  return hash;
}

void initialise(Module& module, std::uint64_t seed) {
  for (const NamedTensor& spec : module.tensors()) {
    if (spec.role == TensorRole::kBnCount) {
      *spec.tensor = Tensor::zeros(spec.shape, DType::kI64);
      continue;
    }
    Random random(seed ^ fnv1a64(spec.name));
    const Shape shape = torch_shape(spec);
    Tensor values = Tensor::zeros(shape);
    switch (spec.role) {
      case TensorRole::kConvWeight:
      case TensorRole::kDepthwiseWeight: {
        const auto fan_in = static_cast<double>(shape[1] * shape[2] * shape[3]);
        fill_normal(values.mutable_values<float>(), random, std::sqrt(2.0 / fan_in));
        break;
      }
      case TensorRole::kLinearWeight:
        fill_normal(values.mutable_values<float>(), random, std::sqrt(1.0 / static_cast<double>(shape[1])));
        break;
      case TensorRole::kBias:
      case TensorRole::kBnBias:
        fill_normal(values.mutable_values<float>(), random, 0.1);
        break;
      case TensorRole::kBnWeight:
        if (spec.optional) {
          values = Tensor::full(shape, 1.0F);
        } else {
          fill_uniform(values.mutable_values<float>(), random, 0.75, 1.25);
        }
        break;
      case TensorRole::kPreluSlope:
        fill_uniform(values.mutable_values<float>(), random, 0.1, 0.4);
        break;
      case TensorRole::kBnVar:
        values = Tensor::full(shape, 1.0F);
        break;
      case TensorRole::kBnMean:
      case TensorRole::kBnCount:
        break;
    }
    *spec.tensor = from_torch_layout(values, spec);
  }
}

}  // namespace aikd::nn
