#include "nn/optimiser.h"

#include <cstring>
#include <limits>
#include <set>
#include <utility>

namespace aikd::nn {
namespace {

namespace cpu = kernels::cpu;
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

// Slices that the norm is taken over, cut into chunks.
struct GradientList {
  std::vector<cpu::TensorSlice> slices;
  std::vector<kernels::TensorChunk> chunks;
  cpu::TensorList list() const {
    return {slices.data(), chunks.data(), static_cast<std::int64_t>(chunks.size())};
  }
};

GradientList gradients_of(const TrainedParameters& trained) {
  GradientList all;
  for (const Tensor& parameter : trained.all()) {
    const Tensor gradient = trained.gradient(parameter);
    if (!gradient.defined()) continue;
    cpu::TensorSlice slice;
    slice.gradient = gradient.data<float>();  // kept alive by `trained`
    slice.count = gradient.numel();
    all.slices.push_back(slice);
  }
  const auto count = static_cast<std::int64_t>(all.slices.size());
  all.chunks.resize(static_cast<std::size_t>(kernels::tensor_chunk_count(all.slices.data(), count)));
  kernels::make_tensor_chunks(all.slices.data(), count, all.chunks.data());
  return all;
}

}  // namespace

Optimiser::Optimiser(Context& context, OptimiserKind kind, std::vector<ParameterGroup> groups)
    : context_(&context), kind_(kind), groups_(std::move(groups)) {
  require(!groups_.empty() && groups_.size() <= kernels::kOptimiserGroups, kInternal,
          "Optimiser: there must be 1 to ", kernels::kOptimiserGroups, " groups, got ", groups_.size(), ".");
  std::set<std::string> names;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    check_rates(groups_[g]);
    for (StateTensor& entry : groups_[g].tensors) {
      const Tensor& tensor = entry.tensor;
      require(!entry.name.empty() && names.insert(entry.name).second, kInternal,
              "Optimiser: the parameter name '", entry.name, "' is empty or occurs twice.");
      require(tensor.defined() && tensor.dtype() == DType::kF32 && tensor.device() == Device::cpu(),
              kInternal, "Optimiser: the parameter '", entry.name, "' must be F32 on the CPU, got ",
              tensor.defined() ? concat(name_of(tensor.dtype()), " on ", tensor.device().to_string())
                               : std::string("an undefined tensor"),
              ".");
      Parameter parameter{entry.name, tensor, {}, {}, g};
      if (kind_ == OptimiserKind::kAdam) {
        parameter.first = Tensor::zeros(tensor.shape());
        parameter.second = Tensor::zeros(tensor.shape());
      } else if (groups_[g].momentum != 0) {
        parameter.first = Tensor::zeros(tensor.shape());
      }
      cpu::TensorSlice slice;
      slice.parameter = static_cast<float*>(parameter.tensor.mutable_raw());
      slice.first = static_cast<float*>(parameter.first.mutable_raw());
      slice.second = static_cast<float*>(parameter.second.mutable_raw());
      slice.count = tensor.numel();
      slice.group = static_cast<std::int32_t>(g);
      slices_.push_back(slice);
      parameters_.push_back(std::move(parameter));
    }
  }
  const auto count = static_cast<std::int64_t>(slices_.size());
  chunks_.resize(static_cast<std::size_t>(kernels::tensor_chunk_count(slices_.data(), count)));
  kernels::make_tensor_chunks(slices_.data(), count, chunks_.data());
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
    slices_[i].gradient = gradient.data<float>();  // kept alive by `trained`
  }
  const cpu::TensorList list{slices_.data(), chunks_.data(), static_cast<std::int64_t>(chunks_.size())};
  const GradientList all = options.norm_over_all ? gradients_of(trained) : GradientList();
  const cpu::TensorList measured = options.norm_over_all ? all.list() : list;
  const kernels::Context ctx =
      context_->kernel_context(cpu::gradient_norm_workspace_bytes(measured.chunk_count));
  const auto inverse_scale = static_cast<float>(1.0 / options.loss_scale);
  float norm = 0;
  std::int32_t non_finite = 0;
  cpu::global_gradient_norm(ctx, measured, inverse_scale, &norm, &non_finite);
  const cpu::StepControl control{.inverse_scale = inverse_scale,
                                 .norm = options.max_norm > 0 ? &norm : nullptr,
                                 .max_norm = static_cast<float>(options.max_norm),
                                 .non_finite = &non_finite,
                                 .steps = &steps_};
  if (kind_ == OptimiserKind::kSgd) {
    kernels::SgdOptions sgd;
    for (std::size_t g = 0; g < groups_.size(); ++g)
      sgd.groups[g] = {.learning_rate = groups_[g].learning_rate,
                       .momentum = groups_[g].momentum,
                       .weight_decay = groups_[g].weight_decay};
    cpu::sgd_momentum(ctx, list, sgd, control);
  } else {
    kernels::AdamOptions adam;
    for (std::size_t g = 0; g < groups_.size(); ++g)
      adam.groups[g] = {.learning_rate = groups_[g].learning_rate,
                        .beta1 = groups_[g].beta1,
                        .beta2 = groups_[g].beta2,
                        .eps = groups_[g].eps,
                        .weight_decay = groups_[g].weight_decay};
    cpu::adam(ctx, list, adam, control);
  }
  return {.norm = static_cast<double>(norm), .finite = non_finite == 0};
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
  for (StateTensor& entry : ours) restore(copies, entry.name, "Optimiser", entry.tensor);
  steps_ = static_cast<std::int32_t>(count);
}

}  // namespace aikd::nn
