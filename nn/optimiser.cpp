#include "nn/optimiser.h"

#include <limits>
#include <set>
#include <utility>

namespace aikd::nn {
namespace {

constexpr auto kUsage = ErrorKind::kUsage;
constexpr auto kInternal = ErrorKind::kInternal;

// Comparisons are written so that NaN fails.
void check_rates(const ParameterGroup& group) {
  const auto in_unit = [&](const char* what, double value) {
    require(value >= 0 && value < 1, kUsage, "Optimiser: the ", what, " of group '", group.name,
            "' must be at least 0 and below 1, got ", value, ".");
  };
  const auto not_negative = [&](const char* what, double value) {
    require(value >= 0 && value <= static_cast<double>(std::numeric_limits<float>::max()), kUsage,
            "Optimiser: the ", what, " of group '", group.name, "' must be a number of at least 0, got ",
            value, ".");
  };
  not_negative("learning rate", group.learning_rate);
  not_negative("weight decay", group.weight_decay);
  in_unit("momentum", group.momentum);
  in_unit("beta1", group.beta1);
  in_unit("beta2", group.beta2);
  require(group.eps > 0, kUsage, "Optimiser: the eps of group '", group.name, "' must be positive, got ",
          group.eps, ".");
}

float* data_of(Tensor& tensor) {
  return static_cast<float*>(tensor.mutable_raw());
}
const float* data_of(const Tensor& tensor) {
  return static_cast<const float*>(tensor.raw());
}

// All gradients that there are, for their norm.
std::vector<TensorSlice> gradients_of(const TrainedParameters& trained) {
  std::vector<TensorSlice> all;
  for (const Tensor& parameter : trained.all()) {
    const Tensor gradient = trained.gradient(parameter);
    if (!gradient.defined()) continue;
    TensorSlice slice;
    slice.gradient = data_of(gradient);  // kept alive by `trained`
    slice.count = gradient.numel();
    all.push_back(slice);
  }
  return all;
}

}  // namespace

Optimiser::Optimiser(Context& context, OptimiserKind kind, std::vector<ParameterGroup> groups)
    : Optimiser(context, kind, std::move(groups), make_multi_tensor(context)) {}

Optimiser::Optimiser(Context& context, OptimiserKind kind, std::vector<ParameterGroup> groups,
                     std::unique_ptr<MultiTensor> kernels)
    : context_(&context), kind_(kind), groups_(std::move(groups)), kernels_(std::move(kernels)) {
  require(!groups_.empty() && groups_.size() <= kernels::kOptimiserGroups, kInternal,
          "Optimiser: there must be 1 to ", kernels::kOptimiserGroups, " groups, got ", groups_.size(), ".");
  std::set<std::string> names;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    check_rates(groups_[g]);
    for (StateTensor& entry : groups_[g].tensors) {
      const Tensor& tensor = entry.tensor;
      require(!entry.name.empty() && names.insert(entry.name).second, kInternal,
              "Optimiser: the parameter name '", entry.name, "' is empty or occurs twice.");
      require(tensor.defined() && tensor.dtype() == DType::kF32 && tensor.device() == context.device(),
              kInternal, "Optimiser: the parameter '", entry.name, "' must be F32 on ",
              context.device().to_string(), ", got ",
              tensor.defined() ? concat(name_of(tensor.dtype()), " on ", tensor.device().to_string())
                               : std::string("an undefined tensor"),
              ".");
      Parameter parameter{entry.name, tensor, {}, {}, g};
      if (kind_ == OptimiserKind::kAdam) {
        parameter.first = Tensor::zeros(tensor.shape(), DType::kF32, context.device());
        parameter.second = Tensor::zeros(tensor.shape(), DType::kF32, context.device());
      } else if (groups_[g].momentum != 0) {
        parameter.first = Tensor::zeros(tensor.shape(), DType::kF32, context.device());
      }
      TensorSlice slice;
      slice.parameter = data_of(parameter.tensor);
      slice.first = data_of(parameter.first);
      slice.second = data_of(parameter.second);
      slice.count = tensor.numel();
      slice.group = static_cast<std::int32_t>(g);
      slices_.push_back(slice);
      parameters_.push_back(std::move(parameter));
    }
  }
}

