// Optimisers, averages and whole training steps on CUDA against the CPU's.
#include <algorithm>
#include <limits>

#include "nn/cuda/cuda_multi_tensor.h"
#include "nn/ema.h"
#include "tests/cuda/tape_on_device.h"
#include "tests/cuda/training_run.h"
#include "tests/nn/optimiser_golden.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using nn::Precision;

// The tensors of make_optimisers.py on a device, with an optimiser over them. A trained tensor "c" belongs to
// no group when `without_c`.
class OptimiserRun {
 public:
  OptimiserRun(Context& context, OptimiserKind kind, bool without_c = false) : context_(&context) {
    for (auto& [name, parameter] : golden.parameters) {
      parameter = parameter.to(context.device());
      trained.add(parameter);
    }
    std::vector<nn::ParameterGroup> groups = golden.groups(kind);
    if (without_c) groups[1].tensors.pop_back();
    optimiser = std::make_unique<nn::Optimiser>(context, kind, groups, multi_tensor(context));
  }
  void give(int step, float scale, float in_c = 0.0F) {
    trained.clear_gradients();
    for (auto& [name, parameter] : golden.parameters) {
      Tensor gradient = golden.gradient(step, name).clone();
      for (float& v : gradient.mutable_values<float>()) v *= scale;
      if (name == "c" && in_c != 0.0F) gradient.mutable_values<float>()[17000] = in_c;
      trained.accumulate(*ops(), parameter, gradient.to(context_->device()));
    }
  }
  std::vector<Tensor> everything() const {
    std::vector<Tensor> all;
    for (const StateTensor& entry : optimiser->state()) all.push_back(entry.tensor.clone());
    for (const auto& [name, parameter] : golden.parameters)
      all.push_back(parameter.to(Device::cpu()).clone());
    return all;
  }

  OptimiserGolden golden;
  nn::TrainedParameters trained;
  std::unique_ptr<nn::Optimiser> optimiser;

 private:
  nn::DeviceOps* ops() {
    if (ops_ == nullptr) ops_ = device_ops(*context_, Precision::kFp32);
    return ops_.get();
  }
  Context* context_;
  std::unique_ptr<nn::DeviceOps> ops_;
};

bool same_tensors(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::ranges::equal(a, b, [](const Tensor& x, const Tensor& y) { return same_tensor(x, y); });
}

}  // namespace

TEST_CASE(
    "cuda training: steps of SGD and Adam with clipping are the CPU's, and their state goes on bit for bit") {
  AIKD_NEEDS_DEVICE();
  Context host(Device::cpu(), 1), card(Device::cuda(0), 1);
  for (const OptimiserKind kind : {OptimiserKind::kSgd, OptimiserKind::kAdam}) {
    for (const bool over_all : {false, true}) {
      CAPTURE(over_all);
      OptimiserRun cpu(host, kind, over_all), gpu(card, kind, over_all), resumed(card, kind, over_all);
      for (int step = 1; step <= 4; ++step) {
        CAPTURE(step);
        if (step == 3) {  // the rest once more, from what a checkpoint would hold
          const std::vector<StateTensor> saved = gpu.optimiser->state("o.");
          CHECK(saved[0].name == "o.steps");
          for (const StateTensor& entry : saved) CHECK(entry.tensor.device() == Device::cpu());
          resumed.optimiser->restore_state(saved, "o.");
          for (auto& [name, parameter] : resumed.golden.parameters)
            copy_values(gpu.golden.parameters.at(name), parameter, card.stream());
          CHECK(resumed.optimiser->steps() == 2);
          CHECK(same_tensors(resumed.everything(), gpu.everything()));
        }
        const nn::StepOptions options{.max_norm = kMaxNorm, .loss_scale = 128, .norm_over_all = over_all};
        std::vector<OptimiserRun*> runs{&cpu, &gpu};
        if (step >= 3) runs.push_back(&resumed);
        std::vector<nn::StepReport> reports;
        for (OptimiserRun* run : runs) {
          run->give(step, 128.0F);
          run->optimiser->set_learning_rate(0, 0.05 / step);
          reports.push_back(run->optimiser->step(run->trained, options));
        }
        CHECK((reports[0].finite && reports[1].finite));
        CHECK_FALSE(!(std::fabs(reports[1].norm - reports[0].norm) <= 1e-6 * reports[0].norm));
        CHECK(gpu.optimiser->steps() == step);
      }
      const std::vector<Tensor> wanted = cpu.everything(), got = gpu.everything();
      REQUIRE(got.size() == wanted.size());
      CHECK(*got[0].data<std::int64_t>() == 4);
      for (std::size_t i = 1; i < got.size(); ++i) {
        CAPTURE(i);
        CHECK_FALSE(!(relative_error(got[i].values<float>(), wanted[i].values<float>()) <= 1e-6));
      }
      CHECK(same_tensors(resumed.everything(), got));
    }
  }
}

