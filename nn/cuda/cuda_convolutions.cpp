#include "nn/cuda/cuda_convolutions.h"

#include "kernels/bias.h"
#include "kernels/epilogue.h"
#include "kernels/layout.h"
#include "nn/cuda/cuda_storage.h"
#include "nn/op_dims.h"

namespace aikd::nn {

namespace cuda_kernels = kernels::cuda;
using cuda_kernels::ConvDirection;
using kernels::Storage;

namespace {

const float* floats(const Tensor& tensor) {
  return static_cast<const float*>(tensor.raw());
}

}  // namespace

CudaConvolutions::CudaConvolutions(Context& context, Precision precision)
    : context_(&context),
      storage_(storage_of(precision)),
      tf32_(precision == Precision::kTf32),
      engines_(context, false) {}

kernels::Conv2dDims CudaConvolutions::padded(kernels::Conv2dDims dims) const {
  dims.c = padded_for(storage_, dims.c);
  dims.k = padded_for(storage_, dims.k);
  return dims;
}

Tensor CudaConvolutions::fitted(const Tensor& x, std::int64_t channels) {
  const Shape& from = x.shape();
  if (from[-1] == channels) return x;
  Tensor y = context_->empty({from[0], from[1], from[2], channels}, x.dtype());
  const Storage storage = storage_of(x.dtype());
  cuda_kernels::fit_channels(context_->kernel_context(), storage, storage, rows_of(from), from[-1], x.raw(),
                             channels, y.mutable_raw());
  return y;
}

Tensor CudaConvolutions::filter(const Tensor& weight, const kernels::Conv2dDims& dims) {
  const Shape& from = weight.shape();
  if (storage_ == Storage::kF32 && from[0] == dims.k && from[3] == dims.c) return weight;
  Tensor y = context_->empty({dims.k, dims.r, dims.s, dims.c}, dtype_of_storage(storage_));
  const std::int64_t rows = from[0] * dims.r * dims.s;
  cuda_kernels::fit_channels(context_->kernel_context(), Storage::kF32, storage_, rows, from[3], weight.raw(),
                             dims.c, y.mutable_raw());
  const std::size_t written = static_cast<std::size_t>(rows * dims.c) * kernels::bytes_of(storage_);
  if (written < y.bytes())  // the filters of outputs that are only padding
    cuda::fill_bytes(static_cast<unsigned char*>(y.mutable_raw()) + written, 0, y.bytes() - written,
                     context_->stream());
  return y;
}

std::shared_ptr<const cuda_kernels::CudnnConv> CudaConvolutions::engine(ConvDirection direction,
                                                                        const kernels::Conv2dDims& dims) {
  return engines_.find({.direction = direction, .dims = dims, .storage = storage_, .tf32 = tf32_});
}

Tensor CudaConvolutions::forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                 const Conv2dOptions& options) {
  const kernels::Conv2dDims wanted = conv2d_dims(x.shape(), weight.shape(), options), dims = padded(wanted);
  const Tensor in = fitted(x, dims.c), filters = filter(weight, dims);
  Tensor y = context_->empty({dims.n, dims.p(), dims.q(), dims.k}, x.dtype());
  if (const auto plan = engine(ConvDirection::kForward, dims); plan != nullptr) {
    plan->run(context_->kernel_context(plan->workspace_bytes()),
              {.x = in.raw(), .weight = filters.raw(), .y = y.mutable_raw()});
  } else {
    cuda_kernels::conv2d(context_->kernel_context(), storage_, dims, in.raw(), filters.raw(), {},
                         y.mutable_raw(), tf32_);
  }
  y = fitted(y, wanted.k);
  if (bias.defined())
    cuda_kernels::add_bias(context_->kernel_context(), storage_, rows_of(y.shape()), wanted.k, y.raw(),
                           floats(bias), y.mutable_raw());
  return y;
}

Tensor CudaConvolutions::data_gradient(const Tensor& dy, const Tensor& weight, const Shape& x,
                                       const Conv2dOptions& options) {
  const kernels::Conv2dDims dims = padded(conv2d_dims(x, weight.shape(), options));
  const Tensor in = fitted(dy, dims.k), filters = filter(weight, dims);
  Tensor dx = context_->empty({dims.n, dims.h, dims.w, dims.c}, dy.dtype());
  if (const auto plan = engine(ConvDirection::kDataGradient, dims); plan != nullptr) {
    plan->run(context_->kernel_context(plan->workspace_bytes()),
              {.weight = filters.raw(), .dy = in.raw(), .y = dx.mutable_raw()});
  } else {
    cuda_kernels::conv2d_data_gradient(
        context_->kernel_context(cuda_kernels::conv2d_data_gradient_workspace_bytes(storage_, dims)),
        storage_, dims, in.raw(), filters.raw(), dx.mutable_raw());
  }
  return fitted(dx, x[3]);
}

Tensor CudaConvolutions::filter_gradient(const Tensor& dy, const Tensor& x, const Shape& weight,
                                         const Conv2dOptions& options) {
  const kernels::Conv2dDims dims = padded(conv2d_dims(x.shape(), weight, options));
  const Tensor from = fitted(x, dims.c), to = fitted(dy, dims.k);
  const Shape shape{dims.k, dims.r, dims.s, dims.c};
  Storage given = Storage::kF32;
  Tensor sums;
  if (const auto plan = engine(ConvDirection::kFilterGradient, dims); plan != nullptr) {
    given = storage_;
    sums = context_->empty(shape, dtype_of_storage(given));
    plan->run(context_->kernel_context(plan->workspace_bytes()),
              {.x = from.raw(), .dy = to.raw(), .y = sums.mutable_raw()});
  } else {
    sums = context_->empty(shape);
    cuda_kernels::conv2d_filter_gradient(
        context_->kernel_context(cuda_kernels::conv2d_filter_gradient_workspace_bytes(dims)), storage_, dims,
        from.raw(), to.raw(), static_cast<float*>(sums.mutable_raw()));
  }
  if (given == Storage::kF32 && shape == weight) return sums;
  Tensor dweight = context_->empty(weight);
  cuda_kernels::fit_channels(context_->kernel_context(), given, Storage::kF32, weight[0] * dims.r * dims.s,
                             dims.c, sums.raw(), weight[3], dweight.mutable_raw());
  return dweight;
}

}  // namespace aikd::nn
