#include "nn/plan.h"

#include <algorithm>
#include <numeric>

#include "nn/heads.h"
#include "nn/initialise.h"
#include "nn/iresnet.h"
#include "nn/networks.h"
#include "tests/nn/plan_test.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using nn::Ops;
using nn::Plan;
using nn::Value;

// 8x8 image -> 12 features.
struct SmallNet {
  Parameters p;
  Tensor w = p.filter({16, 3, 3, 3}), fc = p.filter({12, 1024}), out = p.filter({1, 12}),
         bias = p.normal({1});
  FunctionModule backbone{[this](Ops& o, const Value& x) {
    return o.linear(o.flatten(o.conv2d(x, w, {}, {.stride = 1, .pad = 1})), fc, {});
  }};
  FunctionModule head{[this](Ops& o, const Value& x) { return o.linear(x, out, bias); }};
  nn::InputTable table = small_table(8, 8);
};

// A whole network of nn/ against EagerOps. BatchNorms keep mean 0 and variance 1: scales grow, errors stay
// relative.
void check_network(const std::string& architecture, std::size_t expected_steps, std::int64_t expected_macs) {
  Context context(Device::cpu(), 2);
  const auto net = nn::make_backbone(architecture, nn::default_embedding_size(architecture), 1e-5F);
  nn::initialise(*net, 1);
  const nn::InputTable table = small_table(112, 112);
  const std::vector<std::uint8_t> images = random_images(table, 2, 3);
  nn::EagerOps eager(context);
  const Tensor expected = net->forward(eager, {nn::normalise(context, table, images, 2), -1}).tensor;
  const auto plan = Plan::compile(*net, nullptr, table, context);
  std::vector<float> y(static_cast<std::size_t>(expected.numel()));
  plan->run(images, 2, y, {});
  CHECK_FALSE(!(relative_error(y, expected.values<float>()) <= 1e-5));
  CHECK(plan->steps().size() == expected_steps);
  CHECK(plan->macs_per_image() == expected_macs);
}

}  // namespace

TEST_CASE("plan: iresnet18 equals EagerOps with nothing left unfused") {
  // 21 convolutions and one linear layer.
  check_network("iresnet18", 22, 2609954816);
}

TEST_CASE("plan: with Winograd convolutions iresnet18 is what it is without, but for the last digits") {
  Context context(Device::cpu(), 2);
  const auto net = nn::make_backbone("iresnet18", 512, 1e-5F);
  nn::initialise(*net, 1);
  const nn::InputTable table = small_table(112, 112);
  const std::vector<std::uint8_t> images = random_images(table, 3, 3);
  const auto embeddings = [&](Plan& plan, std::int64_t n) {
    std::vector<float> y(static_cast<std::size_t>(n) * 512, std::nanf(""));
    plan.run(std::span(images).subspan(0, images.size() / 3 * static_cast<std::size_t>(n)), n, y, {});
    return y;
  };
  const auto direct = Plan::compile(*net, nullptr, table, context, {.max_batch = 2, .winograd = false});
  const auto plan = Plan::compile(*net, nullptr, table, context, {.max_batch = 2});
  const auto uses = [](const Plan& p) {
    return std::ranges::count_if(
        p.steps(), [](const nn::PlanStep& step) { return step.name.find("winograd") != std::string::npos; });
  };
  CHECK(uses(*direct) == 0);
  // All 3x3 convolutions of stride 1 but the stem, whose three channels fill no block.
  CHECK(uses(*plan) == 12);
  CHECK(plan->macs_per_image() == direct->macs_per_image());
  const std::vector<float> y = embeddings(*plan, 3);
  const double error = relative_error(y, embeddings(*direct, 3));
  MESSAGE("relative difference of the embeddings: ", error);
  CHECK_FALSE(!(error <= 2e-5));
  CHECK(error > 0);  // it is another algorithm
  // In pieces or alone, an image has the same bits.
  const std::vector<float> one = embeddings(*plan, 1);
  CHECK(std::equal(one.begin(), one.end(), y.begin()));
}

TEST_CASE("plan: mobilefacenet equals EagerOps") {
  check_network("mobilefacenet", 51, 220965376);
}

TEST_CASE("plan: iresnet100 is 103 convolutions and a linear layer of 12.09 GMAC") {
  const auto net = nn::make_backbone("iresnet100", 512, 1e-5F);
  nn::initialise(*net, 1);
  Context context(Device::cpu(), 2);
  const auto plan = Plan::compile(*net, nullptr, small_table(112, 112), context, {.max_batch = 1});
  CHECK(plan->steps().size() == 104);
  CHECK(plan->macs_per_image() == 12089606144);
  // 65 million weights once, and activations that share their memory.
  CHECK(plan->memory_bytes() < 300'000'000);
}

