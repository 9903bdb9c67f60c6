// The compiled scoring plan: a network walked once and turned into a list of fused steps with all memory
// planned and all weights packed. BatchNorm is folded exactly (the one before a padded convolution into nine
// border biases), bias, PReLU and residual addition run in the epilogue of the convolution that produces
// their operand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nn/module.h"
#include "tensor/context.h"

namespace aikd::nn {

// How 8-bit RGB pixels become the network's input: value = table[c][byte] where c counts the network's
// channels, and the network's channel c is the image's channel source[c] (RGB order). Built by
// aikd/preprocess so that each entry equals the original's float arithmetic bit for bit.
struct InputTable {
  int height = 112, width = 112;
  int source[3] = {0, 1, 2};
  float table[3][256] = {};
};

// What a plan computes in. fp32 is exact (every multiply-add in fp32). The others run on CUDA only: tf32
// rounds the inputs of convolutions and linear layers to 10 mantissa bits and keeps everything else in fp32;
// fp16 and bf16 also store activations and filters in 16 bits. Sums are fp32 always; the head and the
// embedding are fp32 always.
enum class Precision : std::uint8_t { kFp32, kTf32, kFp16, kBf16 };
const char* name_of(Precision precision) noexcept;  // "fp32", ...
std::optional<Precision> precision_from_name(std::string_view name) noexcept;

struct PlanOptions {
  int max_batch = 8;  // larger batches are run in pieces
  Precision precision = Precision::kFp32;
  // CPU only: 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3) (kernels/winograd.h): fp32 as well, with
  // three to four times fewer multiplications, and other last digits (tests/nn/test_plan.cpp). Else direct.
  bool winograd = true;
  // CUDA only:
  bool autotune = false;  // time cuDNN's engines for every convolution instead of trusting its heuristics
  bool graph = true;      // record each batch size once and replay it with one launch
};

struct PlanStep {         // for --verbose, benchmarks and tests: what the compiler decided
  std::string name;       // "conv 3x3 s1 256->256 @14x14 direct"
  std::int64_t macs = 0;  // multiply-adds per image
};

class Plan {
 public:
  // Compiles backbone (image -> embedding) and, if not null, head (embedding -> [N,1]). Both are read during
  // compilation only. Throws Error(kModel) when a layer cannot be planned.
  static std::unique_ptr<Plan> compile(const Module& backbone, const Module* head, const InputTable& input,
                                       Context& context, const PlanOptions& options = {});
  virtual ~Plan() = default;

  // images: n x height x width x 3 bytes. embeddings: n x embedding_size() floats, or empty. head_output: n
  // floats, or empty (must be empty without a head). n = 0 does nothing. Uses the Context given to compile(),
  // which must outlive the plan; one call at a time. The result for an image does not depend on what else is
  // in the batch nor on the number of threads (bitwise). On the CPU it does not depend on n either; on CUDA
  // the last digits may, because cuDNN chooses an engine for each size that a batch is rounded up to.
  virtual void run(std::span<const std::uint8_t> images, std::int64_t n, std::span<float> embeddings,
                   std::span<float> head_output) = 0;

  // The same for images that no bytes can stand for: values as the network sees them, n x height x width x 3
  // floats, the network's channels (after InputTable's table and order of channels). Gives the same bits as
  // run() does for the bytes of the same values. Error(kDevice) where a plan takes bytes only.
  virtual void run_values(std::span<const float> values, std::int64_t n, std::span<float> embeddings,
                          std::span<float> head_output);

  virtual std::int64_t embedding_size() const noexcept = 0;
  std::int64_t macs_per_image() const noexcept;           // of all steps
  virtual std::size_t memory_bytes() const noexcept = 0;  // packed weights and activations
  virtual const std::vector<PlanStep>& steps() const noexcept = 0;
};

}  // namespace aikd::nn