TEST_CASE("cuda training: the norm over all, and steps that overflow are left out") {
  AIKD_NEEDS_DEVICE();
  Context card(Device::cuda(0), 1);
  OptimiserRun run(card, OptimiserKind::kAdam, true);  // c is trained, and in no group
  run.give(1, 1.0F);
  const double in_groups = run.optimiser->step(run.trained, {.max_norm = 1}).norm;
  double wanted[2] = {0, 0};
  for (const char* name : {"a", "b", "c"}) {
    const double norm = norm_of(run.golden.gradient(1, name));
    if (*name != 'c') wanted[0] += norm * norm;
    wanted[1] += norm * norm;
  }
  run.give(1, 1.0F);
  const double over_all = run.optimiser->step(run.trained, {.max_norm = 1, .norm_over_all = true}).norm;
  CHECK_FALSE(!(std::fabs(in_groups - std::sqrt(wanted[0])) <= 1e-6 * in_groups));
  CHECK_FALSE(!(std::fabs(over_all - std::sqrt(wanted[1])) <= 1e-6 * over_all));
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    const std::vector<Tensor> before = run.everything();
    run.give(2, 1.0F, bad);
    CHECK_FALSE(run.optimiser->step(run.trained, {.max_norm = 1, .norm_over_all = true}).finite);
    CHECK(same_tensors(run.everything(), before));
    CHECK(run.optimiser->step(run.trained, {.max_norm = 1}).finite);  // c is in no group
    CHECK_FALSE(same_tensors(run.everything(), before));
  }
  CHECK(run.optimiser->steps() == 4);
  OptimiserRun all(card, OptimiserKind::kSgd);
  const std::vector<Tensor> before = all.everything();
  all.give(1, 1.0F, std::nanf(""));
  CHECK_FALSE(all.optimiser->step(all.trained).finite);
  CHECK(same_tensors(all.everything(), before));
  // On another device than the context's.
  const Tensor elsewhere = Tensor::full({3}, 1.0F);
  CHECK(error_of([&] {
          nn::Optimiser(card, OptimiserKind::kSgd, {{.name = "g", .tensors = {{"t", elsewhere}}}},
                        multi_tensor(card));
        }) == "Optimiser: the parameter 't' must be F32 on cuda:0, got F32 on cpu.");
}

