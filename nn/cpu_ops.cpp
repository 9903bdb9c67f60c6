// nn/device_ops.h on the CPU, in fp32, by the kernels.
#include <algorithm>
#include <vector>

#include "kernels/activation.h"
#include "kernels/add.h"
#include "kernels/batch_norm.h"
#include "kernels/conv2d_gradients.h"
#include "kernels/depthwise_conv2d.h"
#include "kernels/gradients.h"
#include "kernels/isa.h"
#include "kernels/linear.h"
#include "nn/device_ops.h"
#include "nn/op_shapes.h"

namespace aikd::nn {
namespace {

namespace cpu = kernels::cpu;

const float* optional_data(const Tensor& tensor) {
  return tensor.defined() ? tensor.data<float>() : nullptr;
}

std::int64_t rows_of(const Tensor& x) {
  return x.shape()[-1] == 0 ? 0 : x.numel() / x.shape()[-1];
}

kernels::Conv2dDims dims_of(const Shape& x, const Shape& weight, const Conv2dOptions& options) {
  const bool depthwise = weight.rank() == 3;
  return {.n = x[0],
          .h = x[1],
          .w = x[2],
          .c = x[3],
          .k = depthwise ? weight[2] : weight[0],
          .r = weight[depthwise ? 0 : 1],
          .s = weight[depthwise ? 1 : 2],
          .stride = options.stride,
          .pad = options.pad};
}

Shape output_of(const kernels::Conv2dDims& d) {
  return {d.n, d.p(), d.q(), d.k};
}

class CpuOps final : public DeviceOps {
 public:
  explicit CpuOps(Context& context) : context_(&context) {
    require(context.device() == Device::cpu(), ErrorKind::kInternal, "make_cpu_ops was given a context on ",
            context.device().to_string(), ".");
    const std::string problem = kernels::isa_problem();
    require(problem.empty(), ErrorKind::kUsage, problem);
  }
  Device device() const override { return Device::cpu(); }
  DType storage() const override { return DType::kF32; }

  Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                const Conv2dOptions& options) override {
    const kernels::Conv2dDims dims = dims_of(x.shape(), weight.shape(), options);
    Tensor y = Tensor::empty(output_of(dims));
    cpu::conv2d_train(context_->kernel_context(cpu::conv2d_train_workspace_bytes(dims)), dims,
                      x.data<float>(), weight.data<float>(), optional_data(bias), y.mutable_data<float>());
    return y;
  }
  Tensor conv2d_data_gradient(const Tensor& dy, const Tensor& weight, const Shape& x,
                              const Conv2dOptions& options) override {
    const kernels::Conv2dDims dims = dims_of(x, weight.shape(), options);
    Tensor dx = Tensor::empty(x);
    cpu::conv2d_data_gradient(context_->kernel_context(cpu::conv2d_data_gradient_workspace_bytes(dims)), dims,
                              dy.data<float>(), weight.data<float>(), dx.mutable_data<float>());
    return dx;
  }
  Tensor conv2d_filter_gradient(const Tensor& dy, const Tensor& x, const Shape& weight,
                                const Conv2dOptions& options) override {
    const kernels::Conv2dDims dims = dims_of(x.shape(), weight, options);
    Tensor dw = Tensor::empty(weight);
    cpu::conv2d_filter_gradient(context_->kernel_context(cpu::conv2d_filter_gradient_workspace_bytes(dims)),
                                dims, dy.data<float>(), x.data<float>(), dw.mutable_data<float>());
    return dw;
  }
  Tensor depthwise_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                          const Conv2dOptions& options) override {
    const kernels::Conv2dDims dims = dims_of(x.shape(), weight.shape(), options);
    Tensor y = Tensor::empty(output_of(dims));
    cpu::depthwise_conv2d(ctx(), dims, x.data<float>(), weight.data<float>(), optional_data(bias),
                          y.mutable_data<float>());
    return y;
  }
  Tensor depthwise_data_gradient(const Tensor& dy, const Tensor& weight, const Shape& x,
                                 const Conv2dOptions& options) override {
    Tensor dx = Tensor::empty(x);
    cpu::depthwise_data_gradient(ctx(), dims_of(x, weight.shape(), options), dy.data<float>(),
                                 weight.data<float>(), dx.mutable_data<float>());
    return dx;
  }
  Tensor depthwise_filter_gradient(const Tensor& dy, const Tensor& x, const Shape& weight,
                                   const Conv2dOptions& options) override {
    const kernels::Conv2dDims dims = dims_of(x.shape(), weight, options);
    Tensor dw = Tensor::empty(weight);
    cpu::depthwise_filter_gradient(
        context_->kernel_context(cpu::depthwise_filter_gradient_workspace_bytes(dims)), dims,
        dy.data<float>(), x.data<float>(), dw.mutable_data<float>());
    return dw;
  }
  Tensor column_sums(const Tensor& dy) override {
    Tensor sums = Tensor::empty({dy.shape()[-1]});
    cpu::column_sums(column_context(dy), rows_of(dy), dy.shape()[-1], dy.data<float>(),
                     sums.mutable_data<float>());
    return sums;
  }

