// The subcommand `kernels`: every kernel at the large shapes of iResNet-100, held against the ceilings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/cuda/card.h"
#include "bench/cuda/ceilings.h"
#include "bench/cuda/report.h"
#include "kernels/context.h"

namespace aikd::bench {

struct KernelOptions {
  std::int64_t batch = 128;
  std::vector<std::int64_t> conv_batches = {256, 86, 128};
  std::string only;  // names that contain it; empty: all
  // Small shapes, to see that everything runs (in the host emulator, for one); the rates mean nothing.
  bool trial = false;
};

struct KernelCase {
  std::string name, shape;
  kernels::Storage storage = kernels::Storage::kF32;
  double bytes = 0;  // read once + written once, as the kernel's header counts them
  int sets = 1;
  std::size_t workspace = 0;
  std::function<void(const kernels::Context& ctx, int set)> launch;
};

class KernelBench {
 public:
  KernelBench(Card& card, Report& report, const Ceilings& ceilings, const Deadline& deadline,
              const KernelOptions& options)
      : card_(&card), report_(&report), ceilings_(&ceilings), deadline_(&deadline), options_(&options) {}

  Card& card() { return *card_; }
  Report& report() { return *report_; }
  const Ceilings& ceilings() const { return *ceilings_; }
  const KernelOptions& options() const { return *options_; }

  bool wanted(const std::string& name) const {
    return options_->only.empty() || name.find(options_->only) != std::string::npos;
  }
  // False, and counted, when the time is up.
  bool time_left();
  int left_out() const noexcept { return left_out_; }

  // A memory-bound kernel.
  void run(const KernelCase& kernel);

 private:
  Card* card_;
  Report* report_;
  const Ceilings* ceilings_;
  const Deadline* deadline_;
  const KernelOptions* options_;
  int left_out_ = 0;
};

void bench_pointwise(KernelBench& bench);     // pointwise_cases.cpp
void bench_batch_norm(KernelBench& bench);    // pointwise_cases.cpp
void bench_losses(KernelBench& bench);        // training_cases.cpp
void bench_optimisers(KernelBench& bench);    // training_cases.cpp
void bench_images(KernelBench& bench);        // image_cases.cpp
void bench_convolutions(KernelBench& bench);  // convolution_cases.cpp

}  // namespace aikd::bench
