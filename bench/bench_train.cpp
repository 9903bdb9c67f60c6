// Training on the CPU: each gradient kernel alone at the shapes of iResNet-100's trained part (batch 8), and
// that part as a whole on the tape. FLOP/s counts every multiply-add of the definition as two; beside `peak`
// of bench_plan it tells the fraction of what the processor can do.
//
//   bench_train --benchmark_filter=filter_gradient
//   bench_train --benchmark_filter=trained_part --benchmark_repetitions=5
#include <benchmark/benchmark.h>

#include "bench/peak.h"
#include "bench/trained_part.h"
#include "kernels/batch_norm.h"
#include "kernels/conv2d_gradients.h"
#include "kernels/gradients.h"
#include "tensor/context.h"
#include "tensor/random.h"

namespace {

using namespace aikd;
namespace cpu = kernels::cpu;

void set_flops(benchmark::State& state, std::int64_t macs) {
  state.counters["FLOP/s"] =
      benchmark::Counter(2.0 * static_cast<double>(macs), benchmark::Counter::kIsIterationInvariantRate);
}
void set_bytes(benchmark::State& state, std::int64_t bytes) {
  state.counters["B/s"] =
      benchmark::Counter(static_cast<double>(bytes), benchmark::Counter::kIsIterationInvariantRate);
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

Tensor values(const Shape& shape) {
  Tensor tensor = Tensor::empty(shape);
  Random random(2);
  for (float& v : tensor.mutable_values<float>()) v = static_cast<float>(random.uniform(-1, 1));
  return tensor;
}

// range: c, k, height and width, filter, stride.
struct Convolution {
  explicit Convolution(const benchmark::State& state)
      : dims{.n = 8,
             .h = state.range(2),
             .w = state.range(2),
             .c = state.range(0),
             .k = state.range(1),
             .r = state.range(3),
             .s = state.range(3),
             .stride = state.range(4),
             .pad = state.range(3) / 2},
        x(values({dims.n, dims.h, dims.w, dims.c})),
        y(values({dims.n, dims.p(), dims.q(), dims.k})),
        weight(values({dims.k, dims.r, dims.s, dims.c})),
        context(Device::cpu(), 1) {}
  kernels::Conv2dDims dims;
  Tensor x, y, weight;
  Context context;
};

void forward(benchmark::State& state) {
  Convolution c(state);
  const kernels::Context ctx = c.context.kernel_context(cpu::conv2d_train_workspace_bytes(c.dims));
  for (auto _ : state)
    cpu::conv2d_train(ctx, c.dims, c.x.data<float>(), c.weight.data<float>(), nullptr,
                      c.y.mutable_data<float>());
  set_flops(state, c.dims.macs_per_image() * c.dims.n);
}

void data_gradient(benchmark::State& state) {
  Convolution c(state);
  const kernels::Context ctx = c.context.kernel_context(cpu::conv2d_data_gradient_workspace_bytes(c.dims));
  for (auto _ : state)
    cpu::conv2d_data_gradient(ctx, c.dims, c.y.data<float>(), c.weight.data<float>(),
                              c.x.mutable_data<float>());
  set_flops(state, c.dims.macs_per_image() * c.dims.n);
}

void filter_gradient(benchmark::State& state) {
  Convolution c(state);
  const kernels::Context ctx = c.context.kernel_context(cpu::conv2d_filter_gradient_workspace_bytes(c.dims));
  for (auto _ : state)
    cpu::conv2d_filter_gradient(ctx, c.dims, c.y.data<float>(), c.x.data<float>(),
                                c.weight.mutable_data<float>());
  set_flops(state, c.dims.macs_per_image() * c.dims.n);
}

// range: c, height and width, stride. The FLOPs of one pass.
void depthwise(benchmark::State& state, bool filter) {
  const kernels::Conv2dDims dims{.n = 8,
                                 .h = state.range(1),
                                 .w = state.range(1),
                                 .c = state.range(0),
                                 .k = state.range(0),
                                 .r = 3,
                                 .s = 3,
                                 .stride = state.range(2),
                                 .pad = 1};
  Tensor x = values({dims.n, dims.h, dims.w, dims.c}), dy = values({dims.n, dims.p(), dims.q(), dims.c}),
         weight = values({3, 3, dims.c});
  Context context(Device::cpu(), 1);
  const kernels::Context ctx = context.kernel_context(cpu::depthwise_filter_gradient_workspace_bytes(dims));
  for (auto _ : state) {
    if (filter) {
      cpu::depthwise_filter_gradient(ctx, dims, dy.data<float>(), x.data<float>(),
                                     weight.mutable_data<float>());
    } else {
      cpu::depthwise_data_gradient(ctx, dims, dy.data<float>(), weight.data<float>(),
                                   x.mutable_data<float>());
    }
  }
  set_flops(state, dims.n * dims.p() * dims.q() * dims.c * 9);
}

// range: rows, channels. Bytes that have to move.
struct Columns {
  explicit Columns(const benchmark::State& state)
      : rows(state.range(0)),
        channels(state.range(1)),
        x(values({rows, channels})),
        y(values({rows, channels})),
        z(values({rows, channels})),
        parameters(values({4, channels})),
        context(Device::cpu(), 1),
        ctx(context.kernel_context(cpu::column_workspace_bytes(rows, channels))) {}
  float* parameter(std::int64_t i) { return parameters.mutable_data<float>() + i * channels; }
  std::int64_t rows, channels;
  Tensor x, y, z, parameters;
  Context context;
  kernels::Context ctx;
};

void statistics(benchmark::State& state) {
  Columns c(state);
  for (auto _ : state)
    cpu::batch_statistics(c.ctx, c.rows, c.channels, c.x.data<float>(), c.parameter(0), c.parameter(1));
  set_bytes(state, c.rows * c.channels * 4);
}

void batch_norm_gradient(benchmark::State& state) {
  Columns c(state);
  for (float& v : c.parameters.mutable_values<float>()) v = 1.0F;  // variances
  for (auto _ : state)
    cpu::batch_norm_gradient(c.ctx, c.rows, c.channels,
                             {.x = c.x.data<float>(),
                              .dy = c.y.data<float>(),
                              .mean = c.parameter(0),
                              .var = c.parameter(1),
                              .dx = c.z.mutable_data<float>(),
                              .dweight = c.parameter(2),
                              .dbias = c.parameter(3)});
  set_bytes(state, c.rows * c.channels * 20);
}

void prelu_gradient(benchmark::State& state) {
  Columns c(state);
  for (auto _ : state)
    cpu::prelu_gradient(c.ctx, c.rows, c.channels, c.x.data<float>(), c.parameter(0), c.y.data<float>(),
                        c.z.mutable_data<float>(), c.parameter(1));
  set_bytes(state, c.rows * c.channels * 12);
}

void batch_norm(benchmark::State& state) {
  Columns c(state);
  for (auto _ : state)
    cpu::batch_norm(c.ctx, c.rows, c.channels, c.x.data<float>(), c.parameter(0), c.parameter(1),
                    c.z.mutable_data<float>());
  set_bytes(state, c.rows * c.channels * 8);
}

void copy(benchmark::State& state) {
  Columns c(state);
  for (auto _ : state) std::copy_n(c.x.data<float>(), c.x.numel(), c.z.mutable_data<float>());
  set_bytes(state, c.rows * c.channels * 8);
}

// range: rows, in, out.
void linear(benchmark::State& state, bool weight_gradient) {
  const std::int64_t rows = state.range(0), in = state.range(1), out = state.range(2);
  Tensor x = values({rows, in}), dy = values({rows, out}), weight = values({out, in});
  Context context(Device::cpu(), 1);
  for (auto _ : state) {
    if (weight_gradient) {
      cpu::linear_weight_gradient(context.kernel_context(), rows, in, out, dy.data<float>(), x.data<float>(),
                                  weight.mutable_data<float>());
    } else {
      cpu::linear_data_gradient(context.kernel_context(), rows, in, out, dy.data<float>(),
                                weight.data<float>(), x.mutable_data<float>());
    }
  }
  set_bytes(state, in * out * 4);
}

// range: threads. Forward in training mode and backward; milliseconds are of the whole batch of 8.
void trained_part(benchmark::State& state) {
  Context context(Device::cpu(), static_cast<int>(state.range(0)));
  bench::TrainedPart part(context, 8);
  part.step();  // memory is got, statistics are no longer those of an identity
  for (auto _ : state) part.step();
  set_flops(state, part.macs_per_image() * 3 * 8);
  state.counters["ms/image"] =
      benchmark::Counter(8e-3, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

}  // namespace

BENCHMARK(peak)->Unit(benchmark::kMillisecond);
#define AIKD_SHAPES                     \
  ArgNames({"c", "k", "hw", "f", "st"}) \
      ->Args({64, 64, 56, 3, 1})        \
      ->Args({128, 128, 28, 3, 1})      \
      ->Args({256, 256, 14, 3, 1})      \
      ->Args({256, 512, 14, 3, 1})      \
      ->Args({512, 512, 14, 3, 2})      \
      ->Args({256, 512, 14, 1, 2})      \
      ->Args({512, 512, 7, 3, 1})       \
      ->Unit(benchmark::kMillisecond)
BENCHMARK(forward)->AIKD_SHAPES;
BENCHMARK(data_gradient)->AIKD_SHAPES;
BENCHMARK(filter_gradient)->AIKD_SHAPES;
#define AIKD_DEPTHWISE_SHAPES \
  ArgNames({"c", "hw", "st"}) \
      ->Args({128, 56, 2})    \
      ->Args({128, 28, 1})    \
      ->Args({256, 14, 1})    \
      ->Unit(benchmark::kMicrosecond)
BENCHMARK_CAPTURE(depthwise, data, false)->AIKD_DEPTHWISE_SHAPES;
BENCHMARK_CAPTURE(depthwise, filter, true)->AIKD_DEPTHWISE_SHAPES;
#define AIKD_COLUMNS             \
  ArgNames({"rows", "channels"}) \
      ->Args({1568, 256})        \
      ->Args({392, 512})         \
      ->Args({25088, 64})        \
      ->Unit(benchmark::kMicrosecond)
BENCHMARK(copy)->AIKD_COLUMNS;
BENCHMARK(statistics)->AIKD_COLUMNS;
BENCHMARK(batch_norm)->AIKD_COLUMNS;
BENCHMARK(batch_norm_gradient)->AIKD_COLUMNS;
BENCHMARK(prelu_gradient)->AIKD_COLUMNS;
BENCHMARK_CAPTURE(linear, data_gradient, false)->Args({8, 25088, 512})->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(linear, weight_gradient, true)->Args({8, 25088, 512})->Unit(benchmark::kMicrosecond);
BENCHMARK(trained_part)
    ->ArgName("threads")
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->MeasureProcessCPUTime();
BENCHMARK_MAIN();
