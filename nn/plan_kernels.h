// The steps a plan is made of: each holds its packed parameters and runs on blocked tensors
// (kernels/blocked.h). A step's make_ function is where its algorithm is chosen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "kernels/context.h"
#include "nn/plan_fuse.h"

namespace aikd::nn {

// How a value lies in the plan's memory: an image in blocks of 16 channels, or features padded with zeros to
// a multiple of 32 (the largest block of outputs a kernel stores at once).
struct PlanValue {
  std::int64_t c = 1, h = 1, w = 1;  // of a vector: its features, 1, 1
  bool vector = false;
  explicit PlanValue(const Shape& shape);
  PlanValue() = default;
  std::int64_t stored_channels() const noexcept;
  std::int64_t floats() const noexcept;  // per image
};

class PlanKernel {
 public:
  virtual ~PlanKernel() = default;
  // Assigns y for n images. residual is null unless the op has one. y may be residual where
  // overwrites_residual(), and x where elementwise().
  virtual void run(const kernels::Context& ctx, std::int64_t n, const float* x, const float* residual,
                   float* y) const = 0;
  virtual std::string name() const = 0;
  virtual std::int64_t macs() const noexcept { return 0; }  // per image
  virtual std::size_t parameter_bytes() const noexcept { return 0; }
  // For n images and so many threads.
  virtual std::size_t workspace_bytes(std::int64_t /*n*/, int /*threads*/) const { return 0; }
  // Whether each element of the residual is read before that element of y is first written.
  virtual bool overwrites_residual() const noexcept { return true; }
  // Whether element i of y depends on element i of x alone, so that y may be x.
  virtual bool elementwise() const noexcept { return false; }
};

// The step for `op`, whose input and output lie as x and y say. The graph is not needed afterwards.
// `winograd`: PlanOptions::winograd.
std::unique_ptr<PlanKernel> make_plan_kernel(const FusedOp& op, const PlanValue& x, const PlanValue& y,
                                             bool winograd);

}  // namespace aikd::nn
