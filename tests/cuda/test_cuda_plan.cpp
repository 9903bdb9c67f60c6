// The CUDA scoring plan against the CPU's, network by network: in the emulator with the hand-written kernels,
// on a card with cuDNN too. Networks are small, and have every kind of fusion that the real ones have.
#include "nn/cuda/cuda_plan.h"

#include "tests/cuda/device_memory.h"
#include "tests/cuda/plan_tolerance.h"
#include "tests/nn/plan_test.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using nn::Ops;
using nn::Plan;
using nn::Precision;
using nn::Value;

// A stem and two iResNet blocks, the first with stride 2 and a shortcut; then BatchNorm, flatten, linear,
// BatchNorm.
struct ResidualNet {
  struct Block {
    Block(Parameters& p, std::int64_t in, std::int64_t out, int step)
        : bn1(p.batch_norm(in)),
          bn2(p.batch_norm(out)),
          bn3(p.batch_norm(out)),
          shortcut_bn(p.batch_norm(out)),
          w1(p.filter({out, 3, 3, in})),
          w2(p.filter({out, 3, 3, out})),
          shortcut(p.filter({out, 1, 1, in})),
          slope(p.slope(out)),
          stride(step) {}
    Value operator()(Ops& o, const Value& x) const {
      Value y = o.conv2d(o.batch_norm(x, bn1), w1, {}, {.stride = 1, .pad = 1});
      y = o.prelu(o.batch_norm(y, bn2), slope);
      y = o.batch_norm(o.conv2d(y, w2, {}, {.stride = stride, .pad = 1}), bn3);
      if (stride == 1) return o.add(y, x);
      return o.add(y, o.batch_norm(o.conv2d(x, shortcut, {}, {.stride = stride, .pad = 0}), shortcut_bn));
    }
    nn::BatchNormTensors bn1, bn2, bn3, shortcut_bn;
    Tensor w1, w2, shortcut, slope;
    int stride;
  };

  Parameters p;
  Tensor stem = p.filter({24, 3, 3, 3}), slope = p.slope(24), fc = p.filter({20, 3 * 4 * 40}),
         fc_bias = p.normal({20});
  nn::BatchNormTensors stem_bn = p.batch_norm(24), last = p.batch_norm(40),
                       features = p.batch_norm(20, false);
  Block first{p, 24, 40, 2}, second{p, 40, 40, 1};
  Tensor l1 = p.filter({33, 20}), b1 = p.normal({33}), l2 = p.filter({1, 33}), b2 = p.normal({1});
  FunctionModule backbone{[this](Ops& o, const Value& x) {
    Value y = o.prelu(o.batch_norm(o.conv2d(x, stem, {}, {.stride = 1, .pad = 1}), stem_bn), slope);
    y = second(o, first(o, y));
    y = o.linear(o.flatten(o.batch_norm(y, last)), fc, fc_bias);
    return o.batch_norm(y, features);
  }};
  FunctionModule head{
      [this](Ops& o, const Value& x) { return o.linear(o.gelu(o.linear(x, l1, b1)), l2, b2); }};
  nn::InputTable table = small_table(6, 8);
};

// Depthwise, clamp, a residual before an activation, channel counts that are no multiple of anything, a
// convolution as the last layer, activations that nothing takes in.
struct DepthwiseNet {
  Parameters p{5};
  Tensor w1 = p.filter({13, 3, 3, 3}), dw = p.filter({3, 3, 13}), w2 = p.filter({13, 1, 1, 13}),
         dw2 = p.filter({4, 3, 13}), w3 = p.filter({9, 1, 1, 13}), slope = p.slope(13),
         one_slope = p.slope(1);
  nn::BatchNormTensors bn1 = p.batch_norm(13), bn2 = p.batch_norm(13), bn3 = p.batch_norm(9),
                       bn0 = p.batch_norm(13);
  FunctionModule backbone{[this](Ops& o, const Value& x) {
    Value y = o.clamp(o.conv2d(x, w1, {}, {.stride = 2, .pad = 1}), 0.0F, 6.0F);
    const Value z = o.prelu(o.batch_norm(o.depthwise_conv2d(y, dw, {}, {.stride = 1, .pad = 1}), bn1), slope);
    y = o.prelu(o.add(o.batch_norm(o.conv2d(z, w2, {}, {.stride = 1, .pad = 0}), bn2), y), one_slope);
    y = o.prelu(o.batch_norm(y, bn0), slope);
    y = o.depthwise_conv2d(y, dw2, {}, {.stride = 1, .pad = 0});
    return o.flatten(o.batch_norm(o.conv2d(y, w3, {}, {.stride = 1, .pad = 0}), bn3));
  }};
  nn::InputTable table = small_table(8, 6);
};

struct Results {
  std::vector<float> embeddings, scores;
};

Results run(Plan& plan, const nn::InputTable& table, std::int64_t n, bool head) {
  Results r;
  r.embeddings.assign(static_cast<std::size_t>(n * plan.embedding_size()), std::nanf(""));
  if (head) r.scores.assign(static_cast<std::size_t>(n), std::nanf(""));
  plan.run(random_images(table, n, 11), n, r.embeddings, r.scores);
  return r;
}