TEST_CASE("plan: head and embedding come from one run") {
  SmallNet net;
  Context context(Device::cpu(), 2);
  const auto plan = Plan::compile(net.backbone, &net.head, net.table, context, {.max_batch = 2});
  CHECK(plan->embedding_size() == 12);
  const std::vector<std::uint8_t> images = random_images(net.table, 3, 5);
  std::vector<float> embeddings(36), scores(3), only_scores(3), only_embeddings(36);
  plan->run(images, 3, embeddings, scores);
  plan->run(images, 3, {}, only_scores);
  plan->run(images, 3, only_embeddings, {});
  CHECK(scores == only_scores);
  CHECK(embeddings == only_embeddings);
  for (std::size_t i = 0; i < 3; ++i) {
    double sum = static_cast<double>(net.bias.data<float>()[0]);
    for (std::size_t j = 0; j < 12; ++j)
      sum += static_cast<double>(embeddings[i * 12 + j]) * static_cast<double>(net.out.data<float>()[j]);
    CHECK(static_cast<double>(scores[i]) == doctest::Approx(sum).epsilon(1e-5));
  }
  plan->run({}, 0, {}, {});
}

TEST_CASE("plan: run refuses spans of the wrong size") {
  SmallNet net;
  Context context(Device::cpu(), 1);
  const auto plan = Plan::compile(net.backbone, nullptr, net.table, context);
  const std::vector<std::uint8_t> images(384);
  std::vector<float> embeddings(24), few(23), scores(2);
  CHECK(error_of([&] { plan->run(images, 3, {}, {}); }) ==
        "Plan::run: 3 images of 8x8 pixels are 576 bytes, got 384.");
  CHECK(error_of([&] { plan->run(images, -1, {}, {}); }) ==
        "Plan::run: the number of images must not be negative, got -1.");
  CHECK(error_of([&] { plan->run(images, 2, few, {}); }) ==
        "Plan::run: 2 embeddings of 12 numbers need room for 24, got 23.");
  CHECK(error_of([&] { plan->run(images, 2, embeddings, scores); }) ==
        "Plan::run: the head's output was asked for, but the plan was compiled without a head.");
  const auto with_head = Plan::compile(net.backbone, &net.head, net.table, context);
  CHECK(error_of([&] { with_head->run(images, 2, {}, few); }) ==
        "Plan::run: 2 head outputs need room for 2, got 23.");
}

TEST_CASE("plan: compile refuses what it cannot run") {
  SmallNet net;
  Context context(Device::cpu(), 1);
  const auto compile = [&](const nn::Module& backbone, const nn::Module* head, const nn::InputTable& table,
                           int max_batch) {
    return error_of([&] { Plan::compile(backbone, head, table, context, {.max_batch = max_batch}); });
  };
  const FunctionModule image([](Ops&, const Value& x) { return x; });
  CHECK(compile(image, nullptr, net.table, 1) ==
        "The backbone must end in an embedding [N, features], but it ends in the shape [1, 8, 8, 3].");
  CHECK(compile(net.backbone, &image, net.table, 1) ==
        "The head must end in one number per image, [N, 1], but it ends in the shape [1, 12].");
  CHECK(compile(net.backbone, nullptr, net.table, 0) ==
        "The plan's largest batch must be at least 1, got 0.");
  nn::InputTable table = net.table;
  table.source[1] = 3;
  CHECK(compile(net.backbone, nullptr, table, 1) ==
        "The input table takes image channel 3, but an image has the channels 0, 1 and 2.");
  table = net.table;
  table.width = 0;
  CHECK(compile(net.backbone, nullptr, table, 1) == "The plan's input of 0x8 pixels is empty.");
  table = small_table(9, 8);
  CHECK(compile(net.backbone, nullptr, table, 1) ==
        "linear: the input has 1152 features, but the weight of shape [12, 1024] expects 1024.");
}

TEST_CASE("plan: a head that gives back its input and a backbone that only flattens") {
  // Outputs that are the graph's input, or each other, must not be overwritten.
  Context context(Device::cpu(), 1);
  const nn::InputTable table = small_table(1, 1);
  const FunctionModule flat([](Ops& o, const Value& x) { return o.flatten(x); });
  Parameters p;
  const Tensor w = p.filter({1, 3});
  const FunctionModule one([&](Ops& o, const Value& x) { return o.linear(o.flatten(x), w, {}); });
  const FunctionModule identity([](Ops&, const Value& x) { return x; });
  const std::vector<std::uint8_t> images = random_images(table, 2, 1);
  std::vector<float> y(6), z(2), s(2);
  Plan::compile(flat, nullptr, table, context)->run(images, 2, y, {});
  for (std::size_t i = 0; i < 6; ++i) CHECK(y[i] == table.table[i % 3][images[i / 3 * 3 + 2 - i % 3]]);
  Plan::compile(one, &identity, table, context)->run(images, 2, z, s);
  CHECK(z == s);
  for (std::size_t i = 0; i < 2; ++i) {
    double sum = 0;
    for (std::size_t j = 0; j < 3; ++j)
      sum += static_cast<double>(y[i * 3 + j]) * static_cast<double>(w.data<float>()[j]);
    CHECK(static_cast<double>(z[i]) == doctest::Approx(sum).epsilon(1e-5));
  }
}
