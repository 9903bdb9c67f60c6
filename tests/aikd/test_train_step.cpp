// What a training step changes, leaves alone, saves and restores; its numbers: test_train_golden.cpp.
#include "aikd/train_step.h"

#include <cstring>
#include <limits>
#include <map>

#include "aikd/model_builder.h"
#include "aikd/untrained.h"
#include "nn/initialise.h"
#include "tensor/random.h"
#include "tests/support/test.h"

using namespace aikd;

namespace {

using Values = std::map<std::string, Tensor>;

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), a.bytes()) == 0);
}

Values copy_of(const Model& model) {
  Values values;
  for (const nn::NamedTensor& spec : model_tensors(model)) values[spec.name] = spec.tensor->clone();
  return values;
}

// A MobileFaceNet that nobody trained, two images a batch: quick, and with every kind of tensor.
struct Fixture {
  static constexpr std::int64_t kBatch = 2;
  Context context;
  std::vector<io::Image> faces = calibration_faces(4, 6);
  std::unique_ptr<Model> teacher = make("none");

  std::unique_ptr<Model> make(const std::string& head, std::int64_t hidden = 1024) {
    return make_untrained({.architecture = "mobilefacenet", .head = head, .hidden_size = hidden, .seed = 9},
                          faces, context);
  }

  static TrainConfig config() {
    TrainConfig c = train_defaults(TrainMethod::kAikd, false);
    c.batch = kBatch;
    c.limit = 12;
    c.ema = 0;
    c.head_width = 32;
    return c;
  }

  // Student: the next face, so that there is something to learn.
  TrainBatch batch(std::size_t step, std::size_t n = kBatch) const {
    TrainBatch b;
    b.n = static_cast<std::int64_t>(n);
    for (std::size_t i = 0; i < n; ++i) {
      const auto& aligned = faces[(step * n + i) % faces.size()].pixels;
      const auto& misaligned = faces[(step * n + i + 1) % faces.size()].pixels;
      b.aligned.insert(b.aligned.end(), aligned.begin(), aligned.end());
      b.misaligned.insert(b.misaligned.end(), misaligned.begin(), misaligned.end());
      b.labels.push_back(0.1F * static_cast<float>(i + step));
    }
    return b;
  }
};

}  // namespace

TEST_CASE("train step: teacher and frozen tensors keep their bits, what is trained moves") {
  Fixture f;
  const TrainConfig config = Fixture::config();
  const auto student = make_student(*f.teacher, config);
  const Values teacher_before = copy_of(*f.teacher), before = copy_of(*student);
  TrainStep step(f.teacher.get(), *student, f.context, config, 1);
  for (std::size_t s = 0; s < 3; ++s) CHECK(step.run(f.batch(s), 1).gradient_norm > 0);
  CHECK(step.steps_taken() == 3);

  for (const auto& [name, tensor] : copy_of(*f.teacher))
    CHECK_MESSAGE(same_bits(tensor, teacher_before.at(name)), name);
  std::map<std::string, nn::TensorRole> changing;
  for (const nn::NamedTensor& spec : step.network().changing()) changing[spec.name] = spec.role;
  std::size_t moved = 0;
  for (const auto& [name, tensor] : copy_of(*student)) {
    const auto found = changing.find(name);
    const bool same = same_bits(tensor, before.at(name));
    CHECK_MESSAGE(same == (found == changing.end()), name);
    if (found == changing.end()) continue;
    ++moved;
    if (found->second == nn::TensorRole::kBnCount) CHECK(*tensor.data<std::int64_t>() == 3);
  }
  CHECK(moved == changing.size());
  // The last 12 parameters and the head, and the statistics of the four BatchNorms in and behind them.
  CHECK(step.network().trained_backbone().size() == 12);
  CHECK(step.network().trained_head().size() == 4);
  std::size_t statistics = 0;
  for (const auto& [name, role] : changing)
    statistics += static_cast<std::size_t>(role == nn::TensorRole::kBnVar);
  CHECK(changing.size() == 16 + 3 * statistics);
  CHECK(changing.contains("backbone.last_bn.running_var"));
  CHECK_FALSE(changing.contains("backbone.conv1.bn.running_var"));
}

