#include "nn/cuda/cuda_ops.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "kernels/activation.h"
#include "kernels/add.h"
#include "kernels/batch_norm.h"
#include "kernels/bias.h"
#include "kernels/cuda/cublas_linear.h"
#include "kernels/depthwise_conv2d.h"
#include "kernels/epilogue.h"
#include "kernels/layout.h"
#include "kernels/linear.h"
#include "kernels/loss.h"
#include "kernels/normalise.h"
#include "nn/cuda/cuda_convolutions.h"
#include "nn/cuda/cuda_storage.h"
#include "nn/cuda/device_parameter.h"
#include "nn/cuda/uploads.h"
#include "nn/op_dims.h"
#include "nn/plan_network.h"

namespace aikd::nn {

namespace cuda_kernels = kernels::cuda;
using kernels::Storage;

namespace {

// fp32 tensors on the device; null for undefined ones.
const float* floats(const Tensor& tensor) {
  return static_cast<const float*>(tensor.raw());
}
float* floats(Tensor& tensor) {
  return static_cast<float*>(tensor.mutable_raw());
}

class CudaOps final : public DeviceOps {
 public:
  CudaOps(Context& context, Precision precision)
      : context_(&checked(context)),
        storage_(storage_of(precision)),
        tf32_(precision == Precision::kTf32),
        convolutions_(context, precision),
        uploads_(context) {}
  Device device() const override { return context_->device(); }
  DType storage() const override { return dtype_of_storage(storage_); }

  Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                const Conv2dOptions& options) override {
    return convolutions_.forward(x, weight, bias, options);
  }
  Tensor conv2d_data_gradient(const Tensor& dy, const Tensor& weight, const Shape& x,
                              const Conv2dOptions& options) override {
    return convolutions_.data_gradient(dy, weight, x, options);
  }
  Tensor conv2d_filter_gradient(const Tensor& dy, const Tensor& x, const Shape& weight,
                                const Conv2dOptions& options) override {
    return convolutions_.filter_gradient(dy, x, weight, options);
  }
  Tensor depthwise_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                          const Conv2dOptions& options) override {
    const kernels::Conv2dDims dims = conv2d_dims(x.shape(), weight.shape(), options);
    Tensor y = context_->empty({dims.n, dims.p(), dims.q(), dims.c}, x.dtype());
    cuda_kernels::depthwise_conv2d(ctx(), of(x), dims, x.raw(), floats(weight), {.bias = floats(bias)},
                                   y.mutable_raw());
    return y;
  }
  Tensor depthwise_data_gradient(const Tensor& dy, const Tensor& weight, const Shape& x,
                                 const Conv2dOptions& options) override {
    Tensor dx = context_->empty(x, dy.dtype());
    cuda_kernels::depthwise_conv2d_data_gradient(ctx(), of(dy), conv2d_dims(x, weight.shape(), options),
                                                 dy.raw(), floats(weight), dx.mutable_raw());
    return dx;
  }
  Tensor depthwise_filter_gradient(const Tensor& dy, const Tensor& x, const Shape& weight,
                                   const Conv2dOptions& options) override {
    const kernels::Conv2dDims dims = conv2d_dims(x.shape(), weight, options);
    Tensor dweight = context_->empty(weight);
    cuda_kernels::depthwise_conv2d_filter_gradient(
        ctx(cuda_kernels::depthwise_conv2d_filter_gradient_workspace_bytes(dims)), of(x), dims, x.raw(),
        dy.raw(), floats(dweight));
    return dweight;
  }
  Tensor column_sums(const Tensor& dy) override {
    const std::int64_t rows = rows_of(dy.shape()), channels = dy.shape()[-1];
    Tensor sums = context_->empty({channels});
    cuda_kernels::bias_backward(ctx(cuda_kernels::bias_backward_workspace_bytes(rows, channels)), of(dy),
                                rows, channels, dy.raw(), floats(sums));
    return sums;
  }

  BatchStatistics batch_statistics(const Tensor& x) override {
    const std::int64_t rows = rows_of(x.shape()), channels = x.shape()[-1];
    BatchStatistics statistics{context_->empty({channels}), context_->empty({channels})};
    cuda_kernels::batch_norm_statistics(
        ctx(cuda_kernels::batch_norm_statistics_workspace_bytes(rows, channels)), of(x), rows, channels,
        x.raw(), floats(statistics.mean), floats(statistics.var));
    return statistics;
  }
  Tensor batch_norm(const Tensor& x, const BatchStatistics& statistics, const Tensor& weight,
                    const Tensor& bias, float eps) override {
    Tensor y = like(x);
    cuda_kernels::batch_norm_train_forward(ctx(), of(x), rows_of(x.shape()), x.shape()[-1],
                                           floats(statistics.mean), floats(statistics.var), floats(weight),
                                           floats(bias), eps, x.raw(), y.mutable_raw());
    return y;
  }
  BatchNormGradients batch_norm_gradient(const Tensor& dy, const Tensor& x, const BatchStatistics& statistics,
                                         const Tensor& weight, float eps, bool batch) override {
    const std::int64_t rows = rows_of(x.shape()), channels = x.shape()[-1];
    BatchNormGradients g{like(x), context_->empty({channels}), context_->empty({channels})};
    const auto gradient =
        batch ? cuda_kernels::batch_norm_train_backward : cuda_kernels::batch_norm_eval_backward;
    gradient(ctx(cuda_kernels::batch_norm_backward_workspace_bytes(rows, channels)), of(x), rows, channels,
             x.raw(), floats(statistics.mean), floats(statistics.var), floats(weight), eps, dy.raw(),
             g.dx.mutable_raw(), floats(g.dweight), floats(g.dbias));
    return g;
  }
  void update_running(const BatchStatistics& statistics, std::int64_t rows, float momentum,
                      Tensor& running_mean, Tensor& running_var) override {
    cuda_kernels::batch_norm_update_running(ctx(), running_mean.numel(), floats(statistics.mean),
                                            floats(statistics.var), rows, momentum, floats(running_mean),
                                            floats(running_var));
  }

