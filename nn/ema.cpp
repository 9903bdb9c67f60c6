#include "nn/ema.h"

#include <algorithm>
#include <set>
#include <utility>

namespace aikd::nn {

Ema::Ema(Context& context, std::span<const NamedTensor> tensors, const EmaOptions& options)
    : Ema(context, tensors, options, make_multi_tensor(context)) {}

Ema::Ema(Context& context, std::span<const NamedTensor> tensors, const EmaOptions& options,
         std::unique_ptr<MultiTensor> kernels)
    : context_(&context), options_(options), kernels_(std::move(kernels)) {
  require(options.decay >= 0 && options.decay < 1, ErrorKind::kUsage,
          "Ema: the decay must be at least 0 and below 1, got ", options.decay, ".");
  std::set<std::string> names;
  for (const NamedTensor& t : tensors) {
    if (t.tensor == nullptr || !t.tensor->defined()) continue;
    require(names.insert(t.name).second, ErrorKind::kInternal, "Ema: the tensor name '", t.name,
            "' occurs twice.");
    const Device device = t.tensor->device();
    require(device == context.device() || (device == Device::cpu() && t.tensor->dtype() != DType::kF32),
            ErrorKind::kInternal, "Ema: the tensor '", t.name, "' is on ", device.to_string(), ", not on ",
            context.device().to_string(), ".");
    entries_.push_back(
        {t.name, *t.tensor, Tensor::zeros(t.tensor->shape(), t.tensor->dtype(), t.tensor->device())});
  }
  for (Entry& entry : entries_) {
    if (entry.value.dtype() != DType::kF32) continue;
    TensorSlice slice;
    // Only read.
    slice.parameter = const_cast<float*>(static_cast<const float*>(entry.value.raw()));
    slice.average = static_cast<float*>(entry.average.mutable_raw());
    slice.count = entry.value.numel();
    slices_.push_back(slice);
  }
}

double Ema::decay_of(std::int64_t update) const noexcept {
  if (update == 0) return 0;
  if (!options_.warm_up) return options_.decay;
  return std::min(options_.decay, (1.0 + static_cast<double>(update)) / (10.0 + static_cast<double>(update)));
}

void Ema::update() {
  kernels_->average(slices_, decay_of(updates_), updates_ == 0);
  for (Entry& entry : entries_)
    if (entry.value.dtype() != DType::kF32) copy_tensor(*context_, entry.value, entry.average);
  ++updates_;
}

void Ema::copy_to(std::span<const NamedTensor> tensors) const {
  require(updates_ > 0, ErrorKind::kInternal, "Ema: there is nothing to copy before the first update.");
  for (const NamedTensor& t : tensors) {
    if (t.tensor == nullptr || !t.tensor->defined()) continue;
    const auto found =
        std::ranges::find_if(entries_, [&](const Entry& entry) { return entry.name == t.name; });
    require(found != entries_.end(), ErrorKind::kInternal, "Ema: the tensor '", t.name, "' has no average.");
    require(found->average.shape() == t.tensor->shape() && found->average.dtype() == t.tensor->dtype(),
            ErrorKind::kInternal, "Ema: the average of '", t.name, "' has the shape ", found->average.shape(),
            ", the tensor ", t.tensor->shape(), ".");
    copy_tensor(*context_, found->average, *t.tensor);
  }
}

std::vector<StateTensor> Ema::state(const std::string& prefix) const {
  std::vector<StateTensor> all{{prefix + "updates", count_tensor(updates_)}};
  if (context_->on_cuda()) context_->synchronize();
  for (const Entry& entry : entries_) all.push_back({prefix + entry.name, entry.average.to(Device::cpu())});
  return all;
}

void Ema::restore_state(std::span<const StateTensor> saved, const std::string& prefix) {
  Tensor updates = count_tensor(0);
  restore(saved, prefix + "updates", "Ema", updates);
  std::vector<StateTensor> copies;
  for (const Entry& entry : entries_) {  // all are checked before one is changed
    copies.push_back({entry.name, Tensor::empty(entry.average.shape(), entry.average.dtype())});
    restore(saved, prefix + entry.name, "Ema", copies.back().tensor);
  }
  const std::int64_t count = *updates.data<std::int64_t>();
  require(count >= 0, ErrorKind::kModel, "Ema: the saved number of updates is ", count, ".");
  for (std::size_t i = 0; i < entries_.size(); ++i)
    copy_tensor(*context_, copies[i].tensor, entries_[i].average);
  updates_ = count;
}

}  // namespace aikd::nn
