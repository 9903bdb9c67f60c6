// nn/device_ops.h on the CPU, in fp32: forward as EagerOps computes (the convolution by its faster kernel),
// gradients by the kernels.
#include "kernels/conv2d_gradients.h"
#include "kernels/gradients.h"
#include "kernels/loss.h"
#include "nn/cuda/cuda_ops.h"
#include "nn/device_ops.h"
#include "nn/functional.h"
#include "nn/op_dims.h"
#include "nn/plan_network.h"
#include "tensor/config.h"

namespace aikd::nn {
namespace {

namespace cpu = kernels::cpu;

Shape output_of(const kernels::Conv2dDims& d) {
  return {d.n, d.p(), d.q(), d.k};
}

class CpuOps final : public DeviceOps {
 public:
  explicit CpuOps(Context& context) : context_(&checked(context)), eager_(context) {}
  Device device() const override { return Device::cpu(); }
  DType storage() const override { return DType::kF32; }

  Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                const Conv2dOptions& options) override {
    const kernels::Conv2dDims dims = conv2d_dims(x.shape(), weight.shape(), options);
    Tensor y = Tensor::empty(output_of(dims));
    cpu::conv2d_train(context_->kernel_context(cpu::conv2d_train_workspace_bytes(dims)), dims,
                      x.data<float>(), weight.data<float>(), optional_data(bias), y.mutable_data<float>());
    return y;
  }
  Tensor conv2d_data_gradient(const Tensor& dy, const Tensor& weight, const Shape& x,
                              const Conv2dOptions& options) override {
    const kernels::Conv2dDims dims = conv2d_dims(x, weight.shape(), options);
    Tensor dx = Tensor::empty(x);
    cpu::conv2d_data_gradient(context_->kernel_context(cpu::conv2d_data_gradient_workspace_bytes(dims)), dims,
                              dy.data<float>(), weight.data<float>(), dx.mutable_data<float>());
    return dx;
  }
  Tensor conv2d_filter_gradient(const Tensor& dy, const Tensor& x, const Shape& weight,
                                const Conv2dOptions& options) override {
    const kernels::Conv2dDims dims = conv2d_dims(x.shape(), weight, options);
    Tensor dw = Tensor::empty(weight);
    cpu::conv2d_filter_gradient(context_->kernel_context(cpu::conv2d_filter_gradient_workspace_bytes(dims)),
                                dims, dy.data<float>(), x.data<float>(), dw.mutable_data<float>());
    return dw;
  }
  Tensor depthwise_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                          const Conv2dOptions& options) override {
    return eager_.depthwise_conv2d({x, -1}, weight, bias, options).tensor;
  }
  Tensor depthwise_data_gradient(const Tensor& dy, const Tensor& weight, const Shape& x,
                                 const Conv2dOptions& options) override {
    Tensor dx = Tensor::empty(x);
    cpu::depthwise_data_gradient(ctx(), conv2d_dims(x, weight.shape(), options), dy.data<float>(),
                                 weight.data<float>(), dx.mutable_data<float>());
    return dx;
  }
  Tensor depthwise_filter_gradient(const Tensor& dy, const Tensor& x, const Shape& weight,
                                   const Conv2dOptions& options) override {
    const kernels::Conv2dDims dims = conv2d_dims(x.shape(), weight, options);
    Tensor dw = Tensor::empty(weight);
    cpu::depthwise_filter_gradient(
        context_->kernel_context(cpu::depthwise_filter_gradient_workspace_bytes(dims)), dims,
        dy.data<float>(), x.data<float>(), dw.mutable_data<float>());
    return dw;
  }
  Tensor column_sums(const Tensor& dy) override {
    Tensor sums = Tensor::empty({dy.shape()[-1]});
    cpu::column_sums(column_context(dy), rows_of(dy.shape()), dy.shape()[-1], dy.data<float>(),
                     sums.mutable_data<float>());
    return sums;
  }

