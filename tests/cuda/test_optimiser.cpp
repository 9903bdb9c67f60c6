// Multi-tensor optimisers against their definitions in double, over several steps.
#include "tests/oracle/optimiser.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/cuda/optimiser_model.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using namespace aikd::test::optimisers;

// Elements that are further than `tolerance` (times what is larger, 1 or the value) from what they should be.
std::size_t wrong(const std::vector<float>& got, const std::vector<double>& expected, double tolerance) {
  if (got.size() != expected.size()) return expected.size() + 1;
  std::size_t count = 0;
  for (std::size_t i = 0; i < got.size(); ++i)
    if (!(std::abs(static_cast<double>(got[i]) - expected[i]) <=
          tolerance * std::max(1.0, std::abs(expected[i]))))
      ++count;
  return count;
}

constexpr int kSteps = 3;

// An optimiser, and the oracle's state of each of its elements beside it.
template <class State>
std::vector<std::vector<State>> make_states(const Model& model) {
  std::vector<std::vector<State>> states(kTensors);
  for (std::size_t t = 0; t < kTensors; ++t)
    for (const float p : model.parameter(t)) {
      states[t].emplace_back();
      states[t].back().parameter = static_cast<double>(p);
    }
  return states;
}
template <class State>
std::vector<double> member(const std::vector<State>& states, double State::*which) {
  std::vector<double> values;
  for (const State& state : states) values.push_back(state.*which);
  return values;
}

// Without what lies before shifted arrays, to compare models that are shifted differently.
std::vector<float> everything_of(const Model& model) {
  std::vector<float> all;
  for (std::size_t t = 0; t < kTensors; ++t)
    for (const auto& values : {model.parameter(t), model.first(t), model.second(t), model.low(t)})
      all.insert(all.end(), values.begin(), values.end());
  return all;
}

void check_copies(const Model& model, Storage low_precision) {
  for (std::size_t t = 0; t < kTensors; ++t)
    CHECK(same_bits(model.low(t), rounded(low_precision, model.parameter(t))));
}

std::vector<float> run_sgd(Storage storage, Storage low_precision, unsigned shifted, float max_norm,
                           const kernels::SgdOptions& options, int steps, bool check) {
  Model model(shifted, First::kUnwritten, low_precision);
  auto states = make_states<oracle::SgdState>(model);
  for (int step = 1; step <= steps; ++step) {
    const auto gradients = make_gradients(storage, step);
    const TensorList list = model.list(storage, gradients);
    const StepControl control = model.measure(storage, list, max_norm);
    DeviceTeam team;
    kernels::cuda::sgd_momentum(team.context(), storage, list, options, control);
    CHECK(model.steps() == step);
    if (!check) continue;
    CHECK(model.flag() == 0);
    const double norm = norm_of(gradients), clip = oracle::clip_factor(norm, static_cast<double>(max_norm));
    CHECK(!(std::abs(static_cast<double>(model.norm()) - norm) > 1e-6 * norm));
    for (std::size_t t = 0; t < kTensors; ++t) {
      const auto& group = options.groups[t % 2];
      const oracle::SgdRule rule{group.learning_rate, group.momentum, group.dampening, group.weight_decay,
                                 group.nesterov};
      for (std::size_t i = 0; i < states[t].size(); ++i)
        oracle::sgd_step(rule, step,
                         static_cast<double>(gradients[t][i]) / static_cast<double>(kLossScale) * clip,
                         states[t][i]);
    }
  }
  CHECK(model.guards_intact());
  if (check) {
    for (std::size_t t = 0; t < kTensors; ++t) {
      CAPTURE(t);
      // A few roundings per step of numbers of size 1 to 5, and the norm's 5e-7.
      CHECK(wrong(model.parameter(t), member(states[t], &oracle::SgdState::parameter), 2e-6) == 0);
      if (options.groups[t % 2].momentum != 0)
        CHECK(wrong(model.first(t), member(states[t], &oracle::SgdState::buffer), 3e-6) == 0);
    }
    check_copies(model, low_precision);
  }
  return everything_of(model);
}

