#include "bench/cuda/ceilings.h"

#include <algorithm>

#include "kernels/cuda/cublas_linear.h"
#include "kernels/fill.h"

namespace aikd::bench {
namespace {

using kernels::Storage;
using nn::Precision;

double copy_rate(Card& card, Report& report, const char* way, std::int64_t bytes,
                 const std::function<void(int)>& launch, int sets) {
  const Timing timing = time_launches(card, sets, launch);
  const double rate = 2.0 * static_cast<double>(bytes) / (timing.us * 1e-6);
  std::printf("  copy, %-22s %9.1f us %9.1f GB/s read + written\n", way, timing.us, rate * 1e-9);
  report.row({{"kind", "ceiling"},
              {"what", "copy"},
              {"way", way},
              {"bytes", bytes},
              {"us", timing.us},
              {"spread", timing.spread},
              {"gbps", rate * 1e-9}});
  return rate;
}

// 0 when cuBLASLt is absent.
double matrix_rate(Card& card, Report& report, Precision precision, std::int64_t extent) {
  const Storage storage = storage_of(precision);
  constexpr std::size_t kWorkspace = std::size_t{32} << 20;  // what cuBLASLt wants on Hopper
  const kernels::Context ctx = card.context().kernel_context(kWorkspace);
  Arrays x(card, 1, storage, extent * extent), w(card, 1, storage, extent * extent),
      y(card, 1, storage, extent * extent);
  const kernels::cuda::CublasLinearSpec spec{.rows = extent,
                                             .in = extent,
                                             .out = extent,
                                             .input = storage,
                                             .output = storage,
                                             .tf32 = precision == Precision::kTf32};
  if (!kernels::cuda::cublas_linear(ctx, spec, x(0), w(0), nullptr, y(0))) {
    report.note(std::string("matrix product, ") + nn::name_of(precision) +
                ": cuBLASLt is absent or has no algorithm.");
    return 0;
  }
  const Timing timing = time_launches(
      card, 1, [&](int) { (void)kernels::cuda::cublas_linear(ctx, spec, x(0), w(0), nullptr, y(0)); });
  const double e = static_cast<double>(extent);
  const double rate = 2 * e * e * e / (timing.us * 1e-6);
  std::printf("  matrix product, %-12s %9.1f us %9.1f TFLOP/s (%ld^3)\n", nn::name_of(precision), timing.us,
              rate * 1e-12, static_cast<long>(extent));
  report.row({{"kind", "ceiling"},
              {"what", "matrix"},
              {"precision", nn::name_of(precision)},
              {"extent", extent},
              {"us", timing.us},
              {"spread", timing.spread},
              {"tflops", rate * 1e-12}});
  return rate;
}

}  // namespace

double Ceilings::matrix(Precision precision) const {
  const auto found = flops_per_s.find(precision);
  return found == flops_per_s.end() ? 0 : found->second;
}

Ceilings measure_ceilings(Card& card, Report& report, std::int64_t extent, std::int64_t copy_bytes) {
  std::printf("ceilings:\n");
  Ceilings ceilings;
  {
    const auto bytes = static_cast<std::size_t>(copy_bytes);
    const int sets = card.sets(2.0 * static_cast<double>(copy_bytes));
    Arrays from(card, sets, Storage::kF32, copy_bytes / 4), to(card, sets, Storage::kF32, copy_bytes / 4);
    const kernels::Context ctx = card.context().kernel_context();
    const double kernel = copy_rate(
        card, report, "our kernel", copy_bytes,
        [&](int set) { kernels::cuda::copy(ctx, bytes, from(set), to(set)); }, sets);
    const double runtime = copy_rate(
        card, report, "the CUDA runtime's", copy_bytes,
        [&](int set) { cuda::copy_on_device(to(set), from(set), bytes, card.context().stream()); }, sets);
    ceilings.bytes_per_s = std::max(kernel, runtime);
  }
  for (const Precision precision : {Precision::kBf16, Precision::kFp16, Precision::kTf32, Precision::kFp32}) {
    const double rate = matrix_rate(card, report, precision, extent);
    if (rate > 0) ceilings.flops_per_s[precision] = rate;
  }
  return ceilings;
}

}  // namespace aikd::bench
