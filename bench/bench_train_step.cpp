// A whole training step of iResNet-100 (aikd/train_step.h): teacher, student, losses, gradients, clipping,
// SGD, EMA; batch 8, the published choice of trained tensors (`limit: 100`), seeded weights, images without a
// loader.
//
//   bench_train_step --benchmark_repetitions=3
//
// bench/peers/train_step.py runs it beside PyTorch.
#include <benchmark/benchmark.h>

#include "aikd/process_memory.h"
#include "aikd/train_step.h"
#include "aikd/untrained.h"
#include "tensor/random.h"

namespace {

using namespace aikd;

constexpr std::int64_t kBatch = 8;

TrainBatch random_batch() {
  TrainBatch batch;
  batch.n = kBatch;
  Random random(1);
  for (auto* images : {&batch.aligned, &batch.misaligned}) {
    images->resize(static_cast<std::size_t>(kBatch) * 112 * 112 * 3);
    for (std::uint8_t& value : *images) value = static_cast<std::uint8_t>(random.below(256));
  }
  for (std::int64_t i = 0; i < kBatch; ++i) batch.labels.push_back(static_cast<float>(random.uniform()));
  return batch;
}

// range: threads, limit.
void train_step(benchmark::State& state) {
  Context context(Device::cpu(), static_cast<int>(state.range(0)));
  const std::unique_ptr<Model> teacher =
      make_untrained({.architecture = "iresnet100", .head = "none"}, calibration_faces(1, 4), context);
  TrainConfig config = train_defaults(TrainMethod::kAikd, false);
  config.batch = kBatch;
  config.limit = state.range(1);
  const std::unique_ptr<Model> student = make_student(*teacher, config);
  TrainStep step(teacher.get(), *student, context, config, 1);
  const TrainBatch batch = random_batch();
  step.run(batch, 0.01);  // memory is got
  for (auto _ : state) benchmark::DoNotOptimize(step.run(batch, 0.01));
  state.counters["ms/image"] = benchmark::Counter(
      kBatch * 1e-3, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  state.counters["MiB"] = peak_memory_mib();
}

}  // namespace

BENCHMARK(train_step)
    ->ArgNames({"threads", "limit"})
    ->Args({1, 100})
    ->Args({2, 100})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->MeasureProcessCPUTime();
BENCHMARK_MAIN();
