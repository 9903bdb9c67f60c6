#include "nn/ema.h"

#include "tests/nn/optimiser_golden.h"

namespace {

using namespace aikd;
using namespace aikd::test;

nn::NamedTensor named(const std::string& name, Tensor& tensor) {
  nn::NamedTensor entry;
  entry.name = name;
  entry.tensor = &tensor;
  entry.shape = tensor.shape();
  return entry;
}

}  // namespace

TEST_CASE("ema: five averages are PyTorch's AveragedModel's") {
  OptimiserGolden golden;
  Context context(Device::cpu(), 3);
  const auto ops = nn::make_cpu_ops(context);
  nn::TrainedParameters trained = trained_of(golden);
  nn::Optimiser optimiser(context, OptimiserKind::kSgd, golden.groups(OptimiserKind::kSgd));
  std::vector<nn::NamedTensor> tensors;
  for (auto& [name, parameter] : golden.parameters) tensors.push_back(named(name, parameter));
  nn::Ema ema(context, tensors, {.decay = 0.9});
  for (int step = 1; step <= 5; ++step) {
    CAPTURE(step);
    give_gradients(*ops, trained, golden, step);
    optimiser.set_learning_rate(0, kRates[static_cast<std::size_t>(step - 1)]);
    optimiser.set_learning_rate(1, 0.1 * kRates[static_cast<std::size_t>(step - 1)]);
    optimiser.step(trained, {.max_norm = kMaxNorm});
    ema.update();
    CHECK(ema.updates() == step);
    for (const StateTensor& entry : ema.state("")) {
      if (entry.name == "updates") continue;
      CAPTURE(entry.name);
      const Tensor& wanted = golden.get(concat("ema.", step, ".", entry.name));
      CHECK_FALSE(!(relative_error(sampled(entry.name, entry.tensor), wanted.values<float>()) <= 5e-7));
    }
  }
}

TEST_CASE("ema: statistics are averaged, counts copied, the warm-up formula is the stated one") {
  Context context(Device::cpu(), 2);
  Tensor mean = Tensor::full({20000}, 1.0F), count = nn::count_tensor(7), absent;
  const std::vector<nn::NamedTensor> tensors = {named("m", mean), named("n", count), named("absent", absent)};
  nn::Ema ema(context, tensors, {.decay = 0.25, .warm_up = true});
  CHECK(ema.decay_of(0) == 0.0);
  CHECK(ema.decay_of(1) == 2.0 / 11.0);
  CHECK(ema.decay_of(2) == 0.25);
  CHECK(nn::Ema(context, tensors, {.decay = 0.5}).decay_of(1) == 0.5);
  CHECK(error_of([&] { ema.copy_to(tensors); }) == "Ema: there is nothing to copy before the first update.");
  const auto average = [&] { return ema.state()[1].tensor.data<float>()[19999]; };
  ema.update();
  CHECK(average() == 1.0F);
  for (float& v : mean.mutable_values<float>()) v = 3.0F;
  *count.mutable_data<std::int64_t>() = 8;
  ema.update();
  CHECK_FALSE(!(std::fabs(static_cast<double>(average()) - (3.0 - 2.0 * 2.0 / 11.0)) <= 3e-7));
  const std::vector<StateTensor> state = ema.state();
  CHECK(state.size() == 3);
  CHECK(*state[2].tensor.data<std::int64_t>() == 8);
  ema.update();
  CHECK_FALSE(!(std::fabs(static_cast<double>(average()) - (3.0 - 0.25 * 2.0 * 2.0 / 11.0)) <= 3e-7));

  // What is equal stays equal, whatever the decay.
  for (const double decay : {0.1, 0.5, 0.7, 0.999}) {
    Tensor x = Parameters(5).normal({1000});
    nn::Ema same(context, std::vector<nn::NamedTensor>{named("x", x)}, {.decay = decay});
    for (int i = 0; i < 4; ++i) same.update();
    CHECK(same_bits(same.state()[1].tensor, x));
  }

  // Into another module, and a saved state into another average.
  Tensor other = Tensor::zeros({20000}), other_count = nn::count_tensor(0);
  const std::vector<nn::NamedTensor> others = {named("m", other), named("n", other_count)};
  ema.copy_to(others);
  CHECK(other.data<float>()[5] == average());
  CHECK(*other_count.data<std::int64_t>() == 8);
  nn::Ema resumed(context, tensors, {.decay = 0.25, .warm_up = true});
  std::vector<StateTensor> saved;
  for (const StateTensor& entry : ema.state("e.")) saved.push_back({entry.name, entry.tensor.clone()});
  resumed.restore_state(saved, "e.");
  CHECK(resumed.updates() == 3);
  mean.mutable_data<float>()[3] = -4.0F;
  ema.update();
  resumed.update();
  CHECK(same_bits(resumed.state()[1].tensor, ema.state()[1].tensor));

  Tensor wrong = Tensor::zeros({3});
  CHECK(error_of([&] { ema.copy_to(std::vector<nn::NamedTensor>{named("m", wrong)}); }) ==
        "Ema: the average of 'm' has the shape [20000], the tensor [3].");
  CHECK(error_of([&] { ema.copy_to(std::vector<nn::NamedTensor>{named("k", wrong)}); }) ==
        "Ema: the tensor 'k' has no average.");
  CHECK(error_of([&] { nn::Ema(context, tensors, {.decay = 1.0}); }) ==
        "Ema: the decay must be at least 0 and below 1, got 1.");
  const std::vector<nn::NamedTensor> twice = {named("m", mean), named("m", mean)};
  CHECK(error_of([&] { nn::Ema(context, twice); }) == "Ema: the tensor name 'm' occurs twice.");
  CHECK(error_of([&] { ema.restore_state({}); }) == "Ema: the saved state has no tensor 'ema.updates'.");
  std::vector<StateTensor> negative = ema.state();
  negative[0].tensor = nn::count_tensor(-2);
  CHECK(error_of([&] { ema.restore_state(negative); }) == "Ema: the saved number of updates is -2.");
}