  BatchStatistics batch_statistics(const Tensor& x) override {
    const std::int64_t channels = x.shape()[-1];
    BatchStatistics statistics{Tensor::empty({channels}), Tensor::empty({channels})};
    cpu::batch_statistics(column_context(x), rows_of(x.shape()), channels, x.data<float>(),
                          statistics.mean.mutable_data<float>(), statistics.var.mutable_data<float>());
    return statistics;
  }
  Tensor batch_norm(const Tensor& x, const BatchStatistics& statistics, const Tensor& weight,
                    const Tensor& bias, float eps) override {
    Tensor w = weight, b = bias, mean = statistics.mean, var = statistics.var;  // handles
    return eager_
        .batch_norm({x, -1},
                    {.weight = &w, .bias = &b, .running_mean = &mean, .running_var = &var, .eps = eps})
        .tensor;
  }
  BatchNormGradients batch_norm_gradient(const Tensor& dy, const Tensor& x, const BatchStatistics& statistics,
                                         const Tensor& weight, float eps, bool batch) override {
    const std::int64_t channels = x.shape()[-1];
    BatchNormGradients g{Tensor::empty(x.shape()), Tensor::empty({channels}), Tensor::empty({channels})};
    cpu::batch_norm_gradient(column_context(x), rows_of(x.shape()), channels,
                             {.x = x.data<float>(),
                              .dy = dy.data<float>(),
                              .mean = statistics.mean.data<float>(),
                              .var = statistics.var.data<float>(),
                              .weight = optional_data(weight),
                              .eps = eps,
                              .batch = batch,
                              .dx = g.dx.mutable_data<float>(),
                              .dweight = g.dweight.mutable_data<float>(),
                              .dbias = g.dbias.mutable_data<float>()});
    return g;
  }
  void update_running(const BatchStatistics& statistics, std::int64_t rows, float momentum,
                      Tensor& running_mean, Tensor& running_var) override {
    const auto mean = statistics.mean.values<float>(), var = statistics.var.values<float>();
    const auto to_mean = running_mean.mutable_values<float>(), to_var = running_var.mutable_values<float>();
    const float unbiased = static_cast<float>(static_cast<double>(rows) / static_cast<double>(rows - 1));
    for (std::size_t c = 0; c < mean.size(); ++c) {
      to_mean[c] = (1.0F - momentum) * to_mean[c] + momentum * mean[c];
      to_var[c] = (1.0F - momentum) * to_var[c] + momentum * (var[c] * unbiased);
    }
  }

