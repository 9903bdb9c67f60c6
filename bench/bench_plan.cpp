// The scoring plan: whole networks, each kernel alone at the shapes of iResNet-100, and the processor's peak
// to compare with. FLOP/s counts every multiply-add of the definition as two, also those with the zero
// padding, which the direct convolution skips: it may exceed the peak.
//
//   bench_plan --benchmark_filter=plan/iresnet100            names: plan/<network>/<batch>/<threads>
//   AIKD_ISA=avx2 bench_plan --benchmark_filter=conv
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "bench/peak.h"
#include "kernels/blocked_conv.h"
#include "kernels/isa.h"
#include "kernels/linear.h"
#include "kernels/winograd.h"
#include "nn/initialise.h"
#include "nn/networks.h"
#include "nn/plan.h"
#include "tensor/random.h"

namespace {

using namespace aikd;

void set_flops(benchmark::State& state, std::int64_t macs) {
  state.counters["FLOP/s"] =
      benchmark::Counter(2.0 * static_cast<double>(macs), benchmark::Counter::kIsIterationInvariantRate);
}

void peak(benchmark::State& state) {
  float sink = 0;
  std::int64_t macs = 0;
  for (auto _ : state) {
    macs = bench::multiply_adds(1'000'000, &sink);
    benchmark::DoNotOptimize(sink);
  }
  set_flops(state, macs);
}

void plan(benchmark::State& state, const std::string& architecture) {
  const auto batch = static_cast<int>(state.range(0));
  Context context(Device::cpu(), static_cast<int>(state.range(1)));
  const auto net = nn::make_backbone(architecture, nn::default_embedding_size(architecture), 1e-5F);
  nn::initialise(*net, 1);
  nn::InputTable table;
  for (int c = 0; c < 3; ++c) {
    for (int b = 0; b < 256; ++b) table.table[c][b] = (static_cast<float>(b) / 255.0F - 0.5F) / 0.5F;
  }
  const auto compiled = nn::Plan::compile(*net, nullptr, table, context, {.max_batch = batch});
  Random random(1);
  std::vector<std::uint8_t> images(static_cast<std::size_t>(batch) * 112 * 112 * 3);
  for (std::uint8_t& v : images) v = static_cast<std::uint8_t>(random.below(256));
  std::vector<float> embeddings(static_cast<std::size_t>(batch * compiled->embedding_size()));
  compiled->run(images, batch, embeddings, {});
  for (auto _ : state) compiled->run(images, batch, embeddings, {});
  set_flops(state, compiled->macs_per_image() * batch);
  state.counters["images/s"] = benchmark::Counter(batch, benchmark::Counter::kIsIterationInvariantRate);
}

// Memory with small values; 64-byte aligned.
Buffer values(std::size_t count) {
  Buffer buffer(count * sizeof(float), Device::cpu());
  Random random(2);
  auto* data = static_cast<float*>(buffer.mutable_data());
  for (std::size_t i = 0; i < count; ++i) data[i] = static_cast<float>(random.uniform(-1, 1));
  return buffer;
}

// range: c, k, height and width, filter, stride.
void conv(benchmark::State& state) {
  const std::int64_t extent = state.range(2), filter = state.range(3);
  const kernels::Conv2dDims dims{.n = 1,
                                 .h = extent,
                                 .w = extent,
                                 .c = state.range(0),
                                 .k = state.range(1),
                                 .r = filter,
                                 .s = filter,
                                 .stride = state.range(4),
                                 .pad = filter / 2};
  const kernels::BlockedConv prepared = kernels::cpu::prepare_blocked_conv(dims);
  const auto floats = [](std::int64_t count) { return static_cast<std::size_t>(count); };
  Buffer x = values(floats(kernels::padded_channels(dims.c) * extent * extent));
  Buffer y = values(floats(kernels::padded_channels(dims.k) * dims.p() * dims.q()));
  Buffer w = values(kernels::cpu::packed_filter_floats(prepared));
  Buffer parameters = values(floats(kernels::padded_parameters(dims.k)));
  const auto data = [](const Buffer& b) { return static_cast<const float*>(b.data()); };
  for (auto _ : state)
    kernels::cpu::blocked_conv({}, prepared, 1, data(x), data(w), data(parameters), 1,
                               {.slope = data(parameters)}, static_cast<float*>(y.mutable_data()));
  set_flops(state, dims.macs_per_image());
}

// range: c, k, height and width, images. Filters stay in the caches here; a whole network streams them.
void winograd(benchmark::State& state) {
  const std::int64_t extent = state.range(2), n = state.range(3);
  const kernels::Conv2dDims dims{
      .n = 1, .h = extent, .w = extent, .c = state.range(0), .k = state.range(1), .r = 3, .s = 3, .pad = 1};
  const auto floats = [](std::int64_t count) { return static_cast<std::size_t>(count); };
  Buffer x = values(floats(n * dims.c * extent * extent));
  Buffer y = values(floats(n * dims.k * extent * extent));
  Buffer w = values(kernels::cpu::packed_filter_floats(kernels::cpu::prepare_blocked_conv(dims)));
  Buffer parameters = values(floats(kernels::padded_parameters(dims.k)));
  Buffer workspace(kernels::cpu::winograd_workspace_bytes(dims, n, 1), Device::cpu());
  const auto data = [](const Buffer& b) { return static_cast<const float*>(b.data()); };
  for (auto _ : state)
    kernels::cpu::winograd_conv({.workspace = workspace.mutable_data()}, dims, n, data(x), data(w),
                                data(parameters), 1, {.slope = data(parameters)},
                                static_cast<float*>(y.mutable_data()));
  set_flops(state, n * dims.macs_per_image());
}

// range: rows, in, out.
void linear(benchmark::State& state) {
  const kernels::LinearDims dims{.rows = state.range(0), .in = state.range(1), .out = state.range(2)};
  Buffer x = values(static_cast<std::size_t>(dims.rows * dims.in));
  const std::int64_t step = kernels::cpu::linear_padded_outputs(dims.out);
  Buffer y = values(static_cast<std::size_t>(dims.rows * step)),
         bias = values(static_cast<std::size_t>(step));
  Buffer w = values(kernels::cpu::packed_linear_floats(dims.in, dims.out));
  const auto data = [](const Buffer& b) { return static_cast<const float*>(b.data()); };
  for (auto _ : state)
    kernels::cpu::packed_linear({}, dims, data(x), dims.in, data(w), data(bias),
                                static_cast<float*>(y.mutable_data()), step);
  set_flops(state, dims.rows * dims.in * dims.out);
}

}  // namespace

