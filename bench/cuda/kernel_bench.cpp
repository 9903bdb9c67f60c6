#include "bench/cuda/kernel_bench.h"

namespace aikd::bench {

bool KernelBench::time_left() {
  if (!deadline_->passed()) return true;
  ++left_out_;
  return false;
}

void KernelBench::run(const KernelCase& kernel) {
  if (!wanted(kernel.name) || !time_left()) return;
  const kernels::Context ctx = card_->context().kernel_context(kernel.workspace);
  const Timing timing = time_launches(*card_, kernel.sets, [&](int set) { kernel.launch(ctx, set); });
  const double rate = kernel.bytes / (timing.us * 1e-6);
  const double fraction = rate / ceilings_->bytes_per_s;
  std::printf("  %-30s %-16s %-4s %10.1f us %8.1f GB/s  %5.1f %% of copy\n", kernel.name.c_str(),
              kernel.shape.c_str(), kernels::name_of(kernel.storage), timing.us, rate * 1e-9, 100 * fraction);
  report_->row({{"kind", "kernel"},
                {"name", kernel.name},
                {"shape", kernel.shape},
                {"storage", kernels::name_of(kernel.storage)},
                {"us", timing.us},
                {"spread", timing.spread},
                {"bytes", kernel.bytes},
                {"gbps", rate * 1e-9},
                {"of_copy", fraction}});
}

}  // namespace aikd::bench