std::vector<float> run_adam(Storage storage, Storage low_precision, unsigned shifted, float max_norm,
                            const kernels::AdamOptions& options, int steps, bool check) {
  Model model(shifted, First::kZeros, low_precision);
  auto states = make_states<oracle::AdamState>(model);
  // Where the gradients of all steps (nearly) cancel with the decay, their fp32 roundings are divided by the
  // small root of the second moment: how far the parameter may be moved by that.
  std::vector<std::vector<double>> slack(kTensors);
  for (std::size_t t = 0; t < kTensors; ++t) slack[t].resize(states[t].size());
  for (int step = 1; step <= steps; ++step) {
    const auto gradients = make_gradients(storage, step);
    const TensorList list = model.list(storage, gradients);
    const StepControl control = model.measure(storage, list, max_norm);
    DeviceTeam team;
    kernels::cuda::adam(team.context(), storage, list, options, control);
    CHECK(model.steps() == step);
    if (!check) continue;
    const double clip = oracle::clip_factor(norm_of(gradients), static_cast<double>(max_norm));
    for (std::size_t t = 0; t < kTensors; ++t) {
      const auto& group = options.groups[t % 2];
      const oracle::AdamRule rule{group.learning_rate, group.beta1, group.beta2, group.eps,
                                  group.weight_decay};
      for (std::size_t i = 0; i < states[t].size(); ++i) {
        const double g = static_cast<double>(gradients[t][i]) / static_cast<double>(kLossScale) * clip;
        const double size = std::abs(g) + rule.weight_decay * std::abs(states[t][i].parameter);
        oracle::adam_step(rule, step, g, states[t][i]);
        const double root = std::sqrt(states[t][i].second / (1 - std::pow(rule.beta2, step)));
        slack[t][i] += rule.learning_rate * 5e-7 * size / (root + rule.eps);
      }
    }
  }
  CHECK(model.guards_intact());
  if (check) {
    for (std::size_t t = 0; t < kTensors; ++t) {
      CAPTURE(t);
      const std::vector<float> p = model.parameter(t);
      std::size_t beyond = p.size() == slack[t].size() ? 0 : 1;
      for (std::size_t i = 0; i < slack[t].size(); ++i) {
        const double expected = states[t][i].parameter,
                     error = std::abs(static_cast<double>(p[i]) - expected);
        if (!(error <= slack[t][i] + 1e-6 * std::max(1.0, std::abs(expected)))) ++beyond;
      }
      CHECK(beyond == 0);
      CHECK(wrong(model.first(t), member(states[t], &oracle::AdamState::first), 1e-6) == 0);
      CHECK(wrong(model.second(t), member(states[t], &oracle::AdamState::second), 1e-6) == 0);
    }
    check_copies(model, low_precision);
  }
  return everything_of(model);
}

}  // namespace

TEST_CASE("optimiser: chunks cover every tensor once, in order") {
  const TensorSlice slices[] = {{.count = 0},
                                {.count = 1},
                                {.count = kernels::kOptimiserChunk},
                                {.count = 2 * kernels::kOptimiserChunk + 1},
                                {.count = 0}};
  REQUIRE(kernels::tensor_chunk_count(slices, 5) == 5);
  TensorChunk chunks[6] = {};
  chunks[5] = {.tensor = 77, .begin = 78};
  kernels::make_tensor_chunks(slices, 5, chunks);
  const TensorChunk expected[] = {
      {1, 0}, {2, 0}, {3, 0}, {3, kernels::kOptimiserChunk}, {3, 2 * kernels::kOptimiserChunk}, {77, 78}};
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(chunks[i].tensor == expected[i].tensor);
    CHECK(chunks[i].begin == expected[i].begin);
  }
}

TEST_CASE("sgd_momentum: the definition, over several steps, two groups, all storages") {
  AIKD_NEEDS_DEVICE();
  const kernels::SgdOptions rules[] = {
      {.groups = {{.learning_rate = 0.5, .momentum = 0.9, .weight_decay = 0.05},
                  {.learning_rate = 0.3, .momentum = 0.1}}},
      {.groups = {{.learning_rate = 0.5, .momentum = 0.8, .dampening = 0.3, .weight_decay = 0.02},
                  {.learning_rate = 0.2, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true}}},
      {.groups = {{.learning_rate = 0.4}, {.learning_rate = 0.1, .weight_decay = 0.1}}}};
  constexpr Storage kCopies[] = {Storage::kF16, Storage::kBF16, Storage::kF32};
  for (std::size_t i = 0; i < 3; ++i) {
    for (const float max_norm : {100.0F, 1e4F}) {  // the norm is about 296: clipped, and not
      CAPTURE(i);
      CAPTURE(max_norm);
      const Storage storage = kStorages[i];
      const std::size_t rule = max_norm < 1e3F ? i : 0;
      const auto got = run_sgd(storage, kCopies[i], 0, max_norm, rules[rule], kSteps, true);
      if (max_norm < 1e3F)
        CHECK(same_bits(got, run_sgd(storage, kCopies[i], 0, max_norm, rules[rule], kSteps, false)));
    }
  }
}

