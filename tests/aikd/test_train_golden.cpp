// Ten steps of training against PyTorch running the paper's method in float64
// (tests/golden/train/make_train.py).
#include <map>

#include "nn/schedule.h"
#include "tests/aikd/train_golden.h"

using namespace aikd;
using namespace aikd::test;

namespace {

constexpr int kSteps = 10;
constexpr double kLossTolerance = 1e-5;      // relative, of every loss of ten steps
constexpr double kGradientTolerance = 1e-4;  // of the gradient's norm, by name
// A bias that only shifts what a BatchNorm of the batch then centres has no gradient. What rounding leaves of
// it, as a share of all gradients together:
constexpr double kZeroShare = 1e-9, kZeroTolerance = 1e-7;
// Of later steps, in which some values do cross the kink of a PReLU (make_train.py).
constexpr double kNormTolerance = 1e-3;
constexpr double kChangeTolerance = 5e-3;
constexpr double kStatisticsTolerance = 1e-4;

TrainConfig golden_config(TrainMethod method, bool as_published = false) {
  TrainConfig c = train_defaults(method, as_published);
  c.batch = TrainData::kBatch;
  c.ema = 0;
  c.seed = 5;  // of the head
  c.limit = 20;
  return c;
}

std::map<std::string, nn::NamedTensor> by_name(const Model& model) {
  std::map<std::string, nn::NamedTensor> found;
  for (const nn::NamedTensor& spec : model_tensors(model)) found.emplace(spec.name, spec);
  return found;
}

void check_gradients(const TrainGolden& golden, const Model& student,
                     const nn::TrainedParameters& gradients) {
  const std::map<std::string, nn::NamedTensor> tensors = by_name(student);
  const std::vector<std::string> names = golden.names();
  const std::span<const double> norms = golden.doubles("gradient_norms");
  REQUIRE(names.size() == norms.size());
  const double total = golden.doubles("norms")[0];
  Worst worst, worst_zero;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const nn::NamedTensor& spec = tensors.at(names[i]);
    REQUIRE_MESSAGE(gradients.contains(*spec.tensor), names[i]);
    const Tensor ours = nn::to_torch_layout(gradients.gradient(*spec.tensor), spec);
    if (norms[i] < kZeroShare * total) {
      worst_zero.add(norm_of(ours.values<float>()) / total, names[i]);
      continue;
    }
    const Tensor* full = golden.find("grad." + names[i]);
    const double error = full != nullptr
                             ? distance(ours.values<float>(), full->values<float>(), false)
                             : distance(std::span<const double>(project(ours.values<float>())),
                                        golden.tensor("projected." + names[i]).values<float>(), true);
    CHECK_MESSAGE(error <= kGradientTolerance * norms[i], names[i], ": ", error / norms[i], " of its norm");
    worst.add(error / norms[i], names[i]);
  }
  CHECK_MESSAGE(worst_zero.error <= kZeroTolerance, worst_zero.where, ": ", worst_zero.error);
  MESSAGE("gradients: ", worst.error, " of the norm (", worst.where,
          "); of those that are 0: ", worst_zero.error, " of all (", worst_zero.where, ")");
}

void check_end(const TrainGolden& golden, const Model& student, const std::map<std::string, Tensor>& before) {
  const std::map<std::string, nn::NamedTensor> tensors = by_name(student);
  Worst change, statistics;
  for (const io::SafetensorsEntry& entry : golden.file().tensors) {
    const std::string name = entry.name.substr(entry.name.find('.') + 1);
    if (entry.name.starts_with("change.")) {
      const nn::NamedTensor& spec = tensors.at(name);
      Tensor moved = spec.tensor->clone();
      const auto start = before.at(name).values<float>();
      for (std::size_t i = 0; i < start.size(); ++i) moved.mutable_values<float>()[i] -= start[i];
      const std::vector<double> ours = project(nn::to_torch_layout(moved, spec).values<float>());
      const std::vector<float> none(ours.size(), 0.0F);
      const double size = distance(entry.tensor.values<float>(), std::span<const float>(none), true);
      const double error = distance(std::span<const double>(ours), entry.tensor.values<float>(), true) / size;
      const double rounded = std::sqrt(kSteps) * 0x1p-24 * norm_of(start);  // every step rounds the weight
      CHECK_MESSAGE(error <= kChangeTolerance + rounded / size, entry.name, ": ", error);
      change.add(error, name);
    } else if (entry.name.starts_with("after.")) {
      const double error =
          distance(tensors.at(name).tensor->values<float>(), entry.tensor.values<float>(), false) /
          norm_of(entry.tensor.values<float>());
      CHECK_MESSAGE(error <= kStatisticsTolerance, entry.name, ": ", error);
      statistics.add(error, name);
    }
  }
  MESSAGE("after ten steps: change of weights ", change.error, " (", change.where, "), running statistics ",
          statistics.error, " (", statistics.where, ")");
}

