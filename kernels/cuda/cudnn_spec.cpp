#include "kernels/cuda/cudnn_spec.h"

#include <utility>

namespace aikd::kernels::cuda {
namespace {

constexpr const char* name_of(ConvDirection direction) {
  return direction == ConvDirection::kForward        ? "forward"
         : direction == ConvDirection::kDataGradient ? "data gradient"
                                                     : "filter gradient";
}

}  // namespace

std::string describe(const CudnnConvSpec& spec) {
  const Conv2dDims& d = spec.dims;
  const auto number = [](std::int64_t value) { return std::to_string(value); };
  std::string text = std::string(name_of(spec.direction)) + " " + number(d.r) + "x" + number(d.s) +
                     " stride " + number(d.stride) + " pad " + number(d.pad) + ", " + number(d.c) + " to " +
                     number(d.k) + " channels, " + number(d.n) + " images of " + number(d.h) + "x" +
                     number(d.w) + ", " + (spec.tf32 ? "tf32" : name_of(spec.storage));
  const char* separator = ", with ";
  const auto add = [&](bool present, const char* what) {
    if (present) text += std::exchange(separator, ", ") + std::string(what);
  };
  add(spec.bias, "bias");
  add(spec.prelu, "PReLU");
  add(spec.clamps, "clamp");
  add(spec.residual, spec.residual_first ? "residual before" : "residual");
  add(spec.second_output, "second output");
  return text;
}

std::string check(const CudnnConvSpec& spec) {
  const Conv2dDims& d = spec.dims;
  if (d.n < 1 || d.c < 1 || d.k < 1 || d.r < 1 || d.s < 1 || d.stride < 1 || d.pad < 0 || d.p() < 1 ||
      d.q() < 1)
    return "an extent is less than 1";
  if (spec.direction != ConvDirection::kForward &&
      (spec.bias || spec.prelu || spec.clamps || spec.residual || spec.second_output))
    return "a gradient has no epilogue";
  if (spec.prelu && spec.clamps) return "there is one activation, PReLU or clamp";
  return {};
}

}  // namespace aikd::kernels::cuda
