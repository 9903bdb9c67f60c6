// Convolutions through cuDNN 9's graph interface (the backend API). NHWC activations, KRSC filters.
//
// Forward, with everything that follows the sum fused where cuDNN has an engine for it:
//
//   s = conv(x, weight) + bias[k]
//   y = activation(s) + residual           (residual_first == false)
//   y = activation(s + residual)           (residual_first == true)
//   y2 = y * scale2[k] + shift2[k]         (second output: the BatchNorm before the next padded convolution)
//
// activation: PReLU with slope[k], or clamp to [lo, hi], or none (activation.h). See design in
// kernels/README.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>

#include "kernels/conv2d.h"
#include "kernels/cuda/libraries.h"
#include "kernels/storage.h"

namespace aikd::kernels::cuda {

enum class ConvDirection : std::uint8_t { kForward, kDataGradient, kFilterGradient };

struct CudnnConvSpec {
  ConvDirection direction = ConvDirection::kForward;
  Conv2dDims dims;  // dims.n counts: plans are per batch size
  // Of x, y, residual, y2 and of the filters; bias, slope, scale2, shift2 are fp32.
  Storage storage = Storage::kF32;
  bool tf32 = false;          // with Storage::kF32: tensor cores with 10-bit mantissas may be used
  bool deterministic = true;  // only engines that give the same bits run after run
  // Forward only:
  bool bias = false, prelu = false, clamps = false, residual = false, residual_first = false,
       second_output = false;
  float lo = 0, hi = 0;

  friend bool operator==(const CudnnConvSpec& a, const CudnnConvSpec& b) {
    const auto key = [](const CudnnConvSpec& s) {
      const Conv2dDims& d = s.dims;
      return std::tuple(s.direction, d.n, d.h, d.w, d.c, d.k, d.r, d.s, d.stride, d.pad, s.storage, s.tf32,
                        s.deterministic, s.bias, s.prelu, s.clamps, s.residual, s.residual_first,
                        s.second_output, s.lo, s.hi);
    };
    return key(a) == key(b);
  }
};

// Device pointers of one run, aligned to 16 bytes; those the spec does not name are not read. y and y2
// overlap no other.
struct CudnnConvPointers {
  const void* x = nullptr;         // forward, filter gradient: [n,h,w,c]
  const void* weight = nullptr;    // forward, data gradient: [k,r,s,c]
  const void* dy = nullptr;        // both gradients: [n,p,q,k]
  const float* bias = nullptr;     // [k]
  const float* slope = nullptr;    // [k]
  const void* residual = nullptr;  // [n,p,q,k]
  const float* scale2 = nullptr;   // [k]
  const float* shift2 = nullptr;   // [k]
  void* y = nullptr;  // the result: y, dx or dweight (fp32 storage of dweight follows spec.storage)
  void* y2 = nullptr;
};

// An execution plan: finalised, knows its workspace. Reused for every call of its spec.
class CudnnConv {
 public:
  virtual ~CudnnConv() = default;
  virtual std::size_t workspace_bytes() const noexcept = 0;
  virtual std::string engine() const = 0;  // "engine 38, heuristic 2 of 7" for --verbose
  // Runs on the stream of `ctx`; ctx.workspace must hold workspace_bytes(). Failures go to ctx.on_error. The
  // first run of a plan may load code, which a capture into a CUDA graph does not allow: run it once before.
  virtual void run(const Context& ctx, const CudnnConvPointers& pointers) const = 0;
};

struct CudnnConvChoice {
  std::unique_ptr<CudnnConv> plan;  // null: cuDNN has no engine for this spec (or is absent); `why` tells
  std::string why;
};

// By cuDNN's heuristics: the first engine whose plan can be built and, unless allowed, is deterministic and
// computes in full fp32 (cudnn_engines.cpp says which arithmetic is taken for that). `autotune`: times the
// first 16 such plans on scratch buffers of its own (never on live data) and keeps the fastest; another run
// of the program may then find another one fastest, and get other last digits. Workspace is limited to
// `workspace_limit` bytes. Never throws.
//
// What to expect on Hopper, from cuDNN 9.19 itself (tests/cuda/cudnn_graph_check.cpp asks it): with 16-bit
// storage and with TF32 every epilogue above is fused, whatever c and k; multiples of 8 (16-bit) or 4 (TF32)
// serve the tensor cores best. Except, with TF32, a clamp to two finite bounds after nothing but a bias, of
// which most shapes have none. In exact fp32 a bias is fused, or a bias and a ReLU (clamp to [0, inf]),
// nothing more: the engines that fuse the rest need tensor cores. Without an epilogue there is an engine for
// everything, both gradients too. So a caller tries the whole, and on null the bare convolution followed by
// its own epilogue kernel.
CudnnConvChoice make_cudnn_conv(Libraries& libraries, const CudnnConvSpec& spec, bool autotune = false,
                                std::size_t workspace_limit = std::size_t{1} << 30, void* stream = nullptr);

}  // namespace aikd::kernels::cuda
