#include "nn/plan_kernels.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "kernels/activation.h"
#include "kernels/blocked.h"
#include "kernels/blocked_conv.h"
#include "kernels/linear.h"
#include "kernels/winograd.h"
#include "nn/op_dims.h"
#include "tensor/buffer.h"

namespace aikd::nn {
namespace {

namespace cpu = kernels::cpu;

// Aligned floats, zero at first.
class Floats {
 public:
  Floats() = default;
  explicit Floats(std::size_t count)
      : buffer_(std::max<std::size_t>(count, 1) * sizeof(float), Device::cpu()), count_(count) {
    std::fill_n(data(), count, 0.0F);
  }
  float* data() { return static_cast<float*>(buffer_.mutable_data()); }
  const float* data() const { return static_cast<const float*>(buffer_.data()); }
  std::size_t bytes() const noexcept { return count_ * sizeof(float); }

 private:
  Buffer buffer_;
  std::size_t count_ = 0;
};

std::size_t size(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

// `values` as rows of `channels`, each padded with zeros as kernels want parameters.
template <class T>
Floats padded_rows(std::span<const T> values, std::int64_t channels) {
  const std::size_t rows = values.size() / size(channels), step = size(kernels::padded_parameters(channels));
  Floats out(rows * step);
  for (std::size_t i = 0; i < values.size(); ++i)
    out.data()[i / size(channels) * step + i % size(channels)] = static_cast<float>(values[i]);
  return out;
}

// The op's activation and residual, with parameters of its own.
class EpilogueParameters {
 public:
  EpilogueParameters(const FusedOp& op, std::int64_t channels) {
    base_.residual_first = op.residual_first;
    base_.clamps = op.clamps;
    base_.lo = op.lo;
    base_.hi = op.hi;
    if (op.slope != nullptr) {
      const std::vector<float> slope = slope_per_channel(*op.slope, channels);
      slope_ = padded_rows<float>(slope, channels);
      base_.slope = slope_.data();
    }
    suffix_ = epilogue_name(op);
  }
  kernels::Epilogue with(const float* residual) const {
    kernels::Epilogue epilogue = base_;
    epilogue.residual = residual;
    return epilogue;
  }
  const std::string& suffix() const noexcept { return suffix_; }
  std::size_t bytes() const noexcept { return slope_.bytes(); }

 private:
  kernels::Epilogue base_;
  Floats slope_;
  std::string suffix_;
};

// What convolutions with filters of all channels share, whatever their algorithm.
class ConvKernel : public PlanKernel {
 public:
  std::string name() const override { return name_ + epilogue_.suffix(); }
  std::int64_t macs() const noexcept override { return macs_; }
  std::size_t parameter_bytes() const noexcept override {
    return filters_.bytes() + bias_.bytes() + epilogue_.bytes();
  }

 protected:
  ConvKernel(const FusedOp& op, const kernels::Conv2dDims& dims, const FoldedWeights& folded,
             const char* algorithm)
      : bias_(padded_rows<float>(folded.bias, dims.k)),
        bias_classes_(folded.bias_classes),
        epilogue_(op, dims.k),
        name_(concat("conv ", window_name(dims), " ", algorithm)),
        macs_(dims.macs_per_image()) {}

  // Both algorithms take the same packed filters.
  void pack(const kernels::BlockedConv& conv, const FoldedWeights& folded) {
    filters_ = Floats(cpu::packed_filter_floats(conv));
    cpu::pack_filters(conv, folded.weight.data(), filters_.data());
  }

  Floats filters_, bias_;
  std::int64_t bias_classes_;
  EpilogueParameters epilogue_;

 private:
  std::string name_;
  std::int64_t macs_;
};

class DirectConv final : public ConvKernel {
 public:
  DirectConv(const FusedOp& op, const kernels::Conv2dDims& dims, const FoldedWeights& folded)
      : ConvKernel(op, dims, folded, "direct") {
    kernels::Conv2dDims run = dims;
    if (dims.r == 1 && dims.s == 1 && dims.stride == 1 && dims.pad == 0 && dims.w < 28) {
      // Pixels are independent: one long row is cut into full tiles. (Long rows are left: threads share
      // them.)
      run.w = dims.h * dims.w;
      run.h = 1;
    }
    conv_ = cpu::prepare_blocked_conv(run);
    pack(conv_, folded);
  }
  void run(const kernels::Context& ctx, std::int64_t n, const float* x, const float* residual,
           float* y) const override {
    cpu::blocked_conv(ctx, conv_, n, x, filters_.data(), bias_.data(), bias_classes_,
                      epilogue_.with(residual), y);
  }

 private:
  kernels::BlockedConv conv_;
};

class WinogradConv final : public ConvKernel {
 public:
  WinogradConv(const FusedOp& op, const kernels::Conv2dDims& dims, const FoldedWeights& folded)
      : ConvKernel(op, dims, folded, "winograd F(4,3)"), dims_(dims) {
    pack(cpu::prepare_blocked_conv(dims), folded);
  }
  void run(const kernels::Context& ctx, std::int64_t n, const float* x, const float* residual,
           float* y) const override {
    cpu::winograd_conv(ctx, dims_, n, x, filters_.data(), bias_.data(), bias_classes_,
                       epilogue_.with(residual), y);
  }
  std::size_t workspace_bytes(std::int64_t n, int threads) const override {
    return cpu::winograd_workspace_bytes(dims_, n, threads);
  }

 private:
  kernels::Conv2dDims dims_;
};

class Depthwise final : public PlanKernel {
 public:
  Depthwise(const FusedOp& op, const kernels::Conv2dDims& dims) : dims_(dims), epilogue_(op, dims.c) {
    const FoldedWeights folded = fold(op);
    const std::int64_t taps = dims.r * dims.s;
    weight_ = Floats(size(kernels::padded_channels(dims.c) * taps));
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      for (std::int64_t c = 0; c < dims.c; ++c) {
        const std::int64_t to = (c / kernels::kBlock * taps + tap) * kernels::kBlock + c % kernels::kBlock;
        weight_.data()[to] = folded.weight[size(tap * dims.c + c)];
      }
    }
    bias_ = padded_rows<float>(folded.bias, dims.c);
  }
  void run(const kernels::Context& ctx, std::int64_t n, const float* x, const float* residual,
           float* y) const override {
    kernels::Conv2dDims dims = dims_;
    dims.n = n;
    cpu::blocked_depthwise(ctx, dims, x, weight_.data(), bias_.data(), epilogue_.with(residual), y);
  }
  std::string name() const override { return "depthwise " + window_name(dims_) + epilogue_.suffix(); }
  std::int64_t macs() const noexcept override { return dims_.p() * dims_.q() * dims_.c * dims_.r * dims_.s; }
  std::size_t parameter_bytes() const noexcept override {
    return weight_.bytes() + bias_.bytes() + epilogue_.bytes();
  }

 private:
  kernels::Conv2dDims dims_;
  Floats weight_, bias_;
  EpilogueParameters epilogue_;
};

class Linear final : public PlanKernel {
 public:
  Linear(const FusedOp& op, const PlanValue& x, const PlanValue& y)
      : macs_(op.op->weight.numel()), x_stride_(x.floats()), y_(y), epilogue_(op, y.c) {
    FoldedWeights folded = fold(op);
    dims_.in = x.vector ? x.c : x_stride_;
    dims_.out = y.c;
    if (!x.vector) folded.weight = to_blocked_columns(folded.weight, x);
    packed_ = Floats(cpu::packed_linear_floats(dims_.in, dims_.out));
    cpu::pack_linear(dims_.in, dims_.out, folded.weight.data(), packed_.data());
    bias_ = padded_rows<float>(folded.bias, dims_.out);
    plain_ = epilogue_.suffix().empty();
  }
  void run(const kernels::Context& ctx, std::int64_t n, const float* x, const float* residual,
           float* y) const override {
    kernels::LinearDims dims = dims_;
    dims.rows = n;
    cpu::packed_linear(ctx, dims, x, x_stride_, packed_.data(), bias_.data(), y, y_.floats());
    if (!plain_)
      cpu::blocked_pointwise(ctx, {.n = n, .c = y_.stored_channels()}, y, nullptr, nullptr,
                             epilogue_.with(residual), y);
  }
  std::string name() const override {
    return concat("linear ", macs_ / dims_.out, "->", dims_.out) + epilogue_.suffix();
  }
  std::int64_t macs() const noexcept override { return macs_; }
  std::size_t parameter_bytes() const noexcept override {
    return packed_.bytes() + bias_.bytes() + epilogue_.bytes();
  }