TEST_CASE("adam: the definition, over several steps, two groups, all storages") {
  AIKD_NEEDS_DEVICE();
  const kernels::AdamOptions options{
      .groups = {{.learning_rate = 0.1, .weight_decay = 0.05},
                 {.learning_rate = 0.2, .beta1 = 0.5, .beta2 = 0.9, .eps = 1e-3}}};
  constexpr Storage kCopies[] = {Storage::kBF16, Storage::kF32, Storage::kF16};
  for (std::size_t i = 0; i < 3; ++i) {
    CAPTURE(i);
    const float max_norm = i == 1 ? 1e4F : 100.0F;
    const auto got = run_adam(kStorages[i], kCopies[i], 0, max_norm, options, kSteps, true);
    CHECK(same_bits(got, run_adam(kStorages[i], kCopies[i], 0, max_norm, options, kSteps, false)));
  }
}

TEST_CASE("optimisers: arrays that are not aligned give the same bits") {
  AIKD_NEEDS_DEVICE();
  const kernels::SgdOptions sgd{
      .groups = {{.learning_rate = 0.5, .momentum = 0.9}, {.learning_rate = 0.3, .momentum = 0.1}}};
  const kernels::AdamOptions adam{.groups = {{.learning_rate = 0.1}, {.learning_rate = 0.2}}};
  const auto by_sgd = run_sgd(Storage::kBF16, Storage::kF16, 0, 100.0F, sgd, 1, false);
  const auto by_adam = run_adam(Storage::kF32, Storage::kF32, 0, 100.0F, adam, 1, false);
  for (const unsigned shifted : {unsigned{kParameter}, unsigned{kGradient}, unsigned{kFirst},
                                 unsigned{kSecond}, unsigned{kLow}, unsigned{kAllArrays}}) {
    CAPTURE(shifted);
    CHECK(same_bits(by_sgd, run_sgd(Storage::kBF16, Storage::kF16, shifted, 100.0F, sgd, 1, false)));
    CHECK(same_bits(by_adam, run_adam(Storage::kF32, Storage::kF32, shifted, 100.0F, adam, 1, false)));
  }
}

TEST_CASE(
    "optimisers: a gradient that is not finite changes nothing, and the next step is as if it had not been") {
  AIKD_NEEDS_DEVICE();
  const kernels::SgdOptions sgd{.groups = {{.learning_rate = 0.5, .momentum = 0.9, .weight_decay = 0.1},
                                           {.learning_rate = 0.5, .momentum = 0.9}}};
  const kernels::AdamOptions adam{.groups = {{.learning_rate = 0.1}, {.learning_rate = 0.1}}};
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const Storage storage : kStorages) {
    for (const float bad : {nan, inf, -inf}) {
      for (const std::size_t tensor : {std::size_t{0}, std::size_t{4}}) {
        CAPTURE(static_cast<int>(storage));
        CAPTURE(bad);
        Model model(0, First::kZeros, Storage::kF16);
        auto gradients = make_gradients(storage, 1);
        gradients[tensor].back() = bad;
        const TensorList list = model.list(storage, gradients);
        const StepControl control = model.measure(storage, list, 100.0F);
        CHECK(model.flag() == 1);
        const std::vector<float> before = model.everything();
        DeviceTeam team;
        kernels::cuda::sgd_momentum(team.context(), storage, list, sgd, control);
        kernels::cuda::adam(team.context(), storage, list, adam, control);
        CHECK(same_bits(model.everything(), before));
        CHECK(model.steps() == 0);
        CHECK(model.guards_intact());
        if (tensor == 0 && bad == inf) {  // the next one is the first
          const TensorList good = model.list(storage, make_gradients(storage, 2));
          const StepControl next = model.measure(storage, good, 1e4F);
          CHECK(model.flag() == 0);
          kernels::cuda::sgd_momentum(team.context(), storage, good, sgd, next);
          CHECK(model.steps() == 1);
          const float p = before[0], g = make_gradients(storage, 2)[0][0] / kLossScale;
          CHECK(model.first(0)[0] == std::fmaf(0.1F, p, g));
        }
      }
    }
  }
}