StepReport Optimiser::step(const TrainedParameters& trained, const StepOptions& options) {
  require(options.max_norm >= 0, kUsage, "Optimiser: the largest norm must be at least 0, got ",
          options.max_norm, ".");
  require(options.loss_scale > 0, kInternal, "Optimiser: the loss scale must be positive, got ",
          options.loss_scale, ".");
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor gradient = trained.gradient(parameters_[i].tensor);
    require(gradient.defined(), kInternal, "Optimiser: the parameter '", parameters_[i].name,
            "' has no gradient: the loss does not depend on it, or backward() has not run.");
    require(gradient.device() == context_->device(), kInternal, "Optimiser: the gradient of '",
            parameters_[i].name, "' is on ", gradient.device().to_string(), ", not on ",
            context_->device().to_string(), ".");
    slices_[i].gradient = data_of(gradient);  // kept alive by `trained`
  }
  const std::vector<TensorSlice> all =
      options.norm_over_all ? gradients_of(trained) : std::vector<TensorSlice>();
  const std::span<const TensorSlice> measured = options.norm_over_all ? all : slices_;
  StepRequest request{.inverse_scale = static_cast<float>(1.0 / options.loss_scale),
                      .max_norm = static_cast<float>(options.max_norm),
                      .steps = steps_};
  kernels::SgdOptions sgd;
  kernels::AdamOptions adam;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const ParameterGroup& group = groups_[g];
    sgd.groups[g] = {
        .learning_rate = group.learning_rate, .momentum = group.momentum, .weight_decay = group.weight_decay};
    adam.groups[g] = {.learning_rate = group.learning_rate,
                      .beta1 = group.beta1,
                      .beta2 = group.beta2,
                      .eps = group.eps,
                      .weight_decay = group.weight_decay};
  }
  if (kind_ == OptimiserKind::kSgd)
    request.sgd = &sgd;
  else
    request.adam = &adam;
  const StepOutcome outcome = kernels_->step(slices_, measured, request);
  if (outcome.finite) ++steps_;
  return {.norm = static_cast<double>(outcome.norm), .finite = outcome.finite};
}

void Optimiser::set_learning_rate(std::size_t group, double rate) {
  require(group < groups_.size(), kInternal, "Optimiser: there is no group ", group, " of ", groups_.size(),
          ".");
  ParameterGroup changed = groups_[group];
  changed.learning_rate = rate;
  check_rates(changed);
  groups_[group].learning_rate = rate;
}

std::vector<StateTensor> Optimiser::moments(const std::string& prefix) const {
  std::vector<StateTensor> all;
  for (const Parameter& p : parameters_) {
    const bool adam = kind_ == OptimiserKind::kAdam;
    if (p.first.defined()) all.push_back({prefix + (adam ? "first." : "momentum.") + p.name, p.first});
    if (p.second.defined()) all.push_back({prefix + "second." + p.name, p.second});
  }
  return all;
}

std::vector<StateTensor> Optimiser::state(const std::string& prefix) const {
  std::vector<StateTensor> all = moments(prefix);
  if (context_->on_cuda()) context_->synchronize();
  for (StateTensor& entry : all) entry.tensor = entry.tensor.to(Device::cpu());
  all.insert(all.begin(), {prefix + "steps", count_tensor(steps_)});
  return all;
}

void Optimiser::restore_state(std::span<const StateTensor> saved, const std::string& prefix) {
  Tensor steps = count_tensor(0);
  std::vector<StateTensor> ours = moments(prefix), copies;
  restore(saved, prefix + "steps", "Optimiser", steps);
  for (const StateTensor& entry : ours) {  // all are checked before one is changed
    copies.push_back({entry.name, Tensor::empty(entry.tensor.shape())});
    restore(saved, entry.name, "Optimiser", copies.back().tensor);
  }
  const std::int64_t count = *steps.data<std::int64_t>();
  require(count >= 0 && count <= std::numeric_limits<std::int32_t>::max(), ErrorKind::kModel,
          "Optimiser: the saved number of steps is ", count, ".");
  for (std::size_t i = 0; i < ours.size(); ++i) copy_tensor(*context_, copies[i].tensor, ours[i].tensor);
  steps_ = static_cast<std::int32_t>(count);
}

}  // namespace aikd::nn
