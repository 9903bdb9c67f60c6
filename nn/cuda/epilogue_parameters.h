// What follows the sums of a step (kernels/epilogue.h), with its parameters on the device.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "kernels/cuda/cudnn_conv.h"
#include "kernels/epilogue.h"
#include "nn/cuda/cuda_steps.h"
#include "nn/cuda/device_parameter.h"
#include "nn/op_dims.h"

namespace aikd::nn {

// The parameters of what follows a sum, on the device, padded.
class EpilogueParameters {
 public:
  EpilogueParameters(const FusedOp& op, const CudaValue& y, const FoldedWeights& folded, const Affine& second,
                     Context& context)
      : has_residual_(op.residual >= 0), suffix_(epilogue_name(op)) {
    // A vector that is a flattened image has its features pixel by pixel.
    const std::int64_t rows = y.vector ? y.pixels() : 1;
    const auto upload = [&](std::span<const float> values) {
      return DeviceParameter(context, pad_rows<float>(values, y.c, y.padded), kernels::Storage::kF32);
    };
    if (!folded.bias.empty()) bias_ = upload(folded.bias);
    if (op.slope != nullptr) slope_ = upload(slope_per_channel(*op.slope, rows * y.c));
    if (!second.identity()) {
      scale2_ = upload(std::vector<float>(second.scale.begin(), second.scale.end()));
      shift2_ = upload(std::vector<float>(second.shift.begin(), second.shift.end()));
      suffix_ += " and batch_norm";
    }
    base_.bias = bias_.floats();
    base_.bias_classes = static_cast<std::int32_t>(folded.bias_classes);
    base_.slope = slope_.floats();
    base_.clamps = op.clamps;
    base_.lo = op.lo;
    base_.hi = op.hi;
    base_.residual_first = op.residual_first;
    base_.scale2 = scale2_.floats();
    base_.shift2 = shift2_.floats();
  }

  kernels::cuda::FusedEpilogue with(const StepPointers& p) const {
    kernels::cuda::FusedEpilogue epilogue = base_;
    if (has_residual_) epilogue.residual = p.residual;
    if (has_second()) epilogue.y2 = p.second;
    return epilogue;
  }
  // What cuDNN is asked to fuse.
  void describe(kernels::cuda::CudnnConvSpec& spec) const {
    spec.bias = base_.bias != nullptr;
    spec.prelu = base_.slope != nullptr;
    spec.clamps = base_.clamps;
    spec.lo = base_.lo;
    spec.hi = base_.hi;
    spec.residual = has_residual_;
    spec.residual_first = base_.residual_first;
    spec.second_output = has_second();
  }
  std::int32_t bias_classes() const noexcept { return base_.bias_classes; }
  bool activates_or_adds() const noexcept {
    return base_.slope != nullptr || base_.clamps || has_residual_ || has_second();
  }
  const std::string& suffix() const noexcept { return suffix_; }
  std::size_t bytes() const noexcept {
    return bias_.bytes() + slope_.bytes() + scale2_.bytes() + shift2_.bytes();
  }

 private:
  bool has_second() const noexcept { return base_.scale2 != nullptr; }

  DeviceParameter bias_, slope_, scale2_, shift2_;
  kernels::cuda::FusedEpilogue base_;  // without what differs from run to run
  bool has_residual_;
  std::string suffix_;
};

}  // namespace aikd::nn