TEST_CASE("train step: restored from its state it goes on with the same bits") {
  Fixture f;
  for (const nn::OptimiserKind kind : {nn::OptimiserKind::kSgd, nn::OptimiserKind::kAdam}) {
    TrainConfig config = Fixture::config();
    config.optimiser = kind;
    config.head_lr = config.backbone_lr = kind == nn::OptimiserKind::kSgd ? 0.01 : 1e-3;
    config.ema = 0.9;
    const auto first = make_student(*f.teacher, config);
    TrainStep step(f.teacher.get(), *first, f.context, config, 1);
    for (std::size_t s = 0; s < 2; ++s) step.run(f.batch(s), 0.5);
    Checkpoint saved;
    step.save(saved);
    for (auto& [name, tensor] : saved.tensors) tensor = tensor.clone();  // as from a file

    const auto second = make_student(*f.teacher, config);
    TrainStep restored(f.teacher.get(), *second, f.context, config, 1);
    restored.restore(saved);
    CHECK(restored.steps_taken() == 2);
    for (std::size_t s = 2; s < 5; ++s) {
      const StepResult a = step.run(f.batch(s), 1), b = restored.run(f.batch(s), 1);
      CHECK(a.loss == b.loss);
      CHECK(a.quality_loss == b.quality_loss);
      CHECK(a.cosine_loss == b.cosine_loss);
      CHECK(a.gradient_norm == b.gradient_norm);
    }
    Checkpoint end, restored_end;
    step.save(end);
    restored.save(restored_end);
    CHECK(end.state == restored_end.state);
    REQUIRE(end.tensors.size() == restored_end.tensors.size());
    for (std::size_t i = 0; i < end.tensors.size(); ++i) {
      CHECK(end.tensors[i].first == restored_end.tensors[i].first);
      CHECK_MESSAGE(same_bits(end.tensors[i].second, restored_end.tensors[i].second), end.tensors[i].first);
    }
  }
}

TEST_CASE("train step: a checkpoint that does not fit is refused") {
  Fixture f;
  TrainConfig config = Fixture::config();
  const auto student = make_student(*f.teacher, config);
  TrainStep step(f.teacher.get(), *student, f.context, config, 1);
  Checkpoint saved;
  step.save(saved);
  const Values before = copy_of(*student);

  Checkpoint without = saved;
  std::erase_if(without.tensors, [](const auto& entry) { return entry.first == "model.head.l1.weight"; });
  CHECK_THROWS_WITH_AS(step.restore(without), "The checkpoint lacks the tensor model.head.l1.weight.", Error);
  Checkpoint other = saved;
  for (auto& [name, tensor] : other.tensors)
    if (name == "model.head.l1.weight") tensor = Tensor::zeros({3});
  CHECK_THROWS_WITH_AS(step.restore(other),
                       "The checkpoint has another shape or type of the tensor model.head.l1.weight.", Error);
  Checkpoint stateless = saved;
  stateless.state.erase("loss_scale");
  CHECK_THROWS_WITH_AS(step.restore(stateless), "The checkpoint has no loss scale.", Error);
  Checkpoint momentless = saved;
  std::erase_if(momentless.tensors, [](const auto& entry) { return entry.first.starts_with("optimiser."); });
  CHECK_THROWS_AS(step.restore(momentless), Error);
  for (const auto& [name, tensor] : copy_of(*student))
    CHECK_MESSAGE(same_bits(tensor, before.at(name)), name);
}