  // The sums are written first, the epilogue is a second pass.
  bool overwrites_residual() const noexcept override { return false; }

 private:
  // [out][h][w][c] -> [out][c/16][h][w][16], zeros for channels that do not exist.
  static std::vector<float> to_blocked_columns(const std::vector<float>& weight, const PlanValue& x) {
    const std::int64_t pixels = x.h * x.w, in = pixels * x.c;
    const std::int64_t out = static_cast<std::int64_t>(weight.size()) / in, blocked = x.floats();
    std::vector<float> columns(size(out * blocked), 0.0F);
    for (std::int64_t o = 0; o < out; ++o) {
      for (std::int64_t i = 0; i < in; ++i) {
        const std::int64_t pixel = i / x.c, c = i % x.c;
        const std::int64_t to =
            (c / kernels::kBlock * pixels + pixel) * kernels::kBlock + c % kernels::kBlock;
        columns[size(o * blocked + to)] = weight[size(o * in + i)];
      }
    }
    return columns;
  }

  kernels::LinearDims dims_;
  std::int64_t macs_, x_stride_;
  PlanValue y_;
  Floats packed_, bias_;
  bool plain_ = true;
  EpilogueParameters epilogue_;
};

class Pointwise final : public PlanKernel {
 public:
  Pointwise(const FusedOp& op, const PlanValue& x) : x_(x), epilogue_(op, x.c) {
    if (!op.after.identity()) {
      scales_ = true;
      scale_ = padded_rows<double>(op.after.scale, x.c);
      shift_ = padded_rows<double>(op.after.shift, x.c);
    }
  }
  void run(const kernels::Context& ctx, std::int64_t n, const float* x, const float* residual,
           float* y) const override {
    cpu::blocked_pointwise(ctx, {.n = n, .c = x_.stored_channels(), .h = x_.h, .w = x_.w}, x,
                           scales_ ? scale_.data() : nullptr, scales_ ? shift_.data() : nullptr,
                           epilogue_.with(residual), y);
  }
  std::string name() const override {
    return concat("pointwise ", x_.c, " @", x_.h, "x", x_.w, scales_ ? " batch_norm" : "") +
           epilogue_.suffix();
  }
  std::size_t parameter_bytes() const noexcept override {
    return scale_.bytes() + shift_.bytes() + epilogue_.bytes();
  }
  bool elementwise() const noexcept override { return true; }