  BatchStatistics batch_statistics(const Tensor& x) override {
    const std::int64_t channels = x.shape()[-1];
    BatchStatistics statistics{Tensor::empty({channels}), Tensor::empty({channels})};
    cpu::batch_statistics(column_context(x), rows_of(x), channels, x.data<float>(),
                          statistics.mean.mutable_data<float>(), statistics.var.mutable_data<float>());
    return statistics;
  }
  Tensor batch_norm(const Tensor& x, const BatchStatistics& statistics, const Tensor& weight,
                    const Tensor& bias, float eps) override {
    const auto channels = static_cast<std::size_t>(x.shape()[-1]);
    const auto mean = statistics.mean.values<float>(), var = statistics.var.values<float>();
    std::vector<float> scale(channels), shift(channels);
    for (std::size_t c = 0; c < channels; ++c) {
      const auto value = [c](const Tensor& t, double otherwise) {
        return t.defined() ? static_cast<double>(t.data<float>()[c]) : otherwise;
      };
      const kernels::BatchNormFactor f =
          kernels::batch_norm_factor(value(weight, 1), value(bias, 0), static_cast<double>(mean[c]),
                                     static_cast<double>(var[c]), static_cast<double>(eps));
      scale[c] = static_cast<float>(f.scale);
      shift[c] = static_cast<float>(f.shift);
    }
    Tensor y = Tensor::empty(x.shape());
    cpu::batch_norm(ctx(), rows_of(x), x.shape()[-1], x.data<float>(), scale.data(), shift.data(),
                    y.mutable_data<float>());
    return y;
  }
  BatchNormGradients batch_norm_gradient(const Tensor& dy, const Tensor& x, const BatchStatistics& statistics,
                                         const Tensor& weight, float eps, bool batch) override {
    const std::int64_t channels = x.shape()[-1];
    BatchNormGradients g{Tensor::empty(x.shape()), Tensor::empty({channels}), Tensor::empty({channels})};
    cpu::batch_norm_gradient(column_context(x), rows_of(x), channels,
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

  Tensor prelu(const Tensor& x, const Tensor& slope) override {
    Tensor y = Tensor::empty(x.shape());
    cpu::prelu(ctx(), rows_of(x), x.shape()[-1], x.data<float>(), per_channel(x, slope).data(),
               y.mutable_data<float>());
    return y;
  }
  PreluGradients prelu_gradient(const Tensor& dy, const Tensor& x, const Tensor& slope) override {
    const std::int64_t channels = x.shape()[-1];
    PreluGradients g{Tensor::empty(x.shape()), Tensor::empty({channels})};
    cpu::prelu_gradient(column_context(x), rows_of(x), channels, x.data<float>(),
                        per_channel(x, slope).data(), dy.data<float>(), g.dx.mutable_data<float>(),
                        g.dslope.mutable_data<float>());
    if (slope.numel() == channels) return g;
    double sum = 0;  // one slope for all channels
    for (const float value : g.dslope.values<float>()) sum += static_cast<double>(value);
    g.dslope = Tensor::full({1}, static_cast<float>(sum));
    return g;
  }
  Tensor clamp(const Tensor& x, float lo, float hi) override {
    Tensor y = Tensor::empty(x.shape());
    cpu::clamp(ctx(), x.numel(), x.data<float>(), lo, hi, y.mutable_data<float>());
    return y;
  }
  Tensor clamp_gradient(const Tensor& dy, const Tensor& x, float lo, float hi) override {
    Tensor dx = Tensor::empty(x.shape());
    cpu::clamp_gradient(ctx(), x.numel(), x.data<float>(), lo, hi, dy.data<float>(),
                        dx.mutable_data<float>());
    return dx;
  }
  Tensor gelu(const Tensor& x) override {
    Tensor y = Tensor::empty(x.shape());
    cpu::gelu(ctx(), x.numel(), x.data<float>(), y.mutable_data<float>());
    return y;
  }
  Tensor gelu_gradient(const Tensor& dy, const Tensor& x) override {
    Tensor dx = Tensor::empty(x.shape());
    cpu::gelu_gradient(ctx(), x.numel(), x.data<float>(), dy.data<float>(), dx.mutable_data<float>());
    return dx;
  }
  Tensor add(const Tensor& a, const Tensor& b) override {
    Tensor y = Tensor::empty(a.shape());
    cpu::add(ctx(), a.numel(), a.data<float>(), b.data<float>(), y.mutable_data<float>());
    return y;
  }
  void accumulate(Tensor& sum, const Tensor& x) override {
    cpu::accumulate(ctx(), x.numel(), x.data<float>(), sum.mutable_data<float>());
  }

  Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) override {
    const std::int64_t in = weight.shape()[1], out = weight.shape()[0];
    Tensor y = Tensor::empty({x.shape()[0], out});
    cpu::linear(ctx(), {.rows = x.shape()[0], .in = in, .out = out}, x.data<float>(), weight.data<float>(),
                optional_data(bias), y.mutable_data<float>());
    return y;
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

 private:
  kernels::Context ctx() { return context_->kernel_context(); }
  // For what sums the columns of x.
  kernels::Context column_context(const Tensor& x) {
    return context_->kernel_context(cpu::column_workspace_bytes(rows_of(x), x.shape()[-1]));
  }
  static std::vector<float> per_channel(const Tensor& x, const Tensor& slope) {
    std::vector<float> slopes(static_cast<std::size_t>(x.shape()[-1]), slope.data<float>()[0]);
    if (slope.numel() == x.shape()[-1]) std::copy_n(slope.data<float>(), slopes.size(), slopes.begin());
    return slopes;
  }

  Context* context_;
};

}  // namespace

std::unique_ptr<DeviceOps> make_cpu_ops(Context& context) {
  return std::make_unique<CpuOps>(context);
}

}  // namespace aikd::nn