TEST_CASE("train step: the result is the average that the recurrence gives, counts are copied") {
  Fixture f;
  TrainConfig config = Fixture::config();
  config.ema = 0.75;
  config.ema_warmup = false;
  const auto student = make_student(*f.teacher, config);
  TrainStep step(f.teacher.get(), *student, f.context, config, 1);
  std::map<std::string, std::vector<double>> average;
  for (std::size_t s = 0; s < 3; ++s) {
    step.run(f.batch(s), 1);
    for (const nn::NamedTensor& spec : step.network().changing()) {
      if (spec.role == nn::TensorRole::kBnCount) continue;
      std::vector<double>& mean = average[spec.name];
      const auto values = spec.tensor->values<float>();
      if (s == 0) mean.assign(values.begin(), values.end());
      for (std::size_t i = 0; i < mean.size(); ++i)
        mean[i] = 0.75 * mean[i] + 0.25 * static_cast<double>(values[i]);
    }
  }
  const auto result = make_student(*f.teacher, config);
  const Values student_before = copy_of(*student), untouched = copy_of(*result);
  step.copy_result(*result);
  std::size_t differs = 0;
  for (const auto& [name, tensor] : copy_of(*result)) {
    if (name.ends_with("num_batches_tracked")) {
      CHECK(same_bits(tensor, student_before.at(name)));
    } else if (average.contains(name)) {
      if (!same_bits(tensor, student_before.at(name))) ++differs;
      for (std::size_t i = 0; i < average[name].size(); ++i) {
        const double error = std::abs(static_cast<double>(tensor.values<float>()[i]) - average[name][i]);
        if (!(error <= 1e-6 * (std::abs(average[name][i]) + 1e-3)))
          FAIL_CHECK(name << " [" << i << "]: " << tensor.values<float>()[i] << ", " << average[name][i]);
      }
    } else {
      CHECK_MESSAGE(same_bits(tensor, untouched.at(name)), name);
    }
  }
  CHECK(differs == average.size());
  for (const auto& [name, tensor] : copy_of(*student))
    CHECK_MESSAGE(same_bits(tensor, student_before.at(name)), name);
}

TEST_CASE("train step: without an average the result is the student") {
  Fixture f;
  const TrainConfig config = Fixture::config();
  const auto student = make_student(*f.teacher, config), result = make_student(*f.teacher, config);
  TrainStep step(f.teacher.get(), *student, f.context, config, 1);
  step.run(f.batch(0), 1);
  step.copy_result(*result);
  const Values trained = copy_of(*student);
  for (const auto& [name, tensor] : copy_of(*result))
    CHECK_MESSAGE(same_bits(tensor, trained.at(name)), name);
  // And it has memory of its own.
  step.run(f.batch(1), 1);
  for (const auto& [name, tensor] : copy_of(*result))
    CHECK_MESSAGE(same_bits(tensor, trained.at(name)), name);
}

TEST_CASE("train step: losses are weighted and rates are multiplied") {
  Fixture f;
  TrainConfig config = Fixture::config();
  config.quality_weight = 0.5;
  config.cosine_weight = 3;
  config.head_lr = 0.2;
  config.backbone_lr = 0.1;
  const auto student = make_student(*f.teacher, config);
  TrainStep step(f.teacher.get(), *student, f.context, config, 1);
  const StepResult result = step.run(f.batch(0), 0.25);
  CHECK(result.loss == doctest::Approx(0.5 * result.quality_loss + 3 * result.cosine_loss).epsilon(1e-12));
  CHECK(result.cosine_loss > 0);
  CHECK(step.head_rate() == doctest::Approx(0.05));
  CHECK(step.backbone_rate() == doctest::Approx(0.025));
  CHECK(step.loss_scale() == 1);
}

TEST_CASE("train step: only the head can be trained, and then no statistics change") {
  Fixture f;
  TrainConfig config = Fixture::config();
  config.limit = 0;
  config.cosine_weight = 0;
  const auto student = make_student(*f.teacher, config);
  const Values before = copy_of(*student);
  TrainStep step(nullptr, *student, f.context, config, 1);
  CHECK(step.backbone_rate() == 0);
  CHECK(step.run(f.batch(0), 1).cosine_loss == 0);
  for (const auto& [name, tensor] : copy_of(*student))
    CHECK_MESSAGE(same_bits(tensor, before.at(name)) == name.starts_with("backbone."), name);
}

TEST_CASE("train step: a gradient that is not finite changes nothing but statistics") {
  Fixture f;
  TrainConfig config = Fixture::config();
  config.ema = 0.9;
  const auto student = make_student(*f.teacher, config);
  TrainStep step(f.teacher.get(), *student, f.context, config, 1);
  const Values before = copy_of(*student);
  TrainBatch bad = f.batch(0);
  bad.labels[1] = std::numeric_limits<float>::quiet_NaN();
  CHECK(step.run(bad, 1).skipped);
  CHECK(step.steps_taken() == 0);
  for (const auto& [name, tensor] : copy_of(*student)) {
    const bool statistic =
        name.find("running_") != std::string::npos || name.ends_with("num_batches_tracked");
    if (!statistic) CHECK_MESSAGE(same_bits(tensor, before.at(name)), name);
  }
  CHECK_FALSE(step.run(f.batch(0), 1).skipped);
  CHECK(step.steps_taken() == 1);
}

