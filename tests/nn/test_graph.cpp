#include "nn/graph.h"

#include "tests/nn/plan_test.h"

using namespace aikd;
using namespace aikd::test;
using nn::OpKind;
using nn::Value;

TEST_CASE("graph: records nodes with shapes in order") {
  nn::GraphOps graph;
  Parameters p;
  const Value x = graph.input({1, 8, 6, 3});
  const Value y = graph.conv2d(x, p.filter({4, 3, 3, 3}), {}, {.stride = 2, .pad = 1});
  const Value z = graph.add(graph.prelu(y, p.slope(4)), y);
  const Value f = graph.linear(graph.flatten(graph.clamp(z, 0, 6)), p.normal({2, 48}), {});
  const Value g = graph.gelu(graph.batch_norm(f, p.batch_norm(2)));
  const std::vector<OpKind> kinds = {OpKind::kInput,  OpKind::kConv2d,    OpKind::kPrelu,
                                     OpKind::kAdd,    OpKind::kClamp,     OpKind::kFlatten,
                                     OpKind::kLinear, OpKind::kBatchNorm, OpKind::kGelu};
  REQUIRE(graph.nodes().size() == kinds.size());
  for (std::size_t i = 0; i < kinds.size(); ++i) CHECK(graph.nodes()[i].kind == kinds[i]);
  CHECK(graph.node(y).shape == Shape{1, 4, 3, 4});
  CHECK(graph.node(g).shape == Shape{1, 2});
  CHECK(graph.node(z).inputs[0] == 2);
  CHECK(graph.node(z).inputs[1] == 1);
}

TEST_CASE("graph: refuses values of somebody else and odd inputs") {
  nn::GraphOps graph;
  CHECK(error_of([&] {
          graph.gelu({Tensor::zeros({1, 2}), -1});
        }) == "GraphOps was given a value that it did not make (node -1 of 0).");
  CHECK(error_of([&] {
          graph.gelu({Tensor(), 3});
        }) == "GraphOps was given a value that it did not make (node 3 of 0).");
  CHECK(error_of([&] {
          graph.input({2, 4});
        }) == "The input of a graph is [1, features] or [1, H, W, C], got [2, 4].");
  CHECK(error_of([&] {
          graph.input({1, 4, 4});
        }) == "The input of a graph is [1, features] or [1, H, W, C], got [1, 4, 4].");
}
