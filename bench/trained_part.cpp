#include "bench/trained_part.h"

#include <cmath>

#include "tensor/random.h"

namespace aikd::bench {

Tensor TrainedPart::trained(const Shape& shape, double scale) {
  Tensor tensor = Tensor::empty(shape);
  Random random(seed_++);
  for (float& v : tensor.mutable_values<float>()) v = static_cast<float>(random.normal() * scale);
  trained_.add(tensor);
  tensors_.push_back(tensor);
  return tensor;
}

TrainedPart::Norm* TrainedPart::norm(std::int64_t channels) {
  norms_.push_back({Tensor::full({channels}, 1.0F), Tensor::zeros({channels}), Tensor::zeros({channels}),
                    Tensor::full({channels}, 1.0F)});
  Norm* const made = &norms_.back();
  trained_.add(made->weight);
  trained_.add(made->bias);
  return made;
}

TrainedPart::Block TrainedPart::block(std::int64_t in, std::int64_t out, int stride, std::int64_t extent) {
  const auto filter = [&](std::int64_t k, std::int64_t r, std::int64_t c, std::int64_t side) {
    macs_ += k * r * r * c * side * side;
    return trained({k, r, r, c}, std::sqrt(2.0 / static_cast<double>(c * r * r)));
  };
  const std::int64_t after = extent / stride;
  return {.bn1 = norm(in),
          .bn2 = norm(out),
          .bn3 = norm(out),
          .shortcut_bn = stride == 1 ? nullptr : norm(out),
          .conv1 = filter(out, 3, in, extent),
          .slope = trained({out}, 0.25),
          .conv2 = filter(out, 3, out, after),
          .shortcut = stride == 1 ? Tensor() : filter(out, 1, in, after),
          .stride = stride};
}

TrainedPart::TrainedPart(Context& context, std::int64_t batch) : ops_(nn::make_cpu_ops(context)) {
  constexpr std::int64_t kFeatures = 512 * 7 * 7, kEmbedding = 512;
  for (int i = 23; i < 30; ++i) blocks_.push_back(block(256, 256, 1, 14));
  blocks_.push_back(block(256, 512, 2, 14));
  for (int i = 1; i < 3; ++i) blocks_.push_back(block(512, 512, 1, 7));
  bn2_ = norm(512);
  fc_ = trained({kEmbedding, kFeatures}, std::sqrt(1.0 / static_cast<double>(kFeatures)));
  fc_bias_ = trained({kEmbedding}, 0.1);
  features_ = norm(kEmbedding);
  macs_ += kEmbedding * kFeatures;
  const auto random = [](const Shape& shape, std::uint64_t seed) {
    Tensor tensor = Tensor::empty(shape);
    Random source(seed);
    for (float& v : tensor.mutable_values<float>()) v = static_cast<float>(source.normal());
    return tensor;
  };
  x_ = random({batch, 14, 14, 256}, 1000);
  dy_ = random({batch, kEmbedding}, 1001);
}

nn::Value TrainedPart::forward(nn::Ops& ops, Block& b, const nn::Value& x) const {
  nn::Value y = ops.conv2d(ops.batch_norm(x, b.bn1->tensors()), b.conv1, {}, {.stride = 1, .pad = 1});
  y = ops.prelu(ops.batch_norm(y, b.bn2->tensors()), b.slope);
  y = ops.batch_norm(ops.conv2d(y, b.conv2, {}, {.stride = b.stride, .pad = 1}), b.bn3->tensors());
  if (b.shortcut_bn == nullptr) return ops.add(y, x);
  return ops.add(y, ops.batch_norm(ops.conv2d(x, b.shortcut, {}, {.stride = b.stride, .pad = 0}),
                                   b.shortcut_bn->tensors()));
}

void TrainedPart::step() {
  nn::TapeOps tape(*ops_, trained_);
  trained_.clear_gradients();
  nn::Value y = tape.constant(x_);
  for (Block& b : blocks_) y = forward(tape, b, y);
  y = tape.linear(tape.flatten(tape.batch_norm(y, bn2_->tensors())), fc_, fc_bias_);
  y = tape.batch_norm(y, features_->tensors());
  tape.seed(y, dy_);
  tape.backward();
}

}  // namespace aikd::bench