TEST_CASE("train step: what cannot work is said in a sentence") {
  Fixture f;
  const TrainConfig config = Fixture::config();
  const auto student = make_student(*f.teacher, config);
  TrainStep step(f.teacher.get(), *student, f.context, config, 1);
  CHECK_THROWS_WITH_AS(step.run(f.batch(0, 1), 1),
                       "A BatchNorm cannot be trained on a single value per channel: the batch must hold at "
                       "least 2 images.",
                       Error);
  CHECK_THROWS_WITH_AS(TrainStep(nullptr, *student, f.context, config, 1),
                       "TrainStep: there is no teacher for the cosine loss.", Error);
  CHECK_THROWS_WITH_AS(TrainStep(f.teacher.get(), *f.teacher, f.context, config, 1),
                       "TrainStep: the student has no head.", Error);
  const auto wide = make_untrained({.architecture = "mobilefacenet", .head = "none", .embedding_size = 64},
                                   f.faces, f.context);
  CHECK_THROWS_WITH_AS(TrainStep(wide.get(), *student, f.context, config, 1),
                       "The teacher's embedding has 64 numbers, the student's 128; the cosine loss needs "
                       "embeddings of one size.",
                       Error);
  TrainConfig too_many = config;
  too_many.limit = 100'000;
  CHECK_THROWS_AS(TrainStep(f.teacher.get(), *student, f.context, too_many, 1), Error);
}

TEST_CASE("train step: a student is its teacher with a new head, which begins as torch.nn.Linear does") {
  Fixture f;
  TrainConfig config = Fixture::config();
  config.seed = 77;
  const auto student = make_student(*f.teacher, config);
  CHECK(student->family() == "ai-kd");
  const Values from = copy_of(*f.teacher), values = copy_of(*student);
  for (const auto& [name, tensor] : from) CHECK_MESSAGE(same_bits(tensor, values.at(name)), name);
  CHECK(values.size() == from.size() + 4);
  CHECK(values.at("head.l1.weight").shape() == Shape{32, 128});
  for (const auto& [name, in] : {std::pair{"head.l1.weight", 128.0},
                                 {"head.l1.bias", 128.0},
                                 {"head.l2.weight", 32.0},
                                 {"head.l2.bias", 32.0}}) {
    Random random(splitmix64(77) ^ nn::fnv1a64(name));
    const double bound = 1 / std::sqrt(in);
    for (const float value : values.at(name).values<float>())
      if (value != static_cast<float>(random.uniform(-bound, bound))) FAIL_CHECK(name << ": " << value);
  }
  config.seed = 78;
  CHECK_FALSE(same_bits(copy_of(*make_student(*f.teacher, config)).at("head.l1.weight"),
                        values.at("head.l1.weight")));
  config.method = TrainMethod::kDiffiqaR;
  const auto linear = make_student(*f.teacher, config);
  CHECK(linear->family() == "diffiqa-r");
  CHECK(copy_of(*linear).at("head.weight").shape() == Shape{1, 128});
}

TEST_CASE("train step: a student keeps a head of the kind and size asked for") {
  Fixture f;
  const TrainConfig config = Fixture::config();
  const auto same = f.make("mlp", 32), wider = f.make("mlp", 48), linear = f.make("linear");
  const Tensor kept = copy_of(*same).at("head.l1.weight");
  CHECK(same_bits(copy_of(*make_student(*same, config)).at("head.l1.weight"), kept));
  const Values fresh = copy_of(*make_student(*f.teacher, config));
  for (const Model* other : {wider.get(), linear.get()})
    CHECK(same_bits(copy_of(*make_student(*other, config)).at("head.l1.weight"), fresh.at("head.l1.weight")));
}

TEST_CASE("train step: a model of 16-bit weights is no student") {
  Fixture f;
  for (const nn::NamedTensor& spec : model_tensors(*f.teacher))
    if (spec.name == "backbone.sep.weight") *spec.tensor = spec.tensor->to(DType::kF16);
  CHECK_THROWS_WITH_AS(
      make_student(*f.teacher, Fixture::config()),
      "The tensor backbone.sep.weight is F16; only a model of 32-bit weights can be trained.", Error);
}
