#include "kernels/cuda/cudnn_graph.h"

#include <array>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <optional>
#include <utility>

namespace aikd::kernels::cuda {
namespace {

using Extents = std::array<std::int64_t, 4>;

cudnnDataType_t type_of(Storage storage) {
  switch (storage) {
    case Storage::kF16:
      return CUDNN_DATA_HALF;
    case Storage::kBF16:
      return CUDNN_DATA_BFLOAT16;
    case Storage::kF32:
      break;
  }
  return CUDNN_DATA_FLOAT;
}

// cuDNN writes extents in the order N, C, H, W whatever lies adjacent in memory; the strides say that it is
// the channels. So [n,h,w,c] and filters [k,r,s,c] have extents {n,c,h,w} and {k,c,r,s}.
Extents packed_strides(const Extents& e) {
  return {e[1] * e[2] * e[3], 1, e[1] * e[3], e[1]};
}

class Builder {
 public:
  Builder(const CudnnTarget& target, const CudnnConvSpec& spec, CudnnConvGraph& out)
      : calls_(*target.api), target_(target), spec_(spec), out_(out) {}

  std::string build() {
    const Conv2dDims& d = spec_.dims;
    const cudnnDataType_t storage = type_of(spec_.storage);
    const Extents image = {d.n, d.c, d.h, d.w}, filter = {d.k, d.c, d.r, d.s},
                  result = {d.n, d.k, d.p(), d.q()};
    result_ = result;
    switch (spec_.direction) {
      case ConvDirection::kForward:
        build_forward(memory(CudnnTensor::kX, image, storage), memory(CudnnTensor::kWeight, filter, storage));
        break;
      case ConvDirection::kDataGradient: {
        const Tensor weight = memory(CudnnTensor::kWeight, filter, storage),
                     dy = memory(CudnnTensor::kDy, result, storage),
                     dx = memory(CudnnTensor::kY, image, storage);
        convolution(
            CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
            {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
            {{CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, weight},
             {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, dy},
             {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, dx}});
        break;
      }
      case ConvDirection::kFilterGradient: {
        const Tensor x = memory(CudnnTensor::kX, image, storage),
                     dy = memory(CudnnTensor::kDy, result, storage),
                     dw = memory(CudnnTensor::kY, filter, storage);
        convolution(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                    {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
                    {{CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, x},
                     {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, dy},
                     {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, dw}});
        break;
      }
    }
    out_.graph = calls_.create(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    calls_.set(out_.graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, operations_);
    if (target_.handle != nullptr) calls_.set(out_.graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, target_.handle);
    calls_.finalize(out_.graph, "the graph of operations");
    return calls_.why();
  }

 private:
  using Tensor = cudnnBackendDescriptor_t;
  struct Argument {
    cudnnBackendAttributeName_t name;
    Tensor tensor;
  };
  struct ConvolutionNames {
    cudnnBackendAttributeName_t convolution, alpha, beta;
  };

  // s = conv(x, weight), then one operation after another on the running result. The last one writes y; where
  // nothing follows, the convolution itself does.
  void build_forward(Tensor x, Tensor weight) {
    const bool rectifies = spec_.clamps && (std::isfinite(spec_.lo) || std::isfinite(spec_.hi));
    steps_left_ =
        1 + (spec_.bias ? 1 : 0) + (spec_.prelu ? 1 : 0) + (rectifies ? 1 : 0) + (spec_.residual ? 1 : 0);
    Tensor t = next();
    convolution(
        CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
        {{CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x},
         {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, weight},
         {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, t}});
    if (spec_.bias) t = binary(CUDNN_POINTWISE_ADD, t, per_channel(CudnnTensor::kBias), next());
    if (spec_.residual && spec_.residual_first) t = add_residual(t);
    if (spec_.prelu) t = prelu(t);
    if (rectifies) t = clamp(t);
    if (spec_.residual && !spec_.residual_first) t = add_residual(t);
    if (spec_.second_output) {
      const Tensor scaled = binary(CUDNN_POINTWISE_MUL, t, per_channel(CudnnTensor::kScale2), intermediate());
      binary(CUDNN_POINTWISE_ADD, scaled, per_channel(CudnnTensor::kShift2),
             memory(CudnnTensor::kY2, result_, type_of(spec_.storage)));
    }
  }

  Tensor add_residual(Tensor t) {
    return binary(CUDNN_POINTWISE_ADD, t, memory(CudnnTensor::kResidual, result_, type_of(spec_.storage)),
                  next());
  }

  // x > 0 ? x : slope x, by comparison and selection: exact, and NaN stays NaN (a comparison with NaN is
  // false). BINARY_SELECT gives X where the predicate T holds and B elsewhere.
  Tensor prelu(Tensor t) {
    const Tensor product = binary(CUDNN_POINTWISE_MUL, t, per_channel(CudnnTensor::kSlope), intermediate());
    const Tensor positive = binary(CUDNN_POINTWISE_CMP_GT, t, zero(), intermediate(CUDNN_DATA_BOOLEAN));
    const Tensor y = next();
    operate(pointwise(CUDNN_POINTWISE_BINARY_SELECT), {{CUDNN_ATTR_OPERATION_POINTWISE_XDESC, t},
                                                       {CUDNN_ATTR_OPERATION_POINTWISE_BDESC, product},
                                                       {CUDNN_ATTR_OPERATION_POINTWISE_TDESC, positive},
                                                       {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y}});
    return y;
  }

  // cuDNN's ReLU has both clips: y = x < lower ? lower : x > upper ? upper : x.
  Tensor clamp(Tensor t) {
    constexpr double kLargest = std::numeric_limits<float>::max();
    CudnnDescriptor relu = open_pointwise(CUDNN_POINTWISE_RELU_FWD);
    calls_.set(relu, CUDNN_ATTR_POINTWISE_NAN_PROPAGATION, CUDNN_PROPAGATE_NAN);
    calls_.set(relu, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP,
               std::isfinite(spec_.lo) ? double{spec_.lo} : -kLargest);
    calls_.set(relu, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP,
               std::isfinite(spec_.hi) ? double{spec_.hi} : kLargest);
    const Tensor y = next();
    operate(close_pointwise(std::move(relu)),
            {{CUDNN_ATTR_OPERATION_POINTWISE_XDESC, t}, {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y}});
    return y;
  }

  // The running result is the first operand throughout: a tensor that is broadcast must not be.
  Tensor binary(cudnnPointwiseMode_t mode, Tensor x, Tensor b, Tensor y) {
    operate(pointwise(mode), {{CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x},
                              {CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b},
                              {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y}});
    return y;
  }

  CudnnDescriptor open_pointwise(cudnnPointwiseMode_t mode) {
    CudnnDescriptor descriptor = calls_.create(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    calls_.set(descriptor, CUDNN_ATTR_POINTWISE_MODE, mode);
    calls_.set(descriptor, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
    return descriptor;
  }
  Tensor close_pointwise(CudnnDescriptor descriptor) {
    calls_.finalize(descriptor, "a pointwise function");
    return keep(std::move(descriptor));
  }
  Tensor pointwise(cudnnPointwiseMode_t mode) { return close_pointwise(open_pointwise(mode)); }

  void operate(Tensor function, std::initializer_list<Argument> arguments) {
    CudnnDescriptor operation = calls_.create(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    calls_.set(operation, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, function);
    for (const Argument& argument : arguments) calls_.set(operation, argument.name, argument.tensor);
    calls_.finalize(operation, "a pointwise operation");
    operations_.push_back(keep(std::move(operation)));
  }

  void convolution(cudnnBackendDescriptorType_t type, const ConvolutionNames& names,
                   std::initializer_list<Argument> arguments) {
    const std::array<std::int64_t, 2> padding = {spec_.dims.pad, spec_.dims.pad}, dilation = {1, 1},
                                      stride = {spec_.dims.stride, spec_.dims.stride};
    CudnnDescriptor shape = calls_.create(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    calls_.set(shape, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    calls_.set(shape, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION);
    calls_.set(shape, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t{2});
    calls_.set(shape, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, padding.data(), 2);
    calls_.set(shape, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, padding.data(), 2);
    calls_.set(shape, CUDNN_ATTR_CONVOLUTION_DILATIONS, dilation.data(), 2);
    calls_.set(shape, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, stride.data(), 2);
    calls_.finalize(shape, "the shape of the convolution");

    CudnnDescriptor operation = calls_.create(type);
    calls_.set(operation, names.convolution, shape);
    calls_.set(operation, names.alpha, 1.0F);
    calls_.set(operation, names.beta, 0.0F);
    for (const Argument& argument : arguments) calls_.set(operation, argument.name, argument.tensor);
    calls_.finalize(operation, "the convolution");
    keep(std::move(shape));
    operations_.push_back(keep(std::move(operation)));
  }

  // The next tensor of the running result.
  Tensor next() {
    return --steps_left_ > 0 ? intermediate() : memory(CudnnTensor::kY, result_, type_of(spec_.storage));
  }
  Tensor intermediate(cudnnDataType_t type = CUDNN_DATA_FLOAT) {
    const auto uid = static_cast<std::int64_t>(CudnnTensor::kIntermediate) + intermediates_++;
    return tensor(uid, result_, type, CUDNN_ATTR_TENSOR_IS_VIRTUAL);
  }
  Tensor per_channel(CudnnTensor name) { return memory(name, {1, spec_.dims.k, 1, 1}, CUDNN_DATA_FLOAT); }
  Tensor memory(CudnnTensor name, const Extents& extents, cudnnDataType_t type) {
    out_.tensors.push_back(name);
    return tensor(static_cast<std::int64_t>(name), extents, type, std::nullopt);
  }
  Tensor zero() {
    out_.tensors.push_back(CudnnTensor::kZero);
    return tensor(static_cast<std::int64_t>(CudnnTensor::kZero), {1, 1, 1, 1}, CUDNN_DATA_FLOAT,
                  CUDNN_ATTR_TENSOR_IS_BY_VALUE);
  }
  Tensor tensor(std::int64_t uid, const Extents& extents, cudnnDataType_t type,
                std::optional<cudnnBackendAttributeName_t> flag) {
    const Extents strides = packed_strides(extents);
    CudnnDescriptor descriptor = calls_.create(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    calls_.set(descriptor, CUDNN_ATTR_TENSOR_UNIQUE_ID, uid);
    calls_.set(descriptor, CUDNN_ATTR_TENSOR_DATA_TYPE, type);
    calls_.set(descriptor, CUDNN_ATTR_TENSOR_DIMENSIONS, extents.data(), 4);
    calls_.set(descriptor, CUDNN_ATTR_TENSOR_STRIDES, strides.data(), 4);
    calls_.set(descriptor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, kCudnnAlignment);
    if (flag) calls_.set(descriptor, *flag, true);
    calls_.finalize(descriptor, "a tensor");
    return keep(std::move(descriptor));
  }

  Tensor keep(CudnnDescriptor descriptor) {
    out_.parts.push_back(std::move(descriptor));
    return out_.parts.back().get();
  }

  CudnnCalls calls_;
  const CudnnTarget& target_;
  const CudnnConvSpec& spec_;
  CudnnConvGraph& out_;
  Extents result_{};
  int steps_left_ = 0;
  std::int64_t intermediates_ = 0;
  std::vector<cudnnBackendDescriptor_t> operations_;
};

}  // namespace

std::string build_conv_graph(const CudnnTarget& target, const CudnnConvSpec& spec, CudnnConvGraph& graph) {
  return Builder(target, spec, graph).build();
}

}  // namespace aikd::kernels::cuda