  // One slope for all channels: a matrix of one column.
  Tensor prelu(const Tensor& x, const Tensor& slope) override {
    Tensor y = like(x);
    const std::int64_t channels = slope.numel();
    cuda_kernels::prelu(ctx(), of(x), x.numel() / channels, channels, x.raw(), floats(slope),
                        y.mutable_raw());
    return y;
  }
  PreluGradients prelu_gradient(const Tensor& dy, const Tensor& x, const Tensor& slope) override {
    const std::int64_t channels = slope.numel(), rows = x.numel() / channels;
    PreluGradients g{like(x), context_->empty(slope.shape())};
    cuda_kernels::prelu_backward(ctx(cuda_kernels::prelu_backward_workspace_bytes(rows, channels)), of(x),
                                 rows, channels, x.raw(), floats(slope), dy.raw(), g.dx.mutable_raw(),
                                 floats(g.dslope));
    return g;
  }
  Tensor clamp(const Tensor& x, float lo, float hi) override {
    Tensor y = like(x);
    cuda_kernels::clamp(ctx(), of(x), x.numel(), x.raw(), lo, hi, y.mutable_raw());
    return y;
  }
  Tensor clamp_gradient(const Tensor& dy, const Tensor& x, float lo, float hi) override {
    Tensor dx = like(x);
    cuda_kernels::clamp_backward(ctx(), of(x), x.numel(), x.raw(), lo, hi, dy.raw(), dx.mutable_raw());
    return dx;
  }
  Tensor gelu(const Tensor& x) override {
    Tensor y = like(x);
    cuda_kernels::gelu(ctx(), of(x), x.numel(), x.raw(), y.mutable_raw());
    return y;
  }
  Tensor gelu_gradient(const Tensor& dy, const Tensor& x) override {
    Tensor dx = like(x);
    cuda_kernels::gelu_backward(ctx(), of(x), x.numel(), x.raw(), dy.raw(), dx.mutable_raw());
    return dx;
  }
  Tensor add(const Tensor& a, const Tensor& b) override {
    Tensor y = like(a);
    cuda_kernels::add(ctx(), of(a), a.numel(), a.raw(), b.raw(), y.mutable_raw());
    return y;
  }
  void accumulate(Tensor& sum, const Tensor& x) override {
    cuda_kernels::accumulate(ctx(), of(x), x.numel(), x.raw(), sum.mutable_raw());
  }

  Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) override {
    const kernels::LinearDims dims{x.shape()[0], weight.shape()[1], weight.shape()[0]};
    Tensor y = context_->empty({dims.rows, dims.out});
    const kernels::Context ctx = linear_context(cuda_kernels::linear_workspace_bytes(dims));
    const auto epilogue =
        bias.defined() ? cuda_kernels::LinearEpilogue::kBias : cuda_kernels::LinearEpilogue::kNone;
    if (dims.rows == 0 || !cuda_kernels::cublas_linear(ctx, spec(dims, epilogue), x.raw(), weight.raw(),
                                                       bias.raw(), y.mutable_raw()))
      cuda_kernels::linear(ctx, Storage::kF32, dims, x.raw(), weight.raw(), floats(bias), y.mutable_raw());
    return y;
  }
  Tensor linear_data_gradient(const Tensor& dy, const Tensor& weight) override {
    const kernels::LinearDims dims{dy.shape()[0], weight.shape()[1], weight.shape()[0]};
    Tensor dx = context_->empty({dims.rows, dims.in});
    const kernels::Context ctx =
        linear_context(cuda_kernels::linear_data_gradient_workspace_bytes(Storage::kF32, dims));
    if (dims.rows == 0 ||
        !cuda_kernels::cublas_linear_data_gradient(ctx, spec(dims), dy.raw(), weight.raw(), dx.mutable_raw()))
      cuda_kernels::linear_data_gradient(ctx, Storage::kF32, dims, dy.raw(), weight.raw(), dx.mutable_raw());
    return dx;
  }
  Tensor linear_weight_gradient(const Tensor& dy, const Tensor& x) override {
    const kernels::LinearDims dims{dy.shape()[0], x.shape()[1], dy.shape()[1]};
    Tensor dweight = context_->empty({dims.out, dims.in});
    const kernels::Context ctx = linear_context(cuda_kernels::linear_weight_gradient_workspace_bytes(dims));
    if (dims.rows == 0 || !cuda_kernels::cublas_linear_weight_gradient(ctx, spec(dims), x.raw(), dy.raw(),
                                                                       dweight.mutable_raw()))
      cuda_kernels::linear_weight_gradient(ctx, Storage::kF32, dims, x.raw(), dy.raw(), floats(dweight));
    return dweight;
  }

  Tensor cast(const Tensor& x, DType to) override {
    if (x.dtype() == to) return x;
    Tensor y = context_->empty(x.shape(), to);
    cuda_kernels::cast(ctx(), of(x), storage_of(to), x.numel(), x.raw(), y.mutable_raw());
    return y;
  }

  Tensor images(const InputTable& table, std::span<const std::uint8_t> bytes, std::int64_t n) override {
    check_plan_images(table, bytes.size(), n);
    Tensor y = context_->empty({n, table.height, table.width, 3}, storage());
    if (n == 0) return y;
    Buffer pixels = context_->scratch(bytes.size());
    uploads_.send(pixels.mutable_data(), bytes.size(),
                  [&](void* to) { std::memcpy(to, bytes.data(), bytes.size()); });
    cuda_kernels::normalise(
        ctx(), storage_, {values_of(table), {table.source[0], table.source[1], table.source[2]}},
        n * table.height * table.width, static_cast<const std::uint8_t*>(pixels.data()), 3, y.mutable_raw());
    return y;
  }

  Tensor cosine_loss(const Tensor& teacher, const Tensor& student) override {
    const std::int64_t rows = student.shape()[0];
    Tensor per_row = context_->empty({rows}), loss = context_->empty({1});
    cuda_kernels::cosine_embedding_loss(ctx(), rows, student.shape()[1], floats(teacher), floats(student),
                                        floats(per_row), floats(loss));
    return loss;
  }
  Tensor cosine_loss_gradient(const Tensor& teacher, const Tensor& student, float upstream) override {
    Tensor gradient = like(student);
    cuda_kernels::cosine_embedding_loss_backward(ctx(), student.shape()[0], student.shape()[1],
                                                 floats(teacher), floats(student), upstream,
                                                 floats(gradient));
    return gradient;
  }
  Tensor quality_loss(const Tensor& score, const Tensor& target, float beta) override {
    Tensor loss = context_->empty({1});
    cuda_kernels::smooth_l1_loss(ctx(cuda_kernels::mean_loss_workspace_bytes(score.numel())), score.numel(),
                                 beta, floats(score), floats(target), floats(loss));
    return loss;
  }
  Tensor quality_loss_gradient(const Tensor& score, const Tensor& target, float beta,
                               float upstream) override {
    Tensor gradient = like(score);
    cuda_kernels::smooth_l1_loss_backward(ctx(), score.numel(), beta, floats(score), floats(target), upstream,
                                          floats(gradient));
    return gradient;
  }

 private:
  static constexpr std::size_t kLibraryScratch = std::size_t{32} << 20;  // what cuBLASLt wants on Hopper

  static Context& checked(Context& context) {
    require(context.on_cuda(), ErrorKind::kInternal, "make_cuda_ops was given a context on ",
            context.device().to_string(), ".");
    return context;
  }
  static Storage of(const Tensor& tensor) { return storage_of(tensor.dtype()); }
  kernels::Context ctx(std::size_t workspace_bytes = 0) { return context_->kernel_context(workspace_bytes); }
  kernels::Context linear_context(std::size_t by_hand) {
    const bool library = ctx().libraries != nullptr;
    return ctx(library ? std::max(by_hand, kLibraryScratch) : by_hand);
  }
  cuda_kernels::CublasLinearSpec spec(
      const kernels::LinearDims& dims,
      cuda_kernels::LinearEpilogue epilogue = cuda_kernels::LinearEpilogue::kNone) const {
    return {.rows = dims.rows, .in = dims.in, .out = dims.out, .tf32 = tf32_, .epilogue = epilogue};
  }
  Tensor like(const Tensor& x) const { return context_->empty(x.shape(), x.dtype()); }
  // The table's values on the device; uploaded when they are others than last time.
  const float* values_of(const InputTable& table) {
    if (!known_table_ || std::memcmp(known_table_->table, table.table, sizeof table.table) != 0) {
      table_ = DeviceParameter(*context_, {&table.table[0][0], std::size_t{3} * 256}, Storage::kF32);
      known_table_ = table;
    }
    return table_.floats();
  }

  Context* context_;
  Storage storage_;
  bool tf32_;
  CudaConvolutions convolutions_;
  Uploads uploads_;
  std::optional<InputTable> known_table_;
  DeviceParameter table_;
};

}  // namespace

std::unique_ptr<DeviceOps> make_cuda_ops(Context& context, Precision precision) {
  return std::make_unique<CudaOps>(context, precision);
}

}  // namespace aikd::nn
