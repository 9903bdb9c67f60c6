// Small networks, one per thing the plan's compiler may do: the plan must give what EagerOps gives, on every
// instruction set, with any threads and any batch; and take the number of steps that the fusions leave.
#include <algorithm>
#include <cstring>

#include "kernels/isa.h"
#include "tests/nn/plan_test.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using nn::Conv2dOptions;
using nn::Ops;
using nn::Value;

constexpr Conv2dOptions kSame{.stride = 1, .pad = 1};

std::vector<float> run(nn::Plan& plan, const std::vector<std::uint8_t>& images, std::int64_t n) {
  std::vector<float> y(static_cast<std::size_t>(n * plan.embedding_size()), std::nanf(""));
  plan.run(images, n, y, {});
  return y;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

struct Net {
  FunctionModule::Forward forward;
  int height = 8, width = 8;
};

// Compares with EagerOps and returns the names of the plan's steps.
std::vector<std::string> check_plan(const Net& net, double tolerance = 3e-6) {
  const FunctionModule module(net.forward);
  const nn::InputTable table = small_table(net.height, net.width);
  constexpr std::int64_t kImages = 5;
  const std::vector<std::uint8_t> images = random_images(table, kImages, 11);
  std::vector<std::string> names;
  for (const std::string& isa : kernels::available_isas()) {
    CAPTURE(isa);
    REQUIRE(kernels::force_isa(isa));
    Context context(Device::cpu(), 2);
    nn::EagerOps eager(context);
    const Tensor expected =
        module.forward(eager, {nn::normalise(context, table, images, kImages), -1}).tensor;
    const auto plan = nn::Plan::compile(module, nullptr, table, context, {.max_batch = 3});
    const std::vector<float> y = run(*plan, images, kImages);
    const double error = relative_error(y, expected.values<float>());
    CAPTURE(error);
    CHECK_FALSE(!(error <= tolerance));
    CHECK(same_bits(y, run(*plan, images, kImages)));
    names.clear();
    for (const nn::PlanStep& step : plan->steps()) names.push_back(step.name);

    const std::size_t features = static_cast<std::size_t>(plan->embedding_size()),
                      bytes = images.size() / kImages;
    for (const int threads : {1, 3}) {
      Context other(Device::cpu(), threads);
      const auto single = nn::Plan::compile(module, nullptr, table, other, {.max_batch = 1});
      CHECK(same_bits(y, run(*single, images, kImages)));
      const std::vector<std::uint8_t> last(images.end() - static_cast<std::ptrdiff_t>(bytes), images.end());
      CHECK(same_bits(std::span(y).last(features), run(*single, last, 1)));
    }
  }
  REQUIRE(kernels::force_isa(""));
  return names;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("plan fuses batch norm and prelu after a convolution") {
  Parameters p;
  const Tensor w = p.filter({20, 3, 3, 3}), b = p.normal({20}), slope = p.slope(20),
               fc = p.filter({6, 64 * 20});
  const auto bn = p.batch_norm(20), bn2 = p.batch_norm(20);
  const Names names = check_plan({[&](Ops& o, const Value& x) {
    const Value y = o.prelu(o.batch_norm(o.batch_norm(o.conv2d(x, w, b, kSame), bn), bn2), slope);
    return o.linear(o.flatten(y), fc, {});
  }});
  CHECK(names == Names{"conv 3x3 s1 3->20 @8x8 direct +prelu", "linear 1280->6"});
}

TEST_CASE("plan folds a batch norm into the padded convolution that follows") {
  for (const int stride : {1, 2}) {
    for (const int extent : {2, 3, 7, 14}) {
      CAPTURE(extent);
      const int out = (extent - 1) / stride + 1;
      Parameters p;
      const Tensor w = p.filter({17, 3, 3, 3}), fc = p.filter({4, out * out * 17});
      const auto before = p.batch_norm(3), after = p.batch_norm(17);
      const Names names = check_plan({[&](Ops& o, const Value& x) {
                                        const Value y = o.conv2d(o.batch_norm(x, before), w, {}, {stride, 1});
                                        return o.linear(o.flatten(o.batch_norm(y, after)), fc, {});
                                      },
                                      extent, extent});
      CHECK(names.size() == 2);
    }
  }
}

TEST_CASE("plan folds a batch norm into unpadded and 1x1 convolutions and depthwise ones") {
  Parameters p;
  const auto bn1 = p.batch_norm(3), bn2 = p.batch_norm(18), bn3 = p.batch_norm(18), bn4 = p.batch_norm(18);
  const Tensor w1 = p.filter({18, 3, 3, 3}), w2 = p.filter({18, 1, 1, 18}), dw = p.filter({3, 3, 18}),
               slope = p.slope(18);
  const Names names = check_plan({[&](Ops& o, const Value& x) {
    Value y = o.prelu(o.conv2d(o.batch_norm(x, bn1), w1, {}, {}), slope);
    y = o.prelu(o.conv2d(o.batch_norm(y, bn2), w2, {}, {}), slope);
    y = o.prelu(o.depthwise_conv2d(o.batch_norm(y, bn3), dw, {}, {.stride = 2}), slope);
    return o.flatten(o.batch_norm(y, bn4));
  }});
  CHECK(names == Names{"conv 3x3 s1 3->18 @8x8 direct +prelu", "conv 1x1 s1 18->18 @6x6 direct +prelu",
                       "depthwise 3x3 s2 18->18 @6x6 +prelu", "pointwise 18 @2x2 batch_norm",
                       "flatten 18 @2x2"});
}

TEST_CASE("plan leaves a batch norm alone where nine border biases are not enough") {
  Parameters p;
  const auto bn = p.batch_norm(3);
  const Tensor w3 = p.filter({5, 3, 3, 3}), w5 = p.filter({5, 5, 5, 3}), dw = p.filter({3, 3, 3});
  for (const auto& [height, width] : {std::pair{1, 8}, std::pair{8, 1}}) {
    const Names names = check_plan(
        {[&](Ops& o, const Value& x) { return o.flatten(o.conv2d(o.batch_norm(x, bn), w3, {}, kSame)); },
         height, width});
    CHECK(names.size() == 3);
    CHECK(names[0].find("batch_norm") != std::string::npos);
  }
  CHECK(check_plan({[&](Ops& o, const Value& x) {
          return o.flatten(o.conv2d(o.batch_norm(x, bn), w5, {}, {.stride = 1, .pad = 2}));
        }}).size() == 3);
  CHECK(check_plan({[&](Ops& o, const Value& x) {
          return o.flatten(o.depthwise_conv2d(o.batch_norm(x, bn), dw, {}, kSame));
        }}).size() == 3);
}

TEST_CASE("plan runs an iResNet block in three convolutions") {
  Parameters p;
  const Tensor stem = p.filter({16, 3, 3, 3}), w1 = p.filter({32, 3, 3, 16}), w2 = p.filter({32, 3, 3, 32}),
               wd = p.filter({32, 1, 1, 16}), fc = p.filter({7, 16 * 32});
  const Tensor slope0 = p.slope(16), slope = p.slope(32);
  const auto bn0 = p.batch_norm(16), bn1 = p.batch_norm(16), bn2 = p.batch_norm(32), bn3 = p.batch_norm(32),
             bnd = p.batch_norm(32), bn_end = p.batch_norm(32), features = p.batch_norm(7);
  for (const bool shortcut_first : {false, true}) {
    const Names names = check_plan({[&](Ops& o, const Value& image) {
      const Value x = o.prelu(o.batch_norm(o.conv2d(image, stem, {}, kSame), bn0), slope0);
      Value identity;
      if (shortcut_first) identity = o.batch_norm(o.conv2d(x, wd, {}, {.stride = 2}), bnd);
      Value y = o.prelu(o.batch_norm(o.conv2d(o.batch_norm(x, bn1), w1, {}, kSame), bn2), slope);
      y = o.batch_norm(o.conv2d(y, w2, {}, {.stride = 2, .pad = 1}), bn3);
      if (!shortcut_first) identity = o.batch_norm(o.conv2d(x, wd, {}, {.stride = 2}), bnd);
      y = o.add(y, identity);
      return o.batch_norm(o.linear(o.flatten(o.batch_norm(y, bn_end)), fc, {}), features);
    }});
    CHECK(names.size() == 5);
    CHECK(std::count_if(names.begin(), names.end(),
                        [](const std::string& name) { return name.find("+add") != std::string::npos; }) == 1);
  }
}

TEST_CASE("plan keeps a block's input for its shortcut") {
  Parameters p;
  const Tensor stem = p.filter({32, 3, 3, 3}), w1 = p.filter({32, 3, 3, 32}), w2 = p.filter({32, 3, 3, 32});
  const Tensor slope = p.slope(32);
  const auto bn1 = p.batch_norm(32), bn2 = p.batch_norm(32), bn3 = p.batch_norm(32);
  const Names names = check_plan(
      {[&](Ops& o, const Value& image) {
        Value x = o.prelu(o.conv2d(image, stem, {}, kSame), slope);
        for (int block = 0; block < 3; ++block) {
          Value y = o.prelu(o.batch_norm(o.conv2d(o.batch_norm(x, bn1), w1, {}, kSame), bn2), slope);
          x = o.add(o.batch_norm(o.conv2d(y, w2, {}, kSame), bn3), x);
        }
        return o.flatten(x);
      }},
      1e-5);
  CHECK(names.size() == 8);
}

TEST_CASE("plan orders activation and addition as written") {
  Parameters p;
  const Tensor w = p.filter({16, 3, 3, 3}), v = p.filter({16, 1, 1, 3}), slope = p.slope(16);
  CHECK(check_plan({[&](Ops& o, const Value& x) {
          const Value a = o.clamp(o.conv2d(x, w, {}, kSame), 0, 6), b = o.conv2d(x, v, {}, {});
          return o.flatten(o.add(a, b));
        }})[1] == "conv 3x3 s1 3->16 @8x8 direct +clamp +add");
  CHECK(check_plan({[&](Ops& o, const Value& x) {
          const Value a = o.conv2d(x, v, {}, {}), b = o.conv2d(x, w, {}, kSame);
          return o.flatten(o.prelu(o.add(a, b), slope));
        }})[1] == "conv 1x1 s1 3->16 @8x8 direct +add +prelu");
  // A second activation is a step of its own.
  CHECK(check_plan({[&](Ops& o, const Value& x) {
          const Value a = o.prelu(o.conv2d(x, w, {}, kSame), slope), b = o.conv2d(x, v, {}, {});
          return o.flatten(o.clamp(o.add(a, b), -1, 1));
        }}) == Names{"conv 1x1 s1 3->16 @8x8 direct", "conv 3x3 s1 3->16 @8x8 direct +prelu +add",
                     "pointwise 16 @8x8 +clamp", "flatten 16 @8x8"});
}

TEST_CASE("plan runs what cannot be fused as steps of its own") {
  Parameters p;
  const auto bn = p.batch_norm(3), bn16 = p.batch_norm(16), bn_flat = p.batch_norm(192);
  const Tensor w = p.filter({16, 3, 3, 3}), w2 = p.filter({16, 3, 3, 16}), slope = p.slope(3),
               one = p.slope(1), fc = p.filter({9, 192}), fc2 = p.filter({5, 9}), fc_bias = p.normal({9});
  // Elementwise chains on the image itself, x + x, a single slope.
  check_plan({[&](Ops& o, const Value& x) {
    const Value y = o.prelu(o.batch_norm(x, bn), slope);
    return o.flatten(o.clamp(o.add(o.prelu(o.add(y, y), one), x), -2, 2));
  }});
  // A batch norm read by two convolutions and by a sum; a convolution's result read twice.
  check_plan({[&](Ops& o, const Value& x) {
    const Value y = o.conv2d(x, w, {}, kSame), z = o.batch_norm(y, bn16);
    return o.flatten(o.add(o.add(o.conv2d(z, w2, {}, kSame), o.conv2d(z, w2, {}, kSame)), o.add(y, z)));
  }});
  // BatchNorm on flattened features, GELU between linear layers, activations after linear layers.
  check_plan({[&](Ops& o, const Value& x) {
    Value y = o.linear(o.batch_norm(o.flatten(o.batch_norm(x, bn)), bn_flat), fc, fc_bias);
    y = o.gelu(o.clamp(y, -1, 1));
    return o.add(o.linear(y, fc2, {}), o.linear(o.prelu(y, one), fc2, {}));
  }});
  // The flattened image is read by a linear layer and by a GELU.
  check_plan({[&](Ops& o, const Value& x) {
    const Value f = o.flatten(x);
    return o.add(o.linear(f, fc, {}), o.linear(o.gelu(f), fc, fc_bias));
  }});
}

TEST_CASE("plan runs odd filters and strides") {
  Parameters p;
  const Tensor w = p.filter({33, 5, 3, 3}), w2 = p.filter({3, 2, 4, 33}), w3 = p.filter({40, 3, 3, 3}),
               dw = p.filter({7, 7, 40}), dw2 = p.filter({3, 3, 33}), b = p.normal({33});
  check_plan({[&](Ops& o, const Value& x) {
                Value y = o.conv2d(x, w, b, {.stride = 1, .pad = 2});
                y = o.depthwise_conv2d(y, dw2, b, {.stride = 1, .pad = 1});
                y = o.conv2d(y, w2, {}, {.stride = 3, .pad = 3});
                return o.flatten(
                    o.depthwise_conv2d(o.conv2d(y, w3, {}, kSame), dw, {}, {.stride = 1, .pad = 3}));
              },
              13, 31});
}

TEST_CASE("plan leaves out what no output needs") {
  Parameters p;
  const Tensor w = p.filter({5, 3, 3, 3});
  const Names names = check_plan({[&](Ops& o, const Value& x) {
    o.gelu(o.conv2d(x, w, {}, {}));
    return o.flatten(o.conv2d(x, w, {}, kSame));
  }});
  CHECK(names.size() == 2);
}
