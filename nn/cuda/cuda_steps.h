// The steps of a CUDA plan. Each holds its parameters on the device and runs on NHWC values whose channels
// are padded with zeros to what 16-byte accesses and tensor cores want.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/context.h"
#include "kernels/cuda/cudnn_conv.h"
#include "kernels/storage.h"
#include "nn/plan.h"
#include "nn/plan_fuse.h"
#include "tensor/context.h"

namespace aikd::nn {

// How a value lies in the plan's memory: [n][h][w][padded]. A vector is fp32; when it is a flattened image
// its features are still in this order (h*w*c of them).
struct CudaValue {
  std::int64_t h = 1, w = 1, c = 1;
  std::int64_t padded = 1;  // channels stored per pixel, those beyond c zero or multiplied by zero filters
  bool vector = false;
  kernels::Storage storage = kernels::Storage::kF32;

  std::int64_t pixels() const noexcept { return h * w; }
  std::int64_t elements() const noexcept { return h * w * padded; }  // per image
  std::size_t bytes(std::int64_t n) const noexcept {
    return static_cast<std::size_t>(n * elements()) * kernels::bytes_of(storage);
  }
};
// Channels per pixel of an image in this storage: whole 16-byte accesses (4 or 8).
std::int64_t padded_for(kernels::Storage storage, std::int64_t channels) noexcept;

// The convolution plans of one scoring plan, each built once per shape and batch size.
class ConvEngines {
 public:
  ConvEngines(Context& context, bool autotune) : context_(&context), autotune_(autotune) {}
  bool has_cudnn() const;
  // Null where cuDNN has no engine for it (or is absent).
  std::shared_ptr<const kernels::cuda::CudnnConv> find(const kernels::cuda::CudnnConvSpec& spec);

 private:
  struct Known {
    kernels::cuda::CudnnConvSpec spec;
    std::shared_ptr<const kernels::cuda::CudnnConv> plan;
  };
  Context* context_;
  bool autotune_;
  std::vector<Known> known_;
};

struct StepPointers {
  const void* x = nullptr;
  const void* residual = nullptr;
  void* y = nullptr;
  void* second = nullptr;
};

class CudaStep {
 public:
  virtual ~CudaStep() = default;
  // Chooses what depends on the batch size n; returns the bytes of scratch that run(n) needs.
  virtual std::size_t prepare(std::int64_t) { return 0; }
  // Launches; n has been prepared. Assigns y, and `second` where the step has one.
  virtual void run(const kernels::Context& ctx, std::int64_t n, const StepPointers& pointers) const = 0;
  virtual std::string name() const = 0;  // with the engine of the last prepare()
  virtual std::int64_t macs() const noexcept { return 0; }
  virtual std::size_t parameter_bytes() const noexcept { return 0; }
};

struct CudaStepSpec {
  const FusedOp* op = nullptr;
  CudaValue x, y;
  // y2 = y * second.scale + second.shift is wanted beside y (or, with `only_second`, this step is that alone:
  // a scale and shift of x into y).
  Affine second;
};

// `tf32`: see Precision. Parameters are uploaded to the context's device.
std::unique_ptr<CudaStep> make_cuda_step(const CudaStepSpec& spec, Context& context, ConvEngines& engines,
                                         bool tf32);
// y = x * affine.scale + affine.shift.
std::unique_ptr<CudaStep> make_affine_step(const CudaValue& x, const Affine& affine, Context& context);

}  // namespace aikd::nn
