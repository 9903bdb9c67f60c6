// What follows the sums of a step (kernels/epilogue.h), with its parameters on the device.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "kernels/cuda/cudnn_conv.h"
#include "kernels/epilogue.h"
#include "nn/cuda/cuda_steps.h"
#include "nn/cuda/device_parameter.h"

namespace aikd::nn {

// The parameters of what follows a sum, on the device, padded.
class EpilogueParameters {
 public:
  EpilogueParameters(const FusedOp& op, const CudaValue& y, const FoldedWeights& folded, const Affine& second,
                     Context& context)
      : residual_first_(op.residual_first), clamps_(op.clamps), lo_(op.lo), hi_(op.hi) {
    // A vector that is a flattened image has its features pixel by pixel.
    const std::int64_t rows = y.vector ? y.pixels() : 1;
    const auto upload = [&](std::span<const float> values) {
      return DeviceParameter(context, pad_rows<float>(values, y.c, y.padded), kernels::Storage::kF32);
    };
    bias_classes_ = static_cast<std::int32_t>(folded.bias_classes);
    if (!folded.bias.empty()) bias_ = upload(folded.bias);
    if (op.slope != nullptr) {
      const auto given = op.slope->values<float>();
      std::vector<float> slope(static_cast<std::size_t>(rows * y.c), given[0]);
      if (given.size() == slope.size()) std::copy(given.begin(), given.end(), slope.begin());
      slope_ = upload(slope);
    }
    if (!second.identity()) {
      const std::vector<float> scale(second.scale.begin(), second.scale.end());
      const std::vector<float> shift(second.shift.begin(), second.shift.end());
      scale2_ = upload(scale);
      shift2_ = upload(shift);
    }
    if (op.residual >= 0 && op.residual_first) suffix_ += " +add";
    if (op.slope != nullptr) suffix_ += " +prelu";
    if (op.clamps) suffix_ += " +clamp";
    if (op.residual >= 0 && !op.residual_first) suffix_ += " +add";
    if (!second.identity()) suffix_ += " and batch_norm";
    has_residual_ = op.residual >= 0;
  }

  kernels::cuda::FusedEpilogue with(const StepPointers& p) const {
    kernels::cuda::FusedEpilogue epilogue;
    epilogue.bias = bias_.floats();
    epilogue.bias_classes = bias_classes_;
    epilogue.slope = slope_.floats();
    epilogue.clamps = clamps_;
    epilogue.lo = lo_;
    epilogue.hi = hi_;
    epilogue.residual = has_residual_ ? p.residual : nullptr;
    epilogue.residual_first = residual_first_;
    epilogue.scale2 = scale2_.floats();
    epilogue.shift2 = shift2_.floats();
    epilogue.y2 = scale2_.floats() == nullptr ? nullptr : p.second;
    return epilogue;
  }
  // What cuDNN is asked to fuse.
  void describe(kernels::cuda::CudnnConvSpec& spec) const {
    spec.bias = bias_.floats() != nullptr;
    spec.prelu = slope_.floats() != nullptr;
    spec.clamps = clamps_;
    spec.lo = lo_;
    spec.hi = hi_;
    spec.residual = has_residual_;
    spec.residual_first = residual_first_;
    spec.second_output = scale2_.floats() != nullptr;
  }
  std::int32_t bias_classes() const noexcept { return bias_classes_; }
  bool activates_or_adds() const noexcept {
    return slope_.floats() != nullptr || clamps_ || has_residual_ || scale2_.floats() != nullptr;
  }
  const std::string& suffix() const noexcept { return suffix_; }
  std::size_t bytes() const noexcept {
    return bias_.bytes() + slope_.bytes() + scale2_.bytes() + shift2_.bytes();
  }

 private:
  DeviceParameter bias_, slope_, scale2_, shift2_;
  std::int32_t bias_classes_ = 1;
  bool residual_first_, clamps_, has_residual_ = false;
  float lo_, hi_;
  std::string suffix_;
};

}  // namespace aikd::nn