TEST_CASE("optimisers: without the flag NaN is not hidden, without a norm nothing is clipped") {
  AIKD_NEEDS_DEVICE();
  const kernels::SgdOptions options{.groups = {{.learning_rate = 1.0}, {.learning_rate = 1.0}}};
  Model model(0, First::kZeros, Storage::kF16);
  auto gradients = make_gradients(Storage::kF32, 1);
  gradients[1][5] = std::numeric_limits<float>::quiet_NaN();
  const TensorList list = model.list(Storage::kF32, gradients);
  StepControl control = model.measure(Storage::kF32, list, 100.0F);
  control.non_finite = nullptr;
  control.norm = nullptr;
  const std::vector<float> before = model.parameter(1);
  DeviceTeam team;
  kernels::cuda::sgd_momentum(team.context(), Storage::kF32, list, options, control);
  CHECK(model.steps() == 1);
  const std::vector<float> after = model.parameter(1);
  for (std::size_t i = 0; i < after.size(); ++i) {
    if (i == 5) {
      CHECK(std::isnan(after[i]));
    } else {
      CHECK(after[i] == before[i] - gradients[1][i] / kLossScale);
    }
  }
  // The norm is NaN: clipping by it makes everything NaN.
  control.norm = model.measure(Storage::kF32, list, 100.0F).norm;
  CHECK(std::isnan(model.norm()));
  kernels::cuda::sgd_momentum(team.context(), Storage::kF32, list, options, control);
  CHECK(std::isnan(model.parameter(3)[7]));
}

TEST_CASE("optimisers: no tensors") {
  AIKD_NEEDS_DEVICE();
  const DeviceArray<float> norm(std::size_t{1});
  const DeviceArray<std::int32_t> flag(std::size_t{1}), steps(std::vector<std::int32_t>{4});
  DeviceTeam team;
  kernels::cuda::global_gradient_norm(team.context(), Storage::kF32, {}, 1.0F, norm.data(), flag.data());
  CHECK(norm.download()[0] == 0.0F);
  CHECK(flag.download()[0] == 0);
  kernels::cuda::adam(team.context(), Storage::kF16, {}, {},
                      {.non_finite = flag.data(), .steps = steps.data()});
  CHECK(steps.download()[0] == 5);
  kernels::cuda::ema(team.context(), {}, 0.9, false);
}

TEST_CASE("ema: the first update copies, the others average, what is equal stays equal") {
  AIKD_NEEDS_DEVICE();
  for (const double decay : {0.999, 0.1, 0.0}) {
    for (const unsigned shifted : {0U, unsigned{kParameter}, unsigned{kAverage}}) {
      CAPTURE(decay);
      CAPTURE(shifted);
      Model model(shifted, First::kZeros, Storage::kF16);
      const kernels::SgdOptions options{.groups = {{.learning_rate = 1.0}, {.learning_rate = 1.0}}};
      TensorList list = model.list(Storage::kF32, make_gradients(Storage::kF32, 1));
      DeviceTeam team;
      kernels::cuda::ema(team.context(), list, decay, true);
      kernels::cuda::ema(team.context(), list, decay, false);
      std::vector<std::vector<double>> expected(kTensors);
      for (std::size_t t = 0; t < kTensors; ++t) {
        CHECK(same_bits(model.average(t), model.parameter(t)));
        for (const float p : model.parameter(t)) expected[t].push_back(static_cast<double>(p));
      }
      for (const int step : {2, 3}) {  // so that the parameters have bits of their own
        list = model.list(Storage::kF32, make_gradients(Storage::kF32, step));
        kernels::cuda::sgd_momentum(team.context(), Storage::kF32, list, options,
                                    model.measure(Storage::kF32, list, 1e4F));
      }
      const int updates = decay == 0.0 ? 1 : 2;
      for (int i = 0; i < updates; ++i) kernels::cuda::ema(team.context(), list, decay, false);
      for (std::size_t t = 0; t < kTensors; ++t) {
        const std::vector<float> p = model.parameter(t);
        for (std::size_t i = 0; i < p.size(); ++i)
          for (int update = 0; update < updates; ++update)
            expected[t][i] = decay * expected[t][i] + (1 - decay) * static_cast<double>(p[i]);
        CHECK(wrong(model.average(t), expected[t], 4e-7) == 0);
        if (decay == 0.0) CHECK(same_bits(model.average(t), p));
      }
      CHECK(model.guards_intact());
    }
  }
}
