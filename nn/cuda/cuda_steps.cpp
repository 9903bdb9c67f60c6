#include "nn/cuda/cuda_steps.h"

#include <algorithm>
#include <map>
#include <span>

#include "kernels/activation.h"
#include "kernels/batch_norm.h"
#include "kernels/conv2d.h"
#include "kernels/cuda/cublas_linear.h"
#include "kernels/depthwise_conv2d.h"
#include "kernels/epilogue.h"
#include "kernels/layout.h"
#include "kernels/linear.h"
#include "nn/cuda/device_parameter.h"
#include "nn/cuda/epilogue_parameters.h"
#include "nn/op_dims.h"

namespace aikd::nn {

namespace cuda_kernels = kernels::cuda;
using kernels::Storage;

namespace {

std::size_t size(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

std::size_t aligned(std::size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

// Three ways, the first that is there: cuDNN with everything fused; cuDNN's sums and one pass for the rest;
// the hand-written kernel, which fuses everything.
class ConvStep final : public CudaStep {
 public:
  ConvStep(const CudaStepSpec& spec, const kernels::Conv2dDims& dims, Context& context, ConvEngines& engines,
           bool tf32)
      : ConvStep(spec, dims, fold(*spec.op), context, engines, tf32) {}

  std::size_t prepare(std::int64_t n) override {
    Choice choice;
    cuda_kernels::CudnnConvSpec plain{.dims = at(n), .storage = storage_, .tf32 = tf32_};
    cuda_kernels::CudnnConvSpec fused = plain;
    epilogue_.describe(fused);
    if (epilogue_.bias_classes() == 1 && (choice.plan = engines_->find(fused)) != nullptr) {
      choice.fused = true;
    } else {
      choice.plan = engines_->find(plain);
    }
    engine_ = choice.plan == nullptr ? "hand-written"
                                     : concat("cuDNN ", choice.plan->engine(), choice.fused ? "" : " + pass");
    const std::size_t scratch = choice.plan == nullptr ? 0 : choice.plan->workspace_bytes();
    choices_[n] = std::move(choice);
    return scratch;
  }

  void run(const kernels::Context& ctx, std::int64_t n, const StepPointers& p) const override {
    const Choice& choice = choices_.at(n);
    const cuda_kernels::FusedEpilogue epilogue = epilogue_.with(p);
    if (choice.plan == nullptr) {
      cuda_kernels::conv2d(ctx, storage_, at(n), p.x, weight_.data(), epilogue, p.y, tf32_);
      return;
    }
    cuda_kernels::CudnnConvPointers pointers{.x = p.x, .weight = weight_.data(), .y = p.y};
    if (choice.fused) {
      pointers.bias = epilogue.bias;
      pointers.slope = epilogue.slope;
      pointers.residual = epilogue.residual;
      pointers.scale2 = epilogue.scale2;
      pointers.shift2 = epilogue.shift2;
      pointers.y2 = epilogue.y2;
    }
    choice.plan->run(ctx, pointers);
    if (!choice.fused) cuda_kernels::apply_epilogue(ctx, storage_, at(n), p.y, epilogue, p.y);
  }

  std::string name() const override {
    return "conv " + window_name(named_) + epilogue_.suffix() + " (" + engine_ + ")";
  }
  std::int64_t macs() const noexcept override { return named_.macs_per_image(); }
  std::size_t parameter_bytes() const noexcept override { return weight_.bytes() + epilogue_.bytes(); }

 private:
  struct Choice {
    std::shared_ptr<const cuda_kernels::CudnnConv> plan;
    bool fused = false;
  };

  ConvStep(const CudaStepSpec& spec, const kernels::Conv2dDims& dims, const FoldedWeights& folded,
           Context& context, ConvEngines& engines, bool tf32)
      : named_(dims),
        dims_(dims),
        storage_(spec.x.storage),
        tf32_(tf32),
        epilogue_(*spec.op, spec.y, folded, spec.second, context),
        engines_(&engines) {
    dims_.c = spec.x.padded;
    dims_.k = spec.y.padded;
    std::vector<float> weight = pad_rows<float>(folded.weight, spec.x.c, spec.x.padded);
    weight.resize(size(dims_.k * dims_.r * dims_.s * dims_.c), 0.0F);
    weight_ = DeviceParameter(context, weight, storage_);
  }
  kernels::Conv2dDims at(std::int64_t n) const {
    kernels::Conv2dDims dims = dims_;
    dims.n = n;
    return dims;
  }

  kernels::Conv2dDims named_, dims_;
  Storage storage_;
  bool tf32_;
  DeviceParameter weight_;
  EpilogueParameters epilogue_;
  ConvEngines* engines_;
  std::map<std::int64_t, Choice> choices_;
  std::string engine_ = "not prepared";
};

class DepthwiseStep final : public CudaStep {
 public:
  DepthwiseStep(const CudaStepSpec& spec, const kernels::Conv2dDims& dims, Context& context)
      : DepthwiseStep(spec, dims, fold(*spec.op), context) {}
  void run(const kernels::Context& ctx, std::int64_t n, const StepPointers& p) const override {
    kernels::Conv2dDims dims = dims_;
    dims.n = n;
    cuda_kernels::depthwise_conv2d(ctx, storage_, dims, p.x, weight_.floats(), epilogue_.with(p), p.y);
  }
  std::string name() const override { return "depthwise " + window_name(named_) + epilogue_.suffix(); }
  std::int64_t macs() const noexcept override {
    return named_.p() * named_.q() * named_.c * named_.r * named_.s;
  }
  std::size_t parameter_bytes() const noexcept override { return weight_.bytes() + epilogue_.bytes(); }

 private:
  DepthwiseStep(const CudaStepSpec& spec, const kernels::Conv2dDims& dims, const FoldedWeights& folded,
                Context& context)
      : named_(dims),
        dims_(dims),
        storage_(spec.x.storage),
        weight_(context, pad_rows<float>(folded.weight, spec.x.c, spec.x.padded), Storage::kF32),
        epilogue_(*spec.op, spec.y, folded, spec.second, context) {
    dims_.c = dims_.k = spec.x.padded;
  }
  kernels::Conv2dDims named_, dims_;
  Storage storage_;
  DeviceParameter weight_;
  EpilogueParameters epilogue_;
};

// x: an image in its storage, or an fp32 vector; y: an fp32 vector.
class LinearStep final : public CudaStep {
 public:
  LinearStep(const CudaStepSpec& spec, Context& context, bool tf32)
      : LinearStep(spec, fold(*spec.op), context, tf32) {}

  std::size_t prepare(std::int64_t n) override {
    const kernels::LinearDims dims{.rows = n, .in = in_, .out = out_};
    // The hand-written path may need its sums in the input's storage first.
    const std::size_t sums =
        input_ == Storage::kF32 ? 0 : aligned(size(n * out_) * kernels::bytes_of(input_));
    return std::max(sums + cuda_kernels::linear_workspace_bytes(dims), kLibraryScratch);
  }

  void run(const kernels::Context& ctx, std::int64_t n, const StepPointers& p) const override {
    const cuda_kernels::FusedEpilogue epilogue = epilogue_.with(p);
    const cuda_kernels::CublasLinearSpec spec{.rows = n,
                                              .in = in_,
                                              .out = out_,
                                              .input = input_,
                                              .output = Storage::kF32,
                                              .tf32 = tf32_,
                                              .epilogue = cuda_kernels::LinearEpilogue::kBias};
    if (!cuda_kernels::cublas_linear(ctx, spec, p.x, weight_.data(), epilogue.bias, p.y))
      by_hand(ctx, n, p, epilogue.bias);
    if (!epilogue_.activates_or_adds()) return;
    cuda_kernels::FusedEpilogue rest = epilogue;
    rest.bias = nullptr;
    cuda_kernels::apply_epilogue(ctx, Storage::kF32, {.n = n, .c = out_, .k = out_}, p.y, rest, p.y);
  }

  std::string name() const override { return concat("linear ", named_in_, "->", out_) + epilogue_.suffix(); }
  std::int64_t macs() const noexcept override { return named_in_ * out_; }
  std::size_t parameter_bytes() const noexcept override { return weight_.bytes() + epilogue_.bytes(); }

 private:
  static constexpr std::size_t kLibraryScratch = std::size_t{32} << 20;  // what cuBLASLt wants on Hopper

  LinearStep(const CudaStepSpec& spec, const FoldedWeights& folded, Context& context, bool tf32)
      : in_(spec.x.elements()),
        out_(spec.y.c),
        named_in_(spec.x.pixels() * spec.x.c),
        input_(spec.x.storage),
        tf32_(tf32),
        weight_(context, pad_rows<float>(folded.weight, spec.x.c, spec.x.padded), spec.x.storage),
        epilogue_(*spec.op, spec.y, folded, spec.second, context) {}

  void by_hand(const kernels::Context& ctx, std::int64_t n, const StepPointers& p, const float* bias) const {
    const kernels::LinearDims dims{.rows = n, .in = in_, .out = out_};
    if (input_ == Storage::kF32) {
      cuda_kernels::linear(ctx, input_, dims, p.x, weight_.data(), bias, p.y);
      return;
    }
    kernels::Context rest = ctx;
    const std::size_t sums = aligned(size(n * out_) * kernels::bytes_of(input_));
    rest.workspace = static_cast<unsigned char*>(ctx.workspace) + sums;
    rest.workspace_bytes = ctx.workspace_bytes - sums;
    cuda_kernels::linear(rest, input_, dims, p.x, weight_.data(), bias, ctx.workspace);
    cuda_kernels::cast(ctx, input_, Storage::kF32, n * out_, ctx.workspace, p.y);
  }

  std::int64_t in_, out_, named_in_;
  Storage input_;
  bool tf32_;
  DeviceParameter weight_;
  EpilogueParameters epilogue_;
};

// A BatchNorm, an activation or a sum that no filter took in.
class PointwiseStep final : public CudaStep {
 public:
  PointwiseStep(const CudaStepSpec& spec, Context& context)
      : x_(spec.x), epilogue_(*spec.op, spec.y, FoldedWeights(), spec.second, context) {
    if (spec.op->after.identity()) return;
    scale_ = parameter(spec.op->after.scale, context);
    shift_ = parameter(spec.op->after.shift, context);
  }
  PointwiseStep(const CudaValue& x, const Affine& affine, Context& context)
      : x_(x), epilogue_(FusedOp(), x, FoldedWeights(), Affine(), context) {
    scale_ = parameter(affine.scale, context);
    shift_ = parameter(affine.shift, context);
  }

  void run(const kernels::Context& ctx, std::int64_t n, const StepPointers& p) const override {
    const std::int64_t rows = x_.vector ? n : n * x_.pixels();
    const std::int64_t channels = x_.vector ? x_.elements() : x_.padded;
    const bool scales = scale_.floats() != nullptr;
    if (scales)
      cuda_kernels::batch_norm(ctx, x_.storage, rows, channels, p.x, scale_.floats(), shift_.floats(), p.y);
    if (scales && !epilogue_.activates_or_adds()) return;
    cuda_kernels::apply_epilogue(ctx, x_.storage, {.n = rows, .c = channels, .k = channels},
                                 scales ? p.y : p.x, epilogue_.with(p), p.y);
  }

  std::string name() const override {
    return concat("pointwise ", x_.c, " @", x_.h, "x", x_.w,
                  scale_.floats() != nullptr ? " batch_norm" : "") +
           epilogue_.suffix();
  }
  std::size_t parameter_bytes() const noexcept override {
    return scale_.bytes() + shift_.bytes() + epilogue_.bytes();
  }

 private:
  DeviceParameter parameter(const std::vector<double>& values, Context& context) const {
    return DeviceParameter(context, pad_rows<double>(values, x_.c, x_.padded), Storage::kF32);
  }
  CudaValue x_;
  DeviceParameter scale_, shift_;
  EpilogueParameters epilogue_;
};

class GeluStep final : public CudaStep {
 public:
  explicit GeluStep(const CudaValue& x) : x_(x) {}
  void run(const kernels::Context& ctx, std::int64_t n, const StepPointers& p) const override {
    cuda_kernels::gelu(ctx, x_.storage, n * x_.elements(), p.x, p.y);
  }
  std::string name() const override { return concat("gelu ", x_.c, " @", x_.h, "x", x_.w); }

 private:
  CudaValue x_;
};

// Only the storage changes: the order of the features is the order in memory.
class FlattenStep final : public CudaStep {
 public:
  FlattenStep(const CudaValue& x, const CudaValue& y) : x_(x), y_(y) {}
  void run(const kernels::Context& ctx, std::int64_t n, const StepPointers& p) const override {
    cuda_kernels::cast(ctx, x_.storage, y_.storage, n * x_.elements(), p.x, p.y);
  }
  std::string name() const override { return concat("flatten ", x_.c, " @", x_.h, "x", x_.w); }

 private:
  CudaValue x_, y_;
};

}  // namespace

std::int64_t padded_for(Storage storage, std::int64_t channels) noexcept {
  const std::int64_t unit = 16 / static_cast<std::int64_t>(kernels::bytes_of(storage));
  return (channels + unit - 1) / unit * unit;
}

bool ConvEngines::has_cudnn() const {
  kernels::cuda::Libraries* const libraries = context_->kernel_context().libraries;
  return libraries != nullptr && libraries->cudnn() != nullptr;
}

std::shared_ptr<const cuda_kernels::CudnnConv> ConvEngines::find(const cuda_kernels::CudnnConvSpec& spec) {
  if (!has_cudnn()) return nullptr;
  for (const Known& known : known_)
    if (known.spec == spec) return known.plan;
  const kernels::Context ctx = context_->kernel_context();
  cuda_kernels::CudnnConvChoice choice =
      cuda_kernels::make_cudnn_conv(*ctx.libraries, spec, autotune_, std::size_t{1} << 30, ctx.stream);
  known_.push_back({spec, std::move(choice.plan)});
  return known_.back().plan;
}

std::unique_ptr<CudaStep> make_cuda_step(const CudaStepSpec& spec, Context& context, ConvEngines& engines,
                                         bool tf32) {
  const FusedOp& op = *spec.op;
  const auto dims = [&] {
    return conv2d_dims({1, spec.x.h, spec.x.w, spec.x.c}, op.op->weight.shape(), op.op->conv);
  };
  switch (op.kind) {
    case OpKind::kConv2d:
      return std::make_unique<ConvStep>(spec, dims(), context, engines, tf32);
    case OpKind::kDepthwise:
      return std::make_unique<DepthwiseStep>(spec, dims(), context);
    case OpKind::kLinear:
      return std::make_unique<LinearStep>(spec, context, tf32 && !spec.x.vector);  // the head is fp32 always
    case OpKind::kBatchNorm:
      return std::make_unique<PointwiseStep>(spec, context);
    case OpKind::kGelu:
      return std::make_unique<GeluStep>(spec.x);
    case OpKind::kFlatten:
      return std::make_unique<FlattenStep>(spec.x, spec.y);
    default:
      fail(ErrorKind::kInternal, "The CUDA plan has no step for op kind ", static_cast<int>(op.kind), ".");
  }
}

std::unique_ptr<CudaStep> make_affine_step(const CudaValue& x, const Affine& affine, Context& context) {
  return std::make_unique<PointwiseStep>(x, affine, context);
}

}  // namespace aikd::nn
