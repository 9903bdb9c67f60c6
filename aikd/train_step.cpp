#include "aikd/train_step.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "aikd/model_builder.h"
#include "io/table.h"
#include "nn/initialise.h"
#include "nn/multi_tensor.h"
#include "nn/plan_network.h"
#include "tensor/random.h"

namespace aikd {
namespace {

double value_of(const Tensor& loss) {
  return static_cast<double>(loss.to(Device::cpu()).data<float>()[0]);
}

std::vector<nn::ParameterGroup> groups_of(const nn::TrainableNetwork& network, const TrainConfig& c) {
  const auto group = [&](const char* name, const std::vector<nn::StateTensor>& tensors, double rate,
                         double momentum, double weight_decay) {
    nn::ParameterGroup g;
    g.name = name;
    g.tensors = tensors;
    g.learning_rate = rate;
    g.weight_decay = weight_decay;
    g.momentum = c.optimiser == nn::OptimiserKind::kSgd ? momentum : 0;
    g.beta1 = c.adam_beta1;
    g.beta2 = c.adam_beta2;
    g.eps = c.adam_eps;
    return g;
  };
  std::vector<nn::ParameterGroup> groups;
  groups.push_back(group("head", network.trained_head(), c.head_lr, c.head_momentum, c.head_weight_decay));
  if (!network.trained_backbone().empty())
    groups.push_back(group("backbone", network.trained_backbone(), c.backbone_lr, c.backbone_momentum,
                           c.backbone_weight_decay));
  return groups;
}

std::unique_ptr<nn::FrozenPlan> compile_teacher(const Model& teacher, Context& context,
                                                const TrainConfig& config) {
  const nn::InputTable table = teacher.preprocessing().table();
  const nn::PlanNetwork network = nn::record_network(teacher.backbone(), nullptr, table);
  return nn::FrozenPlan::compile(
      network.graph, network.input, network.outputs, table, context,
      {.max_batch = static_cast<int>(config.batch), .precision = plan_precision(config.precision)});
}

// Buffers that only count are copied, not averaged, and lie on the CPU.
bool is_averaged(const nn::NamedTensor& tensor) {
  return tensor.role != nn::TensorRole::kBnCount;
}

std::vector<nn::StateTensor> with_prefix(const NamedTensors& tensors) {
  std::vector<nn::StateTensor> state;
  for (const auto& [name, tensor] : tensors) state.push_back({name, tensor});
  return state;
}

}  // namespace

nn::Precision plan_precision(Precision precision) noexcept {
  switch (precision) {
    case Precision::kBf16:
      return nn::Precision::kBf16;
    case Precision::kFp16:
      return nn::Precision::kFp16;
    case Precision::kFp32:
      break;
  }
  return nn::Precision::kFp32;
}

TrainStep::TrainStep(const Model* teacher, Model& student, Context& context, const TrainConfig& config,
                     std::int64_t pretrain_steps)
    : config_(config),
      context_(&context),
      ops_(nn::make_device_ops(context, plan_precision(config.precision))) {
  require(student.head() != nullptr, ErrorKind::kInternal, "TrainStep: the student has no head.");
  require(teacher != nullptr || config.cosine_weight == 0, ErrorKind::kInternal,
          "TrainStep: there is no teacher for the cosine loss.");
  if (teacher != nullptr && config.cosine_weight != 0) {
    require(teacher->embedding_size() == student.embedding_size(), ErrorKind::kUsage,
            "The teacher's embedding has ", teacher->embedding_size(), " numbers, the student's ",
            student.embedding_size(), "; the cosine loss needs embeddings of one size.");
    teacher_ = compile_teacher(*teacher, context, config);
  }
  network_ = std::make_unique<nn::TrainableNetwork>(
      student.backbone(), student.head(), student.preprocessing().table(), context,
      nn::TrainableOptions{.last_tensors = config.limit,
                           .differentiate_all = config.clip_over == ClipOver::kAll,
                           .max_batch = static_cast<int>(config.batch),
                           .precision = plan_precision(config.precision)});
  optimiser_ = std::make_unique<nn::Optimiser>(context, config.optimiser, groups_of(*network_, config));
  if (config.ema > 0) {
    std::vector<nn::NamedTensor> averaged;
    std::ranges::copy_if(network_->changing(), std::back_inserter(averaged), is_averaged);
    ema_ = std::make_unique<nn::Ema>(context, averaged,
                                     nn::EmaOptions{.decay = config.ema, .warm_up = config.ema_warmup});
  }
  if (config.precision == Precision::kFp16) {
    const std::int64_t interval = config.loss_scale_interval > 0 ? config.loss_scale_interval
                                                                 : std::max<std::int64_t>(1, pretrain_steps);
    scale_ = LossScale(config.loss_scale, config.loss_scale_growth, config.loss_scale_backoff, interval);
  }
}

void TrainStep::forward_backward(const TrainBatch& batch, StepResult& result) {
  network_->gradients().clear_gradients();
  Tensor teacher_embedding;
  if (teacher_ != nullptr) teacher_embedding = teacher_->run(batch.aligned, batch.n)[0];
  const Tensor labels = Tensor::from<float>(batch.labels, {batch.n}).to(context_->device());

  nn::TapeOps tape(*ops_, network_->gradients());
  const nn::TrainableNetwork::Outputs outputs = network_->forward(tape, batch.misaligned, batch.n);
  network_->count_batch();
  const float beta =
      config_.quality_loss == QualityLoss::kSmoothL1 ? static_cast<float>(config_.quality_beta) : 0.0F;
  const Tensor quality = ops_->quality_loss(outputs.score.tensor, labels, beta);
  Tensor cosine;
  // Also with the weight 0: the optimiser wants a gradient of the head.
  tape.seed(outputs.score,
            ops_->quality_loss_gradient(outputs.score.tensor, labels, beta,
                                        static_cast<float>(config_.quality_weight * scale_.value())));
  if (teacher_ != nullptr) {
    cosine = ops_->cosine_loss(teacher_embedding, outputs.embedding.tensor);
    tape.seed(outputs.embedding,
              ops_->cosine_loss_gradient(teacher_embedding, outputs.embedding.tensor,
                                         static_cast<float>(config_.cosine_weight * scale_.value())));
  }
  tape.backward();
  result.quality_loss = value_of(quality);
  result.cosine_loss = cosine.defined() ? value_of(cosine) : 0;
  result.loss = config_.quality_weight * result.quality_loss + config_.cosine_weight * result.cosine_loss;
}

StepResult TrainStep::gradients_of(const TrainBatch& batch) {
  StepResult result;
  forward_backward(batch, result);
  return result;
}

StepResult TrainStep::run(const TrainBatch& batch, double learning_rate_factor) {
  optimiser_->set_learning_rate(0, config_.head_lr * learning_rate_factor);
  if (optimiser_->groups().size() > 1)
    optimiser_->set_learning_rate(1, config_.backbone_lr * learning_rate_factor);
  StepResult result;
  forward_backward(batch, result);
  const nn::StepReport report =
      optimiser_->step(network_->gradients(), {.max_norm = config_.clip,
                                               .loss_scale = scale_.value(),
                                               .norm_over_all = config_.clip_over == ClipOver::kAll});
  result.gradient_norm = report.norm;
  result.skipped = !report.finite;
  if (result.skipped) result.not_finite = find_not_finite(result);
  network_->gradients().clear_gradients();
  scale_.update(report.finite);
  if (ema_ != nullptr && report.finite) ema_->update();
  return result;
}

std::string TrainStep::find_not_finite(const StepResult& result) {
  if (!std::isfinite(result.loss)) return "the loss";
  for (const auto* tensors : {&network_->trained_backbone(), &network_->trained_head()}) {
    for (const nn::StateTensor& entry : *tensors) {
      const Tensor gradient = network_->gradients().gradient(entry.tensor).to(Device::cpu());
      for (const float value : gradient.values<float>())
        if (!std::isfinite(value)) return "the gradient of " + entry.name;
    }
  }
  return "a gradient";
}

double TrainStep::head_rate() const {
  return optimiser_->groups()[0].learning_rate;
}

double TrainStep::backbone_rate() const {
  return optimiser_->groups().size() > 1 ? optimiser_->groups()[1].learning_rate : 0;
}

void TrainStep::copy_result(Model& model) const {
  const std::vector<nn::NamedTensor> targets = model_tensors(model);
  const bool averaged = ema_ != nullptr && ema_->updates() > 0;
  std::vector<nn::StateTensor> averages;
  if (averaged) averages = ema_->state("");
  for (const nn::NamedTensor& entry : network_->changing()) {
    const auto target = std::ranges::find(targets, entry.name, &nn::NamedTensor::name);
    require(target != targets.end(), ErrorKind::kInternal, "The result has no tensor ", entry.name, ".");
    const Tensor* from = averaged && is_averaged(entry) ? nn::find_state(averages, entry.name) : entry.tensor;
    *target->tensor = from->to(Device::cpu()).clone();  // its memory may be shared with other models
  }
}

void TrainStep::save(Checkpoint& checkpoint) const {
  for (const nn::NamedTensor& entry : network_->changing())
    checkpoint.tensors.emplace_back("model." + entry.name, entry.tensor->to(Device::cpu()));
  for (const nn::StateTensor& entry : optimiser_->state())
    checkpoint.tensors.emplace_back(entry.name, entry.tensor);
  if (ema_ != nullptr)
    for (const nn::StateTensor& entry : ema_->state())
      checkpoint.tensors.emplace_back(entry.name, entry.tensor);
  checkpoint.state["loss_scale"] = scale_.state();
}

void TrainStep::restore(const Checkpoint& checkpoint) {
  const std::vector<nn::StateTensor> saved = with_prefix(checkpoint.tensors);
  std::vector<std::pair<const nn::NamedTensor*, const Tensor*>> found;
  for (const nn::NamedTensor& entry : network_->changing()) {
    const Tensor* tensor = nn::find_state(saved, "model." + entry.name);
    require(tensor != nullptr && tensor->shape() == entry.tensor->shape() &&
                tensor->dtype() == entry.tensor->dtype(),
            ErrorKind::kModel, "The checkpoint ",
            tensor == nullptr ? "lacks" : "has another shape or type of", " the tensor model.", entry.name,
            ".");
    found.emplace_back(&entry, tensor);
  }
  require(checkpoint.state.contains("loss_scale"), ErrorKind::kModel, "The checkpoint has no loss scale.");
  scale_.restore(checkpoint.state["loss_scale"]);
  optimiser_->restore_state(saved);
  if (ema_ != nullptr) ema_->restore_state(saved);
  for (const auto& [entry, tensor] : found) nn::copy_tensor(*context_, *tensor, *entry->tensor);
  context_->synchronize();
}

namespace {

void initialise_linear(const nn::NamedTensor& spec, std::int64_t in, std::uint64_t seed) {
  Tensor tensor = Tensor::empty(spec.shape);
  Random random(splitmix64(seed) ^ nn::fnv1a64(spec.name));
  const double bound = 1.0 / std::sqrt(static_cast<double>(in));
  for (float& value : tensor.mutable_values<float>())
    value = static_cast<float>(random.uniform(-bound, bound));
  *spec.tensor = tensor;
}

void initialise_head(nn::Module& head, std::uint64_t seed) {
  std::int64_t in = 0;
  for (const nn::NamedTensor& spec : head.tensors("head.")) {
    if (spec.role == nn::TensorRole::kLinearWeight) in = spec.shape[1];  // its bias follows it
    initialise_linear(spec, in, seed);
  }
}

bool same_tensors(nn::Module& a, nn::Module& b) {
  const auto x = a.tensors(), y = b.tensors();
  return std::ranges::equal(x, y, [](const nn::NamedTensor& l, const nn::NamedTensor& r) {
    return l.name == r.name && l.shape == r.shape;
  });
}

}  // namespace

std::unique_ptr<Model> make_student(const Model& from, const TrainConfig& config) {
  for (const nn::NamedTensor& spec : model_tensors(from)) {
    const DType dtype = spec.tensor->dtype();
    require(!spec.tensor->defined() || !is_floating(dtype) || dtype == DType::kF32, ErrorKind::kModel,
            "The tensor ", spec.name, " is ", name_of(dtype),
            "; only a model of 32-bit weights can be trained.");
  }
  const bool aikd = config.method == TrainMethod::kAikd;
  ModelDescription d = describe_backbone(from);
  d.family = aikd ? "ai-kd" : "diffiqa-r";
  d.head = aikd ? "mlp" : "linear";
  d.hidden_size = aikd ? config.head_width : 0;
  d.provenance = {{"aikd.backbone_prefix", aikd ? "feature_extractor." : "base."},
                  {"aikd.head_prefix", aikd ? "quality_head." : "linear."},
                  {"aikd.source_sha256", from.sha256()}};
  std::unique_ptr<Model> student = ModelBuilder::make(d);
  share_tensors(from.backbone(), student->backbone());
  if (from.head() != nullptr && same_tensors(*from.head(), *student->head())) {
    share_tensors(*from.head(), *student->head());
  } else {
    initialise_head(*student->head(), static_cast<std::uint64_t>(config.seed));
  }
  return student;
}

}  // namespace aikd
