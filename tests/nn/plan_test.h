// What the tests of nn/ share: networks written as a function, seeded tensors, images.
#pragma once

#include <cmath>
#include <functional>
#include <list>
#include <memory>
#include <utility>
#include <vector>

#include "nn/functional.h"
#include "nn/plan.h"
#include "tensor/random.h"
#include "tests/support/test.h"

namespace aikd::test {

// A module whose forward pass is a function; its tensors are made by the function's owner.
class FunctionModule final : public nn::Module {
 public:
  using Forward = std::function<nn::Value(nn::Ops&, const nn::Value&)>;
  explicit FunctionModule(Forward forward) : forward_(std::move(forward)) {}
  void collect(const std::string&, std::vector<nn::NamedTensor>&) override {}
  nn::Value forward(nn::Ops& ops, const nn::Value& x) const override { return forward_(ops, x); }

 private:
  Forward forward_;
};

// Makes seeded tensors and keeps those that BatchNorms point at.
class Parameters {
 public:
  explicit Parameters(std::uint64_t seed = 1) : random_(seed) {}
  Tensor normal(const Shape& shape, double scale = 1.0) {
    Tensor t = Tensor::empty(shape);
    for (float& v : t.mutable_values<float>()) v = static_cast<float>(random_.normal() * scale);
    return t;
  }
  // Filters with He's scale, so that activations neither vanish nor explode.
  Tensor filter(const Shape& shape) {
    const double fan_in =
        static_cast<double>(shape.numel()) / static_cast<double>(shape.rank() == 3 ? shape[-1] : shape[0]);
    return normal(shape, std::sqrt(2.0 / fan_in));
  }
  Tensor slope(std::int64_t channels) {
    Tensor t = Tensor::empty({channels});
    for (float& v : t.mutable_values<float>()) v = static_cast<float>(random_.uniform(-0.2, 0.5));
    return t;
  }
  // A BatchNorm far from the identity: scales of either sign, shifts as large as the values.
  nn::BatchNormTensors batch_norm(std::int64_t channels, bool affine = true) {
    nn::BatchNormTensors bn;
    bn.running_mean = keep(normal({channels}));
    Tensor var = Tensor::empty({channels});
    for (float& v : var.mutable_values<float>()) v = static_cast<float>(random_.uniform(0.3, 2.0));
    bn.running_var = keep(var);
    if (affine) {
      bn.weight = keep(normal({channels}));
      bn.bias = keep(normal({channels}));
    }
    return bn;
  }

 private:
  Tensor* keep(const Tensor& t) { return &kept_.emplace_back(t); }
  Random random_;
  std::list<Tensor> kept_;
};

inline nn::InputTable small_table(int height, int width) {
  nn::InputTable table;
  table.height = height;
  table.width = width;
  for (int c = 0; c < 3; ++c) {
    table.source[c] = 2 - c;
    for (int b = 0; b < 256; ++b)
      table.table[c][b] = (static_cast<float>(b) / 255.0F - 0.5F) / (0.4F + 0.1F * static_cast<float>(c));
  }
  return table;
}

inline std::vector<std::uint8_t> random_images(const nn::InputTable& table, std::int64_t n,
                                               std::uint64_t seed) {
  Random random(seed);
  std::vector<std::uint8_t> images(static_cast<std::size_t>(n * table.height * table.width * 3));
  for (std::uint8_t& v : images) v = static_cast<std::uint8_t>(random.below(256));
  return images;
}

// sqrt(sum (a-b)^2 / sum b^2); NaN if anything is.
inline double relative_error(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return std::nan("");
  double difference = 0, reference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    difference += d * d;
    reference += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return std::sqrt(difference / reference);
}

template <class Body>
std::string error_of(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace aikd::test
