#include "nn/tape.h"

#include <algorithm>
#include <utility>

#include "nn/op_shapes.h"

namespace aikd::nn {
namespace {

constexpr int kLastFirstNode = 1 << 30;  // node numbers start again beyond it

}  // namespace

void TrainedParameters::add(const Tensor& parameter) {
  require(parameter.defined() && parameter.numel() > 0, ErrorKind::kInternal,
          "A parameter to be trained has no memory.");
  if (gradients_.emplace(parameter.raw(), Tensor()).second) parameters_.push_back(parameter);
}

bool TrainedParameters::contains(const Tensor& parameter) const {
  return parameter.defined() && gradients_.contains(parameter.raw());
}

Tensor TrainedParameters::gradient(const Tensor& parameter) const {
  const auto found = gradients_.find(parameter.raw());
  require(found != gradients_.end(), ErrorKind::kInternal,
          "The gradient of a tensor that is not trained was asked for.");
  return found->second;
}

void TrainedParameters::clear_gradients() {
  for (auto& [memory, gradient] : gradients_) gradient = Tensor();
}

void TrainedParameters::accumulate(DeviceOps& ops, const Tensor& parameter, Tensor gradient) {
  Tensor& sum = gradients_.at(parameter.raw());
  if (sum.defined()) {
    ops.accumulate(sum, gradient);
  } else {
    sum = std::move(gradient);
  }
}

TapeOps::TapeOps(DeviceOps& ops, TrainedParameters& trained, const TapeOptions& options)
    : ops_(&ops), trained_(&trained), options_(options) {}

Value TapeOps::constant(const Tensor& x) const {
  return {x, -1};
}

template <class Pull>
Value TapeOps::record(Tensor y, bool needed, Pull&& pull) {
  if (!needed) return {std::move(y), -1};
  nodes_.push_back({std::forward<Pull>(pull), Tensor()});
  return {std::move(y), first_node_ + static_cast<int>(nodes_.size()) - 1};
}

void TapeOps::give(int node, Tensor gradient) {
  Tensor& sum = nodes_[static_cast<std::size_t>(node - first_node_)].gradient;
  if (sum.defined()) {
    sum = ops_->add(sum, gradient);  // not in place: the first gradient may be shared with another value
  } else {
    sum = std::move(gradient);
  }
}

void TapeOps::check_device(const char* op, std::initializer_list<const Tensor*> tensors) const {
  for (const Tensor* tensor : tensors)
    require(tensor == nullptr || !tensor->defined() || tensor->device() == ops_->device(),
            ErrorKind::kInternal, op, ": the tape computes on ", ops_->device().to_string(),
            ", but was given a tensor on ", tensor == nullptr ? "" : tensor->device().to_string(), ".");
}

void TapeOps::seed(const Value& x, const Tensor& gradient) {
  require(x.tensor.shape() == gradient.shape() && x.tensor.dtype() == gradient.dtype(), ErrorKind::kInternal,
          "TapeOps::seed: a gradient of ", name_of(gradient.dtype()), " ", gradient.shape(),
          " was given for a value of ", name_of(x.tensor.dtype()), " ", x.tensor.shape(), ".");
  if (x.node < 0) return;
  require(x.node >= first_node_ && x.node - first_node_ < static_cast<int>(nodes_.size()),
          ErrorKind::kInternal, "TapeOps::seed: the value was recorded before the last backward().");
  give(x.node, gradient);
}

void TapeOps::backward() {
  const bool any = std::ranges::any_of(nodes_, [](const Node& node) { return node.gradient.defined(); });
  require(any, ErrorKind::kInternal,
          "TapeOps::backward: no gradient was given (seed) to a value that depends on something trained.");
  const int recorded = static_cast<int>(nodes_.size());
  while (!nodes_.empty()) {
    const Node node = std::move(nodes_.back());
    nodes_.pop_back();  // before its inputs get theirs: a node's memory goes as soon as it is done
    if (node.gradient.defined()) node.pull(node.gradient);  // else nothing with a gradient depends on it
  }
  first_node_ = first_node_ > kLastFirstNode ? 0 : first_node_ + recorded;
}

// y = conv(x, w) + b:  dx = conv^T(dy, w),  dw = sum over pixels of dy x,  db = sum over pixels of dy
Value TapeOps::conv2d(const Value& x, const Tensor& weight, const Tensor& bias,
                      const Conv2dOptions& options) {
  conv2d_shape(x.tensor.shape(), weight, bias, options);
  check_device("conv2d", {&x.tensor, &weight, &bias});
  const bool dx = needs_gradient(x), dw = trained_->contains(weight), db = trained_->contains(bias);
  const Tensor saved = dw ? x.tensor : Tensor();
  return record(ops_->conv2d(x.tensor, weight, bias, options), dx || dw || db,
                [=, this, node = x.node, shape = x.tensor.shape()](const Tensor& dy) {
                  if (dw)
                    trained_->accumulate(*ops_, weight,
                                         ops_->conv2d_filter_gradient(dy, saved, weight.shape(), options));
                  if (db) trained_->accumulate(*ops_, bias, ops_->column_sums(dy));
                  if (dx) give(node, ops_->conv2d_data_gradient(dy, weight, shape, options));
                });
}

Value TapeOps::depthwise_conv2d(const Value& x, const Tensor& weight, const Tensor& bias,
                                const Conv2dOptions& options) {
  depthwise_conv2d_shape(x.tensor.shape(), weight, bias, options);
  check_device("depthwise_conv2d", {&x.tensor, &weight, &bias});
  const bool dx = needs_gradient(x), dw = trained_->contains(weight), db = trained_->contains(bias);
  const Tensor saved = dw ? x.tensor : Tensor();
  return record(ops_->depthwise_conv2d(x.tensor, weight, bias, options), dx || dw || db,
                [=, this, node = x.node, shape = x.tensor.shape()](const Tensor& dy) {
                  if (dw)
                    trained_->accumulate(*ops_, weight,
                                         ops_->depthwise_filter_gradient(dy, saved, weight.shape(), options));
                  if (db) trained_->accumulate(*ops_, bias, ops_->column_sums(dy));
                  if (dx) give(node, ops_->depthwise_data_gradient(dy, weight, shape, options));
                });
}

// With h = (x - mean) / sqrt(var + eps):  dw = sum dy h,  db = sum dy,  and
//   dx = w / sqrt(var + eps) (dy - mean(dy) - h mean(dy h))    statistics of the batch (Ioffe and Szegedy,
//   arXiv 1502.03167) dx = w / sqrt(var + eps) dy                                running statistics
Value TapeOps::batch_norm(const Value& x, const BatchNormTensors& bn) {
  const Shape& shape = x.tensor.shape();
  check_batch_norm(shape, bn);
  check_device("batch_norm", {&x.tensor, bn.weight, bn.bias, bn.running_mean, bn.running_var});
  const auto tensor = [](const Tensor* t) { return t == nullptr ? Tensor() : *t; };
  const Tensor weight = tensor(bn.weight), bias = tensor(bn.bias);
  const bool dx = needs_gradient(x), dw = trained_->contains(weight), db = trained_->contains(bias);
  const bool needed = dx || dw || db, batch = needed && options_.batch_statistics;
  BatchStatistics statistics{*bn.running_mean, *bn.running_var};
  if (batch) {
    const std::int64_t rows = shape.numel() / shape[-1];
    require(rows >= 2, ErrorKind::kUsage,
            "A BatchNorm cannot be trained on a single value per channel: the batch must hold at least 2 "
            "images.");
    statistics = ops_->batch_statistics(x.tensor);
    ops_->update_running(statistics, rows, options_.momentum, *bn.running_mean, *bn.running_var);
  }
  const float eps = bn.eps;
  return record(ops_->batch_norm(x.tensor, statistics, weight, bias, eps), needed,
                [=, this, node = x.node, saved = x.tensor](const Tensor& dy) {
                  BatchNormGradients g = ops_->batch_norm_gradient(dy, saved, statistics, weight, eps, batch);
                  if (dw) trained_->accumulate(*ops_, weight, std::move(g.dweight));
                  if (db) trained_->accumulate(*ops_, bias, std::move(g.dbias));
                  if (dx) give(node, std::move(g.dx));
                });
}

// y = x > 0 ? x : s x:  dx = x > 0 ? dy : s dy,  ds = sum over x <= 0 of dy x
Value TapeOps::prelu(const Value& x, const Tensor& slope) {
  check_prelu(x.tensor.shape(), slope);
  check_device("prelu", {&x.tensor, &slope});
  const bool dx = needs_gradient(x), ds = trained_->contains(slope);
  return record(ops_->prelu(x.tensor, slope), dx || ds,
                [=, this, node = x.node, saved = x.tensor](const Tensor& dy) {
                  PreluGradients g = ops_->prelu_gradient(dy, saved, slope);
                  if (ds) trained_->accumulate(*ops_, slope, std::move(g.dslope));
                  if (dx) give(node, std::move(g.dx));
                });
}

Value TapeOps::clamp(const Value& x, float lo, float hi) {
  check_clamp(lo, hi);
  return record(ops_->clamp(x.tensor, lo, hi), needs_gradient(x),
                [=, this, node = x.node, saved = x.tensor](const Tensor& dy) {
                  give(node, ops_->clamp_gradient(dy, saved, lo, hi));
                });
}

Value TapeOps::add(const Value& a, const Value& b) {
  check_add(a.tensor.shape(), b.tensor.shape());
  return record(ops_->add(a.tensor, b.tensor), needs_gradient(a) || needs_gradient(b),
                [this, left = a.node, right = b.node](const Tensor& dy) {
                  if (left >= 0) give(left, dy);
                  if (right >= 0) give(right, dy);
                });
}

// y = x w^T + b:  dx = dy w,  dw = dy^T x,  db = sum over rows of dy
Value TapeOps::linear(const Value& x, const Tensor& weight, const Tensor& bias) {
  linear_shape(x.tensor.shape(), weight, bias);
  check_device("linear", {&x.tensor, &weight, &bias});
  const bool dx = needs_gradient(x), dw = trained_->contains(weight), db = trained_->contains(bias);
  const Tensor saved = dw ? x.tensor : Tensor();
  return record(ops_->linear(x.tensor, weight, bias), dx || dw || db,
                [=, this, node = x.node](const Tensor& dy) {
                  if (dw) trained_->accumulate(*ops_, weight, ops_->linear_weight_gradient(dy, saved));
                  if (db) trained_->accumulate(*ops_, bias, ops_->column_sums(dy));
                  if (dx) give(node, ops_->linear_data_gradient(dy, weight));
                });
}

Value TapeOps::gelu(const Value& x) {
  return record(ops_->gelu(x.tensor), needs_gradient(x),
                [this, node = x.node, saved = x.tensor](const Tensor& dy) {
                  give(node, ops_->gelu_gradient(dy, saved));
                });
}

// An image in 16-bit storage becomes a vector in fp32, its gradient an image in 16 bits.
Value TapeOps::flatten(const Value& x) {
  const DType storage = x.tensor.dtype();
  const Tensor features = x.tensor.reshape(flatten_shape(x.tensor.shape()));
  return record(storage == DType::kF32 ? features : ops_->cast(features, DType::kF32), needs_gradient(x),
                [=, this, node = x.node, shape = x.tensor.shape()](const Tensor& dy) {
                  give(node, (storage == DType::kF32 ? dy : ops_->cast(dy, storage)).reshape(shape));
                });
}

}  // namespace aikd::nn
