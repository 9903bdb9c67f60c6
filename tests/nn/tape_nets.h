// The two small networks of tests/golden/tape/make_tape.py, written on any Ops, with their tensors and
// PyTorch's results for them; and a DeviceOps that counts what it is asked for.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "io/safetensors.h"
#include "nn/device_ops.h"
#include "nn/tape.h"
#include "tests/nn/plan_test.h"

namespace aikd::test {

using nn::Value;

struct Results {
  Value embedding, score;
};

class TapeNet {
 public:
  explicit TapeNet(const std::string& name)
      : file(io::read_safetensors(golden_dir() / "tape" / ("tape_" + name + ".safetensors"))),
        mobile_(name == "mobile") {
    for (const io::SafetensorsEntry& entry : file.tensors) {
      if (entry.name.starts_with("weight.")) tensors[entry.name.substr(7)] = entry.tensor.clone();
    }
  }

  const Tensor& golden(const std::string& name) const {
    const Tensor* found = file.find(name);
    REQUIRE_MESSAGE(found != nullptr, name);
    return *found;
  }
  // Names of what PyTorch trained in this case.
  std::set<std::string> trained_in(const std::string& which) const {
    std::set<std::string> names;
    for (const auto& [name, tensor] : tensors) {
      if (file.find(which + ".grad." + name) != nullptr) names.insert(name);
    }
    return names;
  }

  Results forward(nn::Ops& ops, const Value& x) { return mobile_ ? mobile(ops, x) : iresnet(ops, x); }

  io::SafetensorsFile file;
  std::map<std::string, Tensor> tensors;

 private:
  Value conv(nn::Ops& ops, const std::string& name, const Value& x, int stride, int pad) {
    return ops.conv2d(x, tensors.at(name + ".weight"), bias_of(name), {.stride = stride, .pad = pad});
  }
  Value depthwise(nn::Ops& ops, const std::string& name, const Value& x, int stride, int pad) {
    return ops.depthwise_conv2d(x, tensors.at(name + ".weight"), {}, {.stride = stride, .pad = pad});
  }
  Value bn(nn::Ops& ops, const std::string& name, const Value& x) {
    return ops.batch_norm(x, {.weight = &tensors.at(name + ".weight"),
                              .bias = &tensors.at(name + ".bias"),
                              .running_mean = &tensors.at(name + ".running_mean"),
                              .running_var = &tensors.at(name + ".running_var")});
  }
  Value prelu(nn::Ops& ops, const std::string& name, const Value& x) {
    return ops.prelu(x, tensors.at(name + ".weight"));
  }
  Value linear(nn::Ops& ops, const std::string& name, const Value& x) {
    return ops.linear(x, tensors.at(name + ".weight"), tensors.at(name + ".bias"));
  }
  Tensor bias_of(const std::string& name) const {
    const auto found = tensors.find(name + ".bias");
    return found == tensors.end() ? Tensor() : found->second;
  }

  Value block(nn::Ops& ops, const std::string& name, const Value& x, int stride) {
    Value y = conv(ops, name + "conv1", bn(ops, name + "bn1", x), 1, 1);
    y = prelu(ops, name + "prelu", bn(ops, name + "bn2", y));
    y = bn(ops, name + "bn3", conv(ops, name + "conv2", y, stride, 1));
    if (stride == 1) return ops.add(y, x);
    return ops.add(y, bn(ops, name + "downsample.1", conv(ops, name + "downsample.0", x, stride, 0)));
  }

  Results iresnet(nn::Ops& ops, const Value& x) {
    Value y = prelu(ops, "prelu", bn(ops, "bn1", conv(ops, "conv1", x, 1, 1)));
    y = block(ops, "block2.", block(ops, "block1.", y, 2), 1);
    const Value e = bn(ops, "features", linear(ops, "fc", ops.flatten(bn(ops, "bn2", y))));
    return {e, linear(ops, "l2", ops.gelu(linear(ops, "l1", e)))};
  }

  Results mobile(nn::Ops& ops, const Value& x) {
    Value y = prelu(ops, "prelu", bn(ops, "stem_bn", conv(ops, "stem", x, 2, 1)));
    y = ops.clamp(bn(ops, "expand_bn", conv(ops, "expand", y, 1, 0)), 0.0F, 6.0F);
    y = ops.clamp(bn(ops, "dw_bn", depthwise(ops, "dw", y, 2, 1)), 0.0F, 6.0F);
    y = bn(ops, "project_bn", conv(ops, "project", y, 1, 0));
    y = ops.add(y, prelu(ops, "slopes", bn(ops, "inner_bn", depthwise(ops, "inner", y, 1, 1))));
    y = ops.add(y, y);
    const Value e = ops.flatten(conv(ops, "features", depthwise(ops, "gdc", y, 1, 0), 1, 0));
    return {e, linear(ops, "head", e)};
  }

  bool mobile_;
};

// Passes everything on and counts it by name.
class CountingOps final : public nn::DeviceOps {
 public:
  explicit CountingOps(Context& context) : ops_(nn::make_cpu_ops(context)) {}
  std::map<std::string, int> calls;

