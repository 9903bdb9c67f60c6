// Convolutions of training on CUDA: forward, gradient of the input, gradient of the filter. Through cuDNN
// where it is loaded and has an engine for the shape, else by the hand-written kernels.
//
// Images are in the storage of the precision, filters and their gradients fp32. Filters are rounded to the
// storage at every call: the optimiser has changed them since the last step, and the largest of an iResNet (6
// bytes for each of 512 x 3 x 3 x 512, 14 MB) should take about 10 us. Both channel counts are padded with
// zeros to whole 16-byte accesses where they are not multiples (the 3 of the stem), so that tensor cores
// serve every layer; the results are exactly those of the unpadded sums.
//
// Filter gradients are fp32 sums. The hand-written kernel gives them as they are; cuDNN rounds them to the
// storage once, as mixed-precision training in PyTorch does: in fp16 choose the loss scale so that they fit.
#pragma once

#include "nn/cuda/cuda_steps.h"
#include "nn/ops.h"
#include "nn/plan.h"
#include "tensor/context.h"

namespace aikd::nn {

class CudaConvolutions {
 public:
  // `context` must outlive it.
  CudaConvolutions(Context& context, Precision precision);

  // As DeviceOps; x and dy in the storage.
  Tensor forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options);
  Tensor data_gradient(const Tensor& dy, const Tensor& weight, const Shape& x, const Conv2dOptions& options);
  Tensor filter_gradient(const Tensor& dy, const Tensor& x, const Shape& weight,
                         const Conv2dOptions& options);

 private:
  kernels::Conv2dDims padded(kernels::Conv2dDims dims) const;
  // [..., C] -> [..., channels]: cut off, or padded with zeros; x itself where nothing changes.
  Tensor fitted(const Tensor& x, std::int64_t channels);
  // The filter [k,r,s,c] of these padded dims, in the storage.
  Tensor filter(const Tensor& weight, const kernels::Conv2dDims& dims);
  std::shared_ptr<const kernels::cuda::CudnnConv> engine(kernels::cuda::ConvDirection direction,
                                                         const kernels::Conv2dDims& dims);

  Context* context_;
  kernels::Storage storage_;
  bool tf32_;
  ConvEngines engines_;
};

}  // namespace aikd::nn