void check_against_pytorch(const std::string& name, const TrainConfig& config,
                           std::int64_t warm_up_steps = 2000) {
  const TrainGolden golden(name);
  const TrainData data;
  const std::unique_ptr<Model> teacher = data.teacher();
  const Model* teacher_or_null = config.cosine_weight > 0 ? teacher.get() : nullptr;
  Context context;
  {
    const std::unique_ptr<Model> student = make_student(*teacher, config);
    TrainStep step(teacher_or_null, *student, context, config, 1);
    step.gradients_of(data.batch(golden, 0, config.misalign));
    check_gradients(golden, *student, step.network().gradients());
  }
  const std::unique_ptr<Model> student = make_student(*teacher, config);
  TrainStep step(teacher_or_null, *student, context, config, 1);
  std::map<std::string, Tensor> before;
  for (const nn::NamedTensor& spec : step.network().changing())
    before.emplace(spec.name, spec.tensor->clone());
  const nn::ScheduleOptions schedule{.warm_up_steps = warm_up_steps, .from_zero = config.warmup_from_zero};
  const std::span<const double> losses = golden.doubles("losses"), norms = golden.doubles("norms");
  Worst loss, norm;
  for (int s = 0; s < kSteps; ++s) {
    const StepResult result =
        step.run(data.batch(golden, s, config.misalign), nn::learning_rate_factor(schedule, s));
    CHECK_FALSE(result.skipped);
    const double ours[] = {result.loss, result.quality_loss, result.cosine_loss};
    const char* what[] = {"total", "quality", "cosine"};
    for (std::size_t i = 0; i < 3; ++i) {
      const double expected = losses[static_cast<std::size_t>(s) * 3 + i];
      const double error = std::abs(ours[i] - expected) / (expected == 0 ? 1 : expected);
      const std::string where = std::string(what[i]) + " of step " + std::to_string(s + 1);
      CHECK_MESSAGE(error <= kLossTolerance, where, ": ", ours[i], ", PyTorch ", expected);
      loss.add(error, where);
    }
    const double expected = norms[static_cast<std::size_t>(s)];
    const double error = std::abs(result.gradient_norm - expected) / expected;
    CHECK_MESSAGE(error <= (s == 0 ? kGradientTolerance : kNormTolerance), "norm of step ", s + 1, ": ",
                  result.gradient_norm, ", PyTorch ", expected);
    norm.add(error, "step " + std::to_string(s + 1));
  }
  CHECK(step.steps_taken() == kSteps);
  MESSAGE(name, ": losses ", loss.error, " (", loss.where, "), norms ", norm.error, " (", norm.where,
          "); PyTorch's float32: ", golden.file().metadata.at("float32_against_float64"));
  check_end(golden, *student, before);
}

}  // namespace

TEST_CASE("train step: ten steps of AI-KD equal PyTorch's, everything trained") {
  TrainConfig config = golden_config(TrainMethod::kAikd);
  config.limit = TrainConfig::kAllTensors;
  check_against_pytorch("l1_all", config);
}

TEST_CASE("train step: ten steps of AI-KD equal PyTorch's, the last 20 tensors trained") {
  check_against_pytorch("l1_last", golden_config(TrainMethod::kAikd));
}

TEST_CASE("train step: ten steps of AI-KD equal PyTorch's, SmoothL1 and the script's momentum") {
  TrainConfig config = golden_config(TrainMethod::kAikd);
  config.limit = 35;
  config.quality_loss = QualityLoss::kSmoothL1;
  config.quality_beta = 0.5;
  config.backbone_momentum = 0.1;
  check_against_pytorch("smooth_l1", config);
}

TEST_CASE("train step: ten steps of AI-KD as published equal PyTorch's, the norm over all gradients") {
  check_against_pytorch("published", golden_config(TrainMethod::kAikd, true));
}

TEST_CASE("train step: ten steps of DifFIQA(R) equal PyTorch's") {
  TrainConfig config = golden_config(TrainMethod::kDiffiqaR);
  config.limit = 35;
  check_against_pytorch("diffiqa_r", config, 400);
}