void compare(const nn::Module& backbone, const nn::Module* head, const nn::InputTable& table) {
  Context cpu(Device::cpu(), 2), card(Device::cuda(0), 1);
  const std::int64_t n = emulated() ? 3 : 5;
  const auto expected_plan = Plan::compile(backbone, head, table, cpu);
  const Results expected = run(*expected_plan, table, n, head != nullptr);
  for (const Precision precision : {Precision::kFp32, Precision::kTf32, Precision::kFp16, Precision::kBf16}) {
    CAPTURE(nn::name_of(precision));
    const auto plan =
        nn::compile_cuda_plan(backbone, head, table, card, {.max_batch = 2, .precision = precision});
    CHECK(plan->macs_per_image() == expected_plan->macs_per_image());
    CHECK(plan->embedding_size() == expected_plan->embedding_size());
    const Results got = run(*plan, table, n, head != nullptr);
    const double embedding_error = relative_error(got.embeddings, expected.embeddings);
    CAPTURE(embedding_error);
    CHECK_FALSE(!(embedding_error <= tolerance(precision)));
    if (precision != Precision::kFp32) CHECK(embedding_error > 1e-7);  // it is what it says
    if (head != nullptr) {
      const double score_error = relative_error(got.scores, expected.scores);
      CAPTURE(score_error);
      CHECK_FALSE(!(score_error <= 4 * tolerance(precision)));
    }
    if (emulated() && precision != Precision::kFp32 && precision != Precision::kFp16) continue;  // time
    // The same bits again; and without the recorded graph.
    const Results again = run(*plan, table, n, head != nullptr);
    CHECK(same_bits(again.embeddings, got.embeddings));
    const auto eager = nn::compile_cuda_plan(backbone, head, table, card,
                                             {.max_batch = 2, .precision = precision, .graph = false});
    CHECK(same_bits(run(*eager, table, n, head != nullptr).embeddings, got.embeddings));
  }
}

}  // namespace

TEST_CASE("cuda plan: an iResNet in small equals the CPU's plan in every precision") {
  AIKD_NEEDS_DEVICE();
  const ResidualNet net;
  compare(net.backbone, &net.head, net.table);
  if (!emulated()) compare(net.backbone, nullptr, net.table);
}

TEST_CASE("cuda plan: depthwise, clamp, odd channels, activations of their own") {
  AIKD_NEEDS_DEVICE();
  const DepthwiseNet net;
  compare(net.backbone, nullptr, net.table);
}

TEST_CASE("cuda plan: batches of every size, and what is wrong with a call") {
  AIKD_NEEDS_DEVICE();
  const ResidualNet net;
  Context card(Device::cuda(0), 1);
  const auto plan = nn::compile_cuda_plan(net.backbone, &net.head, net.table, card, {.max_batch = 4});
  const Results all = run(*plan, net.table, 7, true);
  const auto one = static_cast<std::size_t>(net.table.height * net.table.width * 3);
  const std::vector<std::uint8_t> images = random_images(net.table, 7, 11);
  const auto size = static_cast<std::size_t>(plan->embedding_size());
  for (const std::size_t n :
       {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{4}}) {
    CAPTURE(n);
    std::vector<float> embeddings(n * size), scores(n);
    plan->run(std::span(images).subspan(0, n * one), static_cast<std::int64_t>(n), embeddings, scores);
    const std::vector<float> wanted(all.embeddings.begin(),
                                    all.embeddings.begin() + static_cast<std::ptrdiff_t>(n * size));
    // Hand-written kernels: the same bits. cuDNN may take another engine for another size.
    if (emulated()) CHECK(same_bits(embeddings, wanted));
    if (n > 0) CHECK_FALSE(!(relative_error(embeddings, wanted) <= 2e-6));
    if (n > 0) CHECK_FALSE(!(relative_error(scores, std::span(all.scores).subspan(0, n)) <= 1e-5));
  }
  std::vector<float> few(3);
  CHECK(error_of([&] {
          plan->run(std::span(images).subspan(0, one), 1, few, {});
        }).find("embeddings of 20") != std::string::npos);
  CHECK(error_of([&] { plan->run(std::span(images).subspan(0, 5), 1, {}, {}); }).find("got 5") !=
        std::string::npos);
  CHECK(error_of([&] {
          (void)nn::compile_cuda_plan(net.backbone, nullptr, net.table, card, {.max_batch = 0});
        }).find("at least 1") != std::string::npos);
}

TEST_CASE("cuda plan: filters too large for fp16 are told") {
  AIKD_NEEDS_DEVICE();
  Parameters p;
  Tensor w = p.filter({8, 1, 1, 3}), fc = p.filter({4, 8 * 4});
  w.mutable_data<float>()[3] = 70000.0F;
  const FunctionModule net([&](Ops& o, const Value& x) {
    return o.linear(o.flatten(o.conv2d(x, w, {}, {.stride = 1, .pad = 0})), fc, {});
  });
  Context card(Device::cuda(0), 1);
  const nn::InputTable table = small_table(2, 2);
  CHECK(error_of([&] {
          (void)nn::compile_cuda_plan(net, nullptr, table, card,
                                      {.max_batch = 1, .precision = Precision::kFp16});
        }).find("70000 (after folding BatchNorm) is too large for fp16") != std::string::npos);
  CHECK(nn::compile_cuda_plan(net, nullptr, table, card, {.max_batch = 1, .precision = Precision::kBf16}) !=
        nullptr);
}
