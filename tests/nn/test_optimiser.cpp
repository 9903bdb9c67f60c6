#include "nn/optimiser.h"

#include <algorithm>
#include <limits>

#include "tests/nn/optimiser_golden.h"

namespace {

using namespace aikd;
using namespace aikd::test;

void check_optimiser(OptimiserKind kind, const std::string& prefix) {
  for (const int threads : {1, 3}) {
    for (const float loss_scale : {1.0F, 128.0F}) {  // a power of two: the same bits
      OptimiserGolden golden;
      Context context(Device::cpu(), threads);
      const auto ops = nn::make_cpu_ops(context);
      nn::TrainedParameters trained = trained_of(golden);
      nn::Optimiser optimiser(context, kind, golden.groups(kind));
      for (int step = 1; step <= 5; ++step) {
        CAPTURE(step);
        const auto i = static_cast<std::size_t>(step - 1);
        give_gradients(*ops, trained, golden, step, loss_scale);
        optimiser.set_learning_rate(0, kRates[i]);
        optimiser.set_learning_rate(1, 0.1 * kRates[i]);
        const nn::StepReport report =
            optimiser.step(trained, {.max_norm = kMaxNorm, .loss_scale = static_cast<double>(loss_scale)});
        const double norm = static_cast<double>(golden.get(prefix + ".norm").values<float>()[i]);
        CHECK_FALSE(!(std::fabs(report.norm - norm) <= 2e-7 * norm));
        CHECK(report.finite);
        CHECK(optimiser.steps() == step);
        for (const auto& [name, parameter] : golden.parameters) {
          CAPTURE(name);
          const Tensor& wanted = golden.get(concat(prefix, ".", step, ".", name));
          CHECK_FALSE(!(relative_error(sampled(name, parameter), wanted.values<float>()) <= 1e-6));
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("optimiser: five steps of SGD with groups, clipping and a changing rate are PyTorch's") {
  check_optimiser(OptimiserKind::kSgd, "sgd");
}

TEST_CASE("optimiser: five steps of Adam are PyTorch's") {
  check_optimiser(OptimiserKind::kAdam, "adam");
}

TEST_CASE("optimiser: the clip factor is min(1, max / (norm + 1e-6)) over the trained tensors together") {
  OptimiserGolden golden;
  Context context(Device::cpu(), 2);
  const auto ops = nn::make_cpu_ops(context);
  nn::TrainedParameters trained = trained_of(golden);
  // Something trained that no group holds does not count.
  const Tensor other = Tensor::full({3}, 1.0F);
  trained.add(other);
  nn::Optimiser optimiser(
      context, OptimiserKind::kSgd,
      {{.name = "all", .tensors = {{"b", golden.parameters.at("b")}}, .learning_rate = 1.0}});
  for (const double max_norm : {0.0, 1.0, 1e9}) {
    trained.clear_gradients();
    trained.accumulate(*ops, other, Tensor::full({3}, 1e6F));
    trained.accumulate(*ops, golden.parameters.at("b"), golden.gradient(1, "b").clone());
    const Tensor before = golden.parameters.at("b").clone();
    const double norm = optimiser.step(trained, {.max_norm = max_norm}).norm;
    double squares = 0;
    for (const float g : golden.gradient(1, "b").values<float>())
      squares += static_cast<double>(g) * static_cast<double>(g);
    CHECK_FALSE(!(std::fabs(norm - std::sqrt(squares)) <= 1e-7 * norm));
    const double factor = max_norm == 1.0 ? 1.0 / (norm + 1e-6) : 1.0;
    int off = 0;
    for (std::size_t i = 0; i < 33; ++i) {
      const double wanted = static_cast<double>(before.data<float>()[i]) -
                            factor * static_cast<double>(golden.gradient(1, "b").data<float>()[i]);
      if (!(std::fabs(static_cast<double>(golden.parameters.at("b").data<float>()[i]) - wanted) <= 1e-6))
        ++off;
    }
    CHECK(off == 0);
  }
}

TEST_CASE("optimiser: with norm_over_all the clip factor follows the norm of everything that is trained") {
  OptimiserGolden golden;
  Context context(Device::cpu(), 2);
  const auto ops = nn::make_cpu_ops(context);
  nn::TrainedParameters trained = trained_of(golden);
  const Tensor unreached = Tensor::full({5}, 1.0F);
  trained.add(unreached);
  trained.add(golden.parameters.at("a"));  // again: counted once
  Tensor b = golden.parameters.at("b");
  nn::Optimiser optimiser(context, OptimiserKind::kSgd,
                          {{.name = "head", .tensors = {{"b", b}}, .learning_rate = 1.0}});
  give_gradients(*ops, trained, golden, 1, 4.0F);
  double in_group = 0, everywhere = 0;
  for (const auto& [name, parameter] : golden.parameters) {
    const Tensor gradient = golden.gradient(1, name);
    for (const float g : gradient.values<float>()) {
      const double square = static_cast<double>(g) * static_cast<double>(g);
      everywhere += square;
      if (name == "b") in_group += square;
    }
  }
  const Tensor before = b.clone();
  for (const bool over_all : {false, true}) {
    std::ranges::copy(before.values<float>(), b.mutable_values<float>().begin());
    const double wanted = std::sqrt(over_all ? everywhere : in_group);
    const nn::StepReport report =
        optimiser.step(trained, {.max_norm = 0.5, .loss_scale = 4, .norm_over_all = over_all});
    CAPTURE(over_all);
    CHECK(report.finite);
    CHECK_FALSE(!(std::fabs(report.norm - wanted) <= 1e-7 * wanted));
    int off = 0;
    for (std::size_t i = 0; i < 33; ++i) {
      const double step =
          0.5 / (wanted + 1e-6) * static_cast<double>(golden.gradient(1, "b").data<float>()[i]);
      const double moved =
          static_cast<double>(before.data<float>()[i]) - static_cast<double>(b.data<float>()[i]);
      if (!(std::fabs(moved - step) <= 5e-7)) ++off;
    }
    CHECK(off == 0);
  }
  // What is not finite outside the groups stops the step only where it was to be looked at.
  trained.gradient(golden.parameters.at("c")).mutable_data<float>()[17000] = std::nanf("");
  const Tensor kept = b.clone();
  CHECK_FALSE(optimiser.step(trained, {.max_norm = 0.5, .norm_over_all = true}).finite);
  CHECK(same_bits(b, kept));
  CHECK(optimiser.steps() == 2);
  CHECK(optimiser.step(trained, {.max_norm = 0.5}).finite);
  CHECK(optimiser.steps() == 3);
}

TEST_CASE("optimiser: a gradient that is not finite leaves everything as it is") {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    OptimiserGolden golden;
    Context context(Device::cpu(), 2);
    const auto ops = nn::make_cpu_ops(context);
    nn::TrainedParameters trained = trained_of(golden);
    nn::Optimiser optimiser(context, OptimiserKind::kAdam, golden.groups(OptimiserKind::kAdam));
    give_gradients(*ops, trained, golden, 1);
    CHECK(optimiser.step(trained).finite);
    std::vector<Tensor> before;
    for (const StateTensor& entry : optimiser.state()) before.push_back(entry.tensor.clone());
    for (const auto& [name, parameter] : golden.parameters) before.push_back(parameter.clone());
    give_gradients(*ops, trained, golden, 2);
    Tensor gradient = trained.gradient(golden.parameters.at("c"));
    gradient.mutable_data<float>()[17000] = bad;
    CHECK_FALSE(optimiser.step(trained, {.max_norm = 1.0}).finite);
    CHECK(optimiser.steps() == 1);
    std::vector<Tensor> after;
    for (const StateTensor& entry : optimiser.state()) after.push_back(entry.tensor);
    for (const auto& [name, parameter] : golden.parameters) after.push_back(parameter);
    REQUIRE(after.size() == before.size());
    for (std::size_t i = 0; i < after.size(); ++i) CHECK(same_bits(after[i], before[i]));
  }
}

TEST_CASE("optimiser: a saved state goes on bit for bit") {
  for (const OptimiserKind kind : {OptimiserKind::kSgd, OptimiserKind::kAdam}) {
    OptimiserGolden straight, resumed;
    Context context(Device::cpu(), 2), single(Device::cpu(), 1);
    const auto ops = nn::make_cpu_ops(context);
    nn::TrainedParameters trained = trained_of(straight);
    nn::Optimiser optimiser(context, kind, straight.groups(kind));
    std::vector<StateTensor> saved;
    for (int step = 1; step <= 4; ++step) {
      give_gradients(*ops, trained, straight, step);
      optimiser.step(trained, {.max_norm = kMaxNorm});
      if (step != 2) continue;
      for (const StateTensor& entry : optimiser.state("o."))
        saved.push_back({entry.name, entry.tensor.clone()});
      for (auto& [name, parameter] : resumed.parameters)
        std::ranges::copy(straight.parameters.at(name).values<float>(),
                          parameter.mutable_values<float>().begin());
    }
    CHECK(saved.size() == (kind == OptimiserKind::kSgd ? 4 : 7));
    CHECK(saved[0].name == "o.steps");
    nn::TrainedParameters again = trained_of(resumed);
    nn::Optimiser second(single, kind, resumed.groups(kind));
    second.restore_state(saved, "o.");
    CHECK(second.steps() == 2);
    for (int step = 3; step <= 4; ++step) {
      give_gradients(*ops, again, resumed, step);
      second.step(again, {.max_norm = kMaxNorm});
    }
    for (const auto& [name, parameter] : resumed.parameters)
      CHECK(same_bits(parameter, straight.parameters.at(name)));
    const auto left = optimiser.state(), right = second.state();
    for (std::size_t i = 0; i < left.size(); ++i) CHECK(same_bits(left[i].tensor, right[i].tensor));
  }
}

TEST_CASE("optimiser: wrong arguments each have their sentence") {
  Context context(Device::cpu(), 1);
  Tensor t = Tensor::full({2}, 1.0F);
  const auto refused = [&](nn::ParameterGroup group) {
    return error_of([&] { nn::Optimiser(context, OptimiserKind::kSgd, {std::move(group)}); });
  };
  CHECK(error_of([&] { nn::Optimiser(context, OptimiserKind::kSgd, {}); }) ==
        "Optimiser: there must be 1 to 8 groups, got 0.");
  CHECK(error_of([&] { nn::Optimiser(context, OptimiserKind::kSgd, std::vector<nn::ParameterGroup>(9)); }) ==
        "Optimiser: there must be 1 to 8 groups, got 9.");
  CHECK(refused({.name = "g", .learning_rate = -1}) ==
        "Optimiser: the learning rate of group 'g' must be a number of at least 0, got -1.");
  CHECK(refused({.name = "g", .learning_rate = std::nan("")}) ==
        "Optimiser: the learning rate of group 'g' must be a number of at least 0, got nan.");
  CHECK(refused({.name = "g", .weight_decay = -0.5}) ==
        "Optimiser: the weight decay of group 'g' must be a number of at least 0, got -0.5.");
  CHECK(refused({.name = "g", .momentum = 1}) ==
        "Optimiser: the momentum of group 'g' must be at least 0 and below 1, got 1.");
  CHECK(refused({.name = "g", .beta1 = -1}) ==
        "Optimiser: the beta1 of group 'g' must be at least 0 and below 1, got -1.");
  CHECK(refused({.name = "g", .beta2 = 2}) ==
        "Optimiser: the beta2 of group 'g' must be at least 0 and below 1, got 2.");
  CHECK(refused({.name = "g", .eps = 0}) == "Optimiser: the eps of group 'g' must be positive, got 0.");
  CHECK(refused({.name = "g", .tensors = {{"", t}}}) ==
        "Optimiser: the parameter name '' is empty or occurs twice.");
  CHECK(refused({.name = "g", .tensors = {{"t", t}, {"t", t}}}) ==
        "Optimiser: the parameter name 't' is empty or occurs twice.");
  CHECK(refused({.name = "g", .tensors = {{"t", {}}}}) ==
        "Optimiser: the parameter 't' must be F32 on cpu, got an undefined tensor.");
  CHECK(refused({.name = "g", .tensors = {{"t", Tensor::zeros({2}, DType::kF64)}}}) ==
        "Optimiser: the parameter 't' must be F32 on cpu, got F64 on cpu.");

  nn::Optimiser optimiser(context, OptimiserKind::kSgd,
                          {{.name = "g", .tensors = {{"t", t}}, .momentum = 0.5}});
  CHECK(error_of([&] { optimiser.set_learning_rate(1, 0.1); }) == "Optimiser: there is no group 1 of 1.");
  CHECK(error_of([&] { optimiser.set_learning_rate(0, -2); }) ==
        "Optimiser: the learning rate of group 'g' must be a number of at least 0, got -2.");
  nn::TrainedParameters trained;
  trained.add(t);
  CHECK(error_of([&] { optimiser.step(trained); }) ==
        "Optimiser: the parameter 't' has no gradient: the loss does not depend on it, or backward() has not "
        "run.");
  CHECK(error_of([&] { optimiser.step(trained, {.max_norm = -1}); }) ==
        "Optimiser: the largest norm must be at least 0, got -1.");
  CHECK(error_of([&] { optimiser.step(trained, {.loss_scale = 0}); }) ==
        "Optimiser: the loss scale must be positive, got 0.");
  CHECK(error_of([&] { optimiser.restore_state({}); }) ==
        "Optimiser: the saved state has no tensor 'optimiser.steps'.");
  const StateTensor steps{"optimiser.steps", nn::count_tensor(3)};
  CHECK(error_of([&] { optimiser.restore_state(std::vector<StateTensor>{steps}); }) ==
        "Optimiser: the saved state has no tensor 'optimiser.momentum.t'.");
  CHECK(error_of([&] {
          optimiser.restore_state(
              std::vector<StateTensor>{steps, {"optimiser.momentum.t", Tensor::full({3}, 1.0F)}});
        }) == "Optimiser: the saved tensor 'optimiser.momentum.t' should be F32 [2], but is F32 [3].");
  const StateTensor momentum{"optimiser.momentum.t", Tensor::full({2}, 1.0F)};
  CHECK(error_of([&] {
          optimiser.restore_state(
              std::vector<StateTensor>{{"optimiser.steps", nn::count_tensor(-1)}, momentum});
        }) == "Optimiser: the saved number of steps is -1.");
  CHECK(optimiser.steps() == 0);
  CHECK(optimiser.state()[1].tensor.data<float>()[0] == 0.0F);
}