TEST_CASE("cuda training: averages are the CPU's, counts are copied, and their state goes on bit for bit") {
  AIKD_NEEDS_DEVICE();
  Context host(Device::cpu(), 1), card(Device::cuda(0), 1);
  struct Averaged {
    explicit Averaged(Context& context)
        : value(p.normal({40, 500}).to(context.device())), small(p.normal({7}).to(context.device())) {
      *count.mutable_data<std::int64_t>() = 1;
      ema = std::make_unique<nn::Ema>(context, tensors(value, small, count),
                                      nn::EmaOptions{.decay = 0.9, .warm_up = true}, multi_tensor(context));
    }
    static std::vector<nn::NamedTensor> tensors(Tensor& a, Tensor& b, Tensor& n) {
      return {named("value", a), named("small", b), named("count", n)};
    }
    // Other values in the same memory.
    void change(Context& context, std::uint64_t seed) {
      Parameters other(seed);
      nn::copy_tensor(context, other.normal({40, 500}), value);
      nn::copy_tensor(context, other.normal({7}), small);
      ++*count.mutable_data<std::int64_t>();
    }
    Parameters p{4};
    Tensor value, small, count = Tensor::empty({}, DType::kI64);
    std::unique_ptr<nn::Ema> ema;
  };
  Averaged cpu(host), gpu(card), resumed(card);
  for (std::uint64_t update = 0; update < 4; ++update) {
    if (update == 2) {
      const std::vector<StateTensor> saved = gpu.ema->state("e.");
      for (const StateTensor& entry : saved) CHECK(entry.tensor.device() == Device::cpu());
      resumed.ema->restore_state(saved, "e.");
      CHECK(resumed.ema->updates() == 2);
    }
    cpu.change(host, update);
    cpu.ema->update();
    for (Averaged* one : {&gpu, &resumed}) {
      if (one == &resumed && update < 2) continue;
      one->change(card, update);
      one->ema->update();
    }
  }
  *resumed.count.mutable_data<std::int64_t>() = *gpu.count.data<std::int64_t>();
  resumed.ema->update();
  gpu.ema->update();
  cpu.ema->update();
  const auto wanted = cpu.ema->state(), got = gpu.ema->state(), again = resumed.ema->state();
  REQUIRE(got.size() == 4);
  for (std::size_t i = 0; i < got.size(); ++i) {
    CHECK(got[i].name == wanted[i].name);
    CHECK(same_tensor(got[i].tensor, again[i].tensor));
    if (got[i].tensor.dtype() == DType::kI64)
      CHECK(same_tensor(got[i].tensor, wanted[i].tensor));
    else
      CHECK_FALSE(!(relative_error(got[i].tensor.values<float>(), wanted[i].tensor.values<float>()) <= 1e-6));
  }
  // Into another model on the card, and on the host.
  for (const Device device : {Device::cuda(0), Device::cpu()}) {
    Tensor value = Tensor::zeros({40, 500}, DType::kF32, device),
           small = Tensor::zeros({7}, DType::kF32, device), count = nn::count_tensor(0);
    gpu.ema->copy_to(Averaged::tensors(value, small, count));
    card.synchronize();
    CHECK(same_tensor(value, got[1].tensor));
    CHECK(same_tensor(small, got[2].tensor));
    CHECK(same_tensor(count, got[3].tensor));
  }
  Tensor elsewhere = Tensor::full({3}, 1.0F);
  const std::vector<nn::NamedTensor> wrong{named("t", elsewhere)};
  CHECK(error_of([&] { nn::Ema(card, wrong, {}, multi_tensor(card)); }) ==
        "Ema: the tensor 't' is on cpu, not on cuda:0.");
}

// The first losses agree to rounding; from step to step differences grow, by a factor that the bends of PReLU
// and clamp give (test_cuda_ops.cpp), and stay far below what a wrong gradient, rate or average would make.
TEST_CASE("cuda training: ten steps of a small network are the CPU's, and repeat bit for bit") {
  AIKD_NEEDS_DEVICE();
  Context host(Device::cpu(), 1), card(Device::cuda(0), 1);
  const TrainingResult wanted = train(host, Precision::kFp32, 1.0);
  CHECK(wanted.losses.back() < 0.7 * wanted.losses.front());  // it learns
  struct Case {
    Precision precision;
    double loss_scale, losses, tensors;
  };
  for (const Case& c : {Case{Precision::kFp32, 1.0, 1e-5, 1e-4}, Case{Precision::kFp16, 128.0, 0.005, 0.005},
                        Case{Precision::kBf16, 1.0, 0.04, 0.06}}) {
    const std::string name = nn::name_of(c.precision);
    CAPTURE(name);
    const TrainingResult got = train(card, c.precision, c.loss_scale);
    double worst_loss = 0, worst = 0;
    for (std::size_t i = 0; i < got.losses.size(); ++i) {
      const double error = std::fabs(got.losses[i] - wanted.losses[i]) / wanted.losses[i];
      CHECK_FALSE(!(error <= c.losses));
      worst_loss = std::max(worst_loss, error);
    }
    for (const auto& [tensor, value] : wanted.tensors) {
      CAPTURE(tensor);
      // Momentum is what gradients that have come near zero leave of each other: compared in fp32 only.
      if (c.precision != Precision::kFp32 && tensor.find("momentum") != std::string::npos) continue;
      const double error = relative_error(got.tensors.at(tensor).values<float>(), value.values<float>());
      CHECK_FALSE(!(error <= c.tensors));
      worst = std::max(worst, error);
    }
    MESSAGE(name, ": losses ", got.losses.front(), " to ", got.losses.back(), ", worst error ", worst_loss,
            ", worst tensor ", worst);
    const TrainingResult again = train(card, c.precision, c.loss_scale);
    CHECK(again.losses == got.losses);
    for (const auto& [tensor, value] : got.tensors) CHECK(same_tensor(value, again.tensors.at(tensor)));
  }
}