  Device device() const override { return ops_->device(); }
  DType storage() const override { return ops_->storage(); }
  Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& b, const nn::Conv2dOptions& o) override {
    return count("conv2d"), ops_->conv2d(x, w, b, o);
  }
  Tensor conv2d_data_gradient(const Tensor& dy, const Tensor& w, const Shape& x,
                              const nn::Conv2dOptions& o) override {
    return count("conv2d_data_gradient"), ops_->conv2d_data_gradient(dy, w, x, o);
  }
  Tensor conv2d_filter_gradient(const Tensor& dy, const Tensor& x, const Shape& w,
                                const nn::Conv2dOptions& o) override {
    return count("conv2d_filter_gradient"), ops_->conv2d_filter_gradient(dy, x, w, o);
  }
  Tensor depthwise_conv2d(const Tensor& x, const Tensor& w, const Tensor& b,
                          const nn::Conv2dOptions& o) override {
    return count("depthwise_conv2d"), ops_->depthwise_conv2d(x, w, b, o);
  }
  Tensor depthwise_data_gradient(const Tensor& dy, const Tensor& w, const Shape& x,
                                 const nn::Conv2dOptions& o) override {
    return count("depthwise_data_gradient"), ops_->depthwise_data_gradient(dy, w, x, o);
  }
  Tensor depthwise_filter_gradient(const Tensor& dy, const Tensor& x, const Shape& w,
                                   const nn::Conv2dOptions& o) override {
    return count("depthwise_filter_gradient"), ops_->depthwise_filter_gradient(dy, x, w, o);
  }
  Tensor column_sums(const Tensor& dy) override { return count("column_sums"), ops_->column_sums(dy); }
  nn::BatchStatistics batch_statistics(const Tensor& x) override {
    return count("batch_statistics"), ops_->batch_statistics(x);
  }
  Tensor batch_norm(const Tensor& x, const nn::BatchStatistics& s, const Tensor& w, const Tensor& b,
                    float eps) override {
    return count("batch_norm"), ops_->batch_norm(x, s, w, b, eps);
  }
  nn::BatchNormGradients batch_norm_gradient(const Tensor& dy, const Tensor& x, const nn::BatchStatistics& s,
                                             const Tensor& w, float eps, bool batch) override {
    return count("batch_norm_gradient"), ops_->batch_norm_gradient(dy, x, s, w, eps, batch);
  }
  void update_running(const nn::BatchStatistics& s, std::int64_t rows, float momentum, Tensor& mean,
                      Tensor& var) override {
    count("update_running");
    ops_->update_running(s, rows, momentum, mean, var);
  }
  Tensor prelu(const Tensor& x, const Tensor& slope) override {
    return count("prelu"), ops_->prelu(x, slope);
  }
  nn::PreluGradients prelu_gradient(const Tensor& dy, const Tensor& x, const Tensor& slope) override {
    return count("prelu_gradient"), ops_->prelu_gradient(dy, x, slope);
  }
  Tensor clamp(const Tensor& x, float lo, float hi) override {
    return count("clamp"), ops_->clamp(x, lo, hi);
  }
  Tensor clamp_gradient(const Tensor& dy, const Tensor& x, float lo, float hi) override {
    return count("clamp_gradient"), ops_->clamp_gradient(dy, x, lo, hi);
  }
  Tensor gelu(const Tensor& x) override { return count("gelu"), ops_->gelu(x); }
  Tensor gelu_gradient(const Tensor& dy, const Tensor& x) override {
    return count("gelu_gradient"), ops_->gelu_gradient(dy, x);
  }
  Tensor add(const Tensor& a, const Tensor& b) override { return count("add"), ops_->add(a, b); }
  void accumulate(Tensor& sum, const Tensor& x) override {
    count("accumulate");
    ops_->accumulate(sum, x);
  }
  Tensor linear(const Tensor& x, const Tensor& w, const Tensor& b) override {
    return count("linear"), ops_->linear(x, w, b);
  }
  Tensor linear_data_gradient(const Tensor& dy, const Tensor& w) override {
    return count("linear_data_gradient"), ops_->linear_data_gradient(dy, w);
  }
  Tensor linear_weight_gradient(const Tensor& dy, const Tensor& x) override {
    return count("linear_weight_gradient"), ops_->linear_weight_gradient(dy, x);
  }
  Tensor cast(const Tensor& x, DType to) override { return count("cast"), ops_->cast(x, to); }
  Tensor images(const nn::InputTable& table, std::span<const std::uint8_t> bytes, std::int64_t n) override {
    return count("images"), ops_->images(table, bytes, n);
  }
  Tensor cosine_loss(const Tensor& teacher, const Tensor& student) override {
    return count("cosine_loss"), ops_->cosine_loss(teacher, student);
  }
  Tensor cosine_loss_gradient(const Tensor& teacher, const Tensor& student, float upstream) override {
    return count("cosine_loss_gradient"), ops_->cosine_loss_gradient(teacher, student, upstream);
  }
  Tensor quality_loss(const Tensor& score, const Tensor& target, float beta) override {
    return count("quality_loss"), ops_->quality_loss(score, target, beta);
  }
  Tensor quality_loss_gradient(const Tensor& score, const Tensor& target, float beta,
                               float upstream) override {
    return count("quality_loss_gradient"), ops_->quality_loss_gradient(score, target, beta, upstream);
  }

 private:
  void count(const char* name) { ++calls[name]; }
  std::unique_ptr<nn::DeviceOps> ops_;
};

}  // namespace aikd::test
