// A small network of which every kind of value can be asked for: the image, an activation whose BatchNorm is
// folded into the padded convolution that reads it, a sum, a depthwise result, a flattened image, an
// embedding. No channel count is a multiple of anything.
#pragma once

#include <vector>

#include "nn/frozen_plan.h"
#include "tests/nn/plan_test.h"

namespace aikd::test {

struct FrozenNet {
  // All values, in the order of kNames.
  static constexpr const char* kNames[] = {"image", "activation", "sum", "depthwise", "flat", "embedding"};
  std::vector<nn::Value> values(nn::Ops& o, const nn::Value& image) const {
    const nn::Value activation =
        o.prelu(o.batch_norm(o.conv2d(image, stem, {}, {.stride = 1, .pad = 1}), stem_bn), slope);
    std::vector<nn::Value> all{image, activation};
    const std::vector<nn::Value> rest = after(o, activation);
    all.insert(all.end(), rest.begin(), rest.end());
    return all;
  }
  // From the activation on.
  std::vector<nn::Value> after(nn::Ops& o, const nn::Value& activation) const {
    nn::Value y = o.conv2d(o.batch_norm(activation, bn1), w1, {}, {.stride = 2, .pad = 1});
    y = o.clamp(o.batch_norm(y, bn2), 0.0F, 6.0F);
    const nn::Value sum =
        o.add(y, o.batch_norm(o.conv2d(activation, shortcut, {}, {.stride = 2, .pad = 0}), bn3));
    const nn::Value depthwise = o.depthwise_conv2d(sum, deep, {}, {.stride = 1, .pad = 1});
    const nn::Value flat = o.flatten(o.batch_norm(depthwise, last));
    const nn::Value embedding = o.batch_norm(o.linear(flat, fc, fc_bias), features);
    return {sum, depthwise, flat, embedding};
  }
  nn::GraphOps graph;  // recorded with record()
  std::vector<int> nodes;
  void record() {
    graph = nn::GraphOps();
    nodes.clear();
    for (const nn::Value& value : values(graph, graph.input({1, table.height, table.width, 3})))
      nodes.push_back(value.node);
  }

  Parameters p{3};
  nn::InputTable table = small_table(6, 5);
  Tensor stem = p.filter({11, 3, 3, 3}), slope = p.slope(11), w1 = p.filter({13, 3, 3, 11}),
         shortcut = p.filter({13, 1, 1, 11}), deep = p.filter({3, 3, 13}), fc = p.filter({17, 3 * 3 * 13}),
         fc_bias = p.normal({17});
  nn::BatchNormTensors stem_bn = p.batch_norm(11), bn1 = p.batch_norm(11), bn2 = p.batch_norm(13),
                       bn3 = p.batch_norm(13), last = p.batch_norm(13), features = p.batch_norm(17);
};

// Image i of n, of each output.
inline std::vector<float> image_of(const Tensor& all, std::int64_t i) {
  const std::int64_t size = all.numel() / all.shape()[0];
  const auto values = all.values<float>();
  return {values.begin() + i * size, values.begin() + (i + 1) * size};
}

}  // namespace aikd::test
