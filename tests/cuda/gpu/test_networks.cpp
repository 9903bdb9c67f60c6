// Whole networks on a card against the CPU: 0.2 to 2.6 thousand million multiply-adds per image, too many for
// the emulator.
#include "nn/initialise.h"
#include "nn/networks.h"
#include "tests/cuda/device_memory.h"
#include "tests/nn/plan_test.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using nn::Precision;

struct Bound {
  Precision precision;
  double embedding;  // relative L2
};
// What 20 to 50 layers of rounded operands leave (fp16 3e-3, bf16 2e-2 of relative error for 100 layers),
// doubled.
constexpr Bound kBounds[] = {
    {Precision::kFp32, 1e-5}, {Precision::kTf32, 1e-2}, {Precision::kFp16, 1e-2}, {Precision::kBf16, 6e-2}};

void check(const std::string& architecture) {
  const auto net = nn::make_backbone(architecture, nn::default_embedding_size(architecture), 1e-5F);
  nn::initialise(*net, 1);
  const nn::InputTable table = small_table(112, 112);
  const std::int64_t n = 3;
  const std::vector<std::uint8_t> images = random_images(table, n, 3);
  Context cpu, card(Device::cuda(0), 1);
  const auto expected_plan = nn::Plan::compile(*net, nullptr, table, cpu);
  std::vector<float> expected(static_cast<std::size_t>(n * expected_plan->embedding_size()));
  expected_plan->run(images, n, expected, {});
  for (const Bound& bound : kBounds) {
    CAPTURE(nn::name_of(bound.precision));
    const auto plan =
        nn::Plan::compile(*net, nullptr, table, card, {.max_batch = 2, .precision = bound.precision});
    std::vector<float> got(expected.size()), again(expected.size());
    plan->run(images, n, got, {});
    const double error = relative_error(got, expected);
    MESSAGE(architecture, " ", nn::name_of(bound.precision), ": embedding off by ", error, " (relative)");
    CHECK_FALSE(!(error <= bound.embedding));
    plan->run(images, n, again, {});
    CHECK(same_bits(got, again));
  }
}

}  // namespace

TEST_CASE("gpu: iresnet18 gives the CPU's embeddings") {
  AIKD_NEEDS_DEVICE();
  check("iresnet18");
}

TEST_CASE("gpu: mobilefacenet gives the CPU's embeddings") {
  AIKD_NEEDS_DEVICE();
  check("mobilefacenet");
}

TEST_CASE("gpu: mobilefacenet-v2 gives the CPU's embeddings") {
  AIKD_NEEDS_DEVICE();
  check("mobilefacenet-v2");
}