  Tensor prelu(const Tensor& x, const Tensor& slope) override { return eager_.prelu({x, -1}, slope).tensor; }
  PreluGradients prelu_gradient(const Tensor& dy, const Tensor& x, const Tensor& slope) override {
    const std::int64_t channels = x.shape()[-1];
    PreluGradients g{Tensor::empty(x.shape()), Tensor::empty({channels})};
    cpu::prelu_gradient(column_context(x), rows_of(x.shape()), channels, x.data<float>(),
                        slope_per_channel(slope, channels).data(), dy.data<float>(),
                        g.dx.mutable_data<float>(), g.dslope.mutable_data<float>());
    if (slope.numel() == channels) return g;
    double sum = 0;  // one slope for all channels
    for (const float value : g.dslope.values<float>()) sum += static_cast<double>(value);
    g.dslope = Tensor::full({1}, static_cast<float>(sum));
    return g;
  }
  Tensor clamp(const Tensor& x, float lo, float hi) override { return eager_.clamp({x, -1}, lo, hi).tensor; }
  Tensor clamp_gradient(const Tensor& dy, const Tensor& x, float lo, float hi) override {
    Tensor dx = Tensor::empty(x.shape());
    cpu::clamp_gradient(ctx(), x.numel(), x.data<float>(), lo, hi, dy.data<float>(),
                        dx.mutable_data<float>());
    return dx;
  }
  Tensor gelu(const Tensor& x) override { return eager_.gelu({x, -1}).tensor; }
  Tensor gelu_gradient(const Tensor& dy, const Tensor& x) override {
    Tensor dx = Tensor::empty(x.shape());
    cpu::gelu_gradient(ctx(), x.numel(), x.data<float>(), dy.data<float>(), dx.mutable_data<float>());
    return dx;
  }
  Tensor add(const Tensor& a, const Tensor& b) override { return eager_.add({a, -1}, {b, -1}).tensor; }
  void accumulate(Tensor& sum, const Tensor& x) override {
    cpu::accumulate(ctx(), x.numel(), x.data<float>(), sum.mutable_data<float>());
  }

  Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) override {
    return eager_.linear({x, -1}, weight, bias).tensor;
  }
  Tensor linear_data_gradient(const Tensor& dy, const Tensor& weight) override {
    const std::int64_t in = weight.shape()[1], out = weight.shape()[0];
    Tensor dx = Tensor::empty({dy.shape()[0], in});
    cpu::linear_data_gradient(ctx(), dy.shape()[0], in, out, dy.data<float>(), weight.data<float>(),
                              dx.mutable_data<float>());
    return dx;
  }
  Tensor linear_weight_gradient(const Tensor& dy, const Tensor& x) override {
    Tensor dw = Tensor::empty({dy.shape()[1], x.shape()[1]});
    cpu::linear_weight_gradient(ctx(), dy.shape()[0], x.shape()[1], dy.shape()[1], dy.data<float>(),
                                x.data<float>(), dw.mutable_data<float>());
    return dw;
  }
  Tensor cast(const Tensor& x, DType to) override { return x.to(to); }

  Tensor images(const InputTable& table, std::span<const std::uint8_t> bytes, std::int64_t n) override {
    return normalise(*context_, table, bytes, n);
  }

  Tensor cosine_loss(const Tensor& teacher, const Tensor& student) override {
    const std::int64_t rows = student.shape()[0];
    Tensor per_row = Tensor::empty({rows}), loss = Tensor::empty({1});
    cpu::cosine_embedding_loss(context_->kernel_context(cpu::cosine_embedding_loss_workspace_bytes(rows)),
                               rows, student.shape()[1], teacher.data<float>(), student.data<float>(),
                               per_row.mutable_data<float>(), loss.mutable_data<float>());
    return loss;
  }
  Tensor cosine_loss_gradient(const Tensor& teacher, const Tensor& student, float upstream) override {
    Tensor gradient = Tensor::empty(student.shape());
    cpu::cosine_embedding_loss_backward(ctx(), student.shape()[0], student.shape()[1], teacher.data<float>(),
                                        student.data<float>(), upstream, gradient.mutable_data<float>());
    return gradient;
  }
  Tensor quality_loss(const Tensor& score, const Tensor& target, float beta) override {
    Tensor loss = Tensor::empty({1});
    cpu::smooth_l1_loss(context_->kernel_context(cpu::mean_loss_workspace_bytes(score.numel())),
                        score.numel(), beta, score.data<float>(), target.data<float>(),
                        loss.mutable_data<float>());
    return loss;
  }
  Tensor quality_loss_gradient(const Tensor& score, const Tensor& target, float beta,
                               float upstream) override {
    Tensor gradient = Tensor::empty(score.shape());
    cpu::smooth_l1_loss_backward(ctx(), score.numel(), beta, score.data<float>(), target.data<float>(),
                                 upstream, gradient.mutable_data<float>());
    return gradient;
  }

 private:
  static Context& checked(Context& context) {
    require(context.device() == Device::cpu(), ErrorKind::kInternal, "make_cpu_ops was given a context on ",
            context.device().to_string(), ".");
    return context;
  }
  kernels::Context ctx() { return context_->kernel_context(); }
  // For what sums the columns of x.
  kernels::Context column_context(const Tensor& x) {
    return context_->kernel_context(cpu::column_workspace_bytes(rows_of(x.shape()), x.shape()[-1]));
  }
  Context* context_;
  EagerOps eager_;
};

}  // namespace

std::unique_ptr<DeviceOps> make_cpu_ops(Context& context) {
  return std::make_unique<CpuOps>(context);
}

std::unique_ptr<DeviceOps> make_device_ops(Context& context, Precision precision) {
  check_plan_device(context, {.precision = precision});
  if constexpr (kHasCuda)
    if (context.on_cuda()) return make_cuda_ops(context, precision);
  return make_cpu_ops(context);
}

}  // namespace aikd::nn