 private:
  PlanValue x_;
  bool scales_ = false;
  Floats scale_, shift_;
  EpilogueParameters epilogue_;
};

class Gelu final : public PlanKernel {
 public:
  explicit Gelu(const PlanValue& x) : x_(x) {}
  void run(const kernels::Context& ctx, std::int64_t n, const float* x, const float*,
           float* y) const override {
    cpu::gelu(ctx, n * x_.floats(), x, y);
  }
  std::string name() const override { return concat("gelu ", x_.c, " @", x_.h, "x", x_.w); }
  bool elementwise() const noexcept override { return true; }

 private:
  PlanValue x_;
};

class Flatten final : public PlanKernel {
 public:
  Flatten(const PlanValue& x, const PlanValue& y) : x_(x), y_(y) {}
  void run(const kernels::Context& ctx, std::int64_t n, const float* x, const float*,
           float* y) const override {
    cpu::flatten_blocked(ctx, {.n = n, .c = x_.c, .h = x_.h, .w = x_.w}, x, y, y_.floats());
  }
  std::string name() const override { return concat("flatten ", x_.c, " @", x_.h, "x", x_.w); }

 private:
  PlanValue x_, y_;
};

}  // namespace

PlanValue::PlanValue(const Shape& shape) : vector(shape.rank() == 2) {
  c = shape[-1];
  if (vector) return;
  h = shape[1];
  w = shape[2];
}

std::int64_t PlanValue::stored_channels() const noexcept {
  return vector ? kernels::padded_parameters(c) : kernels::padded_channels(c);
}

std::int64_t PlanValue::floats() const noexcept {
  return stored_channels() * h * w;
}

std::unique_ptr<PlanKernel> make_plan_kernel(const FusedOp& op, const PlanValue& x, const PlanValue& y,
                                             bool winograd) {
  const auto dims = [&] { return conv2d_dims({1, x.h, x.w, x.c}, op.op->weight.shape(), op.op->conv); };
  switch (op.kind) {
    case OpKind::kConv2d:
      if (winograd && kernels::winograd_fits(dims()))
        return std::make_unique<WinogradConv>(op, dims(), fold(op));
      return std::make_unique<DirectConv>(op, dims(), fold(op));
    case OpKind::kDepthwise:
      return std::make_unique<Depthwise>(op, dims());
    case OpKind::kLinear:
      return std::make_unique<Linear>(op, x, y);
    case OpKind::kBatchNorm:
      return std::make_unique<Pointwise>(op, x);
    case OpKind::kGelu:
      return std::make_unique<Gelu>(x);
    case OpKind::kFlatten:
      return std::make_unique<Flatten>(x, y);
    default:
      fail(ErrorKind::kInternal, "The plan has no step for op kind ", static_cast<int>(op.kind), ".");
  }
}

}  // namespace aikd::nn