BENCHMARK(peak)->Unit(benchmark::kMillisecond);
BENCHMARK(conv)
    ->ArgNames({"c", "k", "hw", "filter", "stride"})
    ->Args({3, 64, 112, 3, 1})
    ->Args({64, 64, 112, 3, 1})
    ->Args({64, 64, 112, 3, 2})
    ->Args({64, 64, 112, 1, 2})
    ->Args({64, 64, 56, 3, 1})
    ->Args({64, 128, 56, 3, 1})
    ->Args({128, 128, 28, 3, 1})
    ->Args({128, 256, 28, 3, 1})
    ->Args({256, 256, 14, 3, 1})
    ->Args({256, 512, 14, 3, 1})
    ->Args({512, 512, 7, 3, 1})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(winograd)
    ->ArgNames({"c", "k", "hw", "n"})
    ->Args({64, 64, 112, 1})
    ->Args({64, 64, 56, 1})
    ->Args({128, 128, 28, 1})
    ->Args({128, 128, 28, 8})
    ->Args({256, 256, 14, 1})
    ->Args({256, 256, 14, 8})
    ->Args({512, 512, 7, 1})
    ->Args({512, 512, 7, 8})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(linear)
    ->ArgNames({"rows", "in", "out"})
    ->Args({1, 25088, 512})
    ->Args({8, 25088, 512})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(plan, iresnet100, std::string("iresnet100"))
    ->ArgNames({"batch", "threads"})
    ->ArgsProduct({{1, 8}, {1, 2}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(plan, iresnet18, std::string("iresnet18"))
    ->ArgNames({"batch", "threads"})
    ->ArgsProduct({{1}, {1, 2}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(plan, mobilefacenet, std::string("mobilefacenet"))
    ->ArgNames({"batch", "threads"})
    ->ArgsProduct({{1, 8}, {1, 2}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_MAIN();
