// Kernels over the activations of a batch: [batch * height * width, channels].
#include <limits>

#include "bench/cuda/kernel_bench.h"
#include "kernels/activation.h"
#include "kernels/add.h"
#include "kernels/batch_norm.h"
#include "kernels/bias.h"
#include "kernels/depthwise_conv2d.h"
#include "kernels/epilogue.h"
#include "kernels/fill.h"
#include "kernels/layout.h"
#include "kernels/reduce.h"
#include "tensor/error.h"

namespace aikd::bench {
namespace {

namespace cuda_kernels = kernels::cuda;
using kernels::Context;
using kernels::Storage;

constexpr Storage kStorages[] = {Storage::kF32, Storage::kF16, Storage::kBF16};

struct Activation {
  std::int64_t extent, channels;
};
// The activations of iResNet-100's four stages.
constexpr Activation kActivations[] = {{112, 64}, {56, 64}, {28, 128}, {14, 256}};

// One activation's arrays and what is common to the kernels over it.
struct Field {
  Field(KernelBench& bench_, const Activation& a, Storage storage_)
      : bench(&bench_),
        storage(storage_),
        extent(a.extent),
        channels(a.channels),
        n(bench_.options().batch),
        rows(n * extent * extent),
        count(rows * channels),
        element_bytes(static_cast<double>(count) * static_cast<double>(kernels::bytes_of(storage_))),
        sets(bench_.card().sets(2 * element_bytes)),
        x(bench_.card(), sets, storage, count),
        dy(bench_.card(), sets, storage, count),
        y(bench_.card(), sets, storage, count),
        parameter(bench_.card(), 1, Storage::kF32, channels),
        variance(positive(bench_.card(), channels)),
        gradients(bench_.card(), 3, Storage::kF32, channels) {}

  // `passes`: elements read and written, in units of the activation.
  void run(const char* name, double passes, std::size_t workspace,
           std::function<void(const Context&, int)> launch) {
    bench->run({.name = name,
                .shape = concat(n, "x", extent, "x", extent, "x", channels),
                .storage = storage,
                .bytes = passes * element_bytes,
                .sets = sets,
                .workspace = workspace,
                .launch = std::move(launch)});
  }

  KernelBench* bench;
  Storage storage;
  std::int64_t extent, channels, n, rows, count;
  double element_bytes;
  int sets;
  Arrays x, dy, y, parameter;
  Uploaded<float> variance;
  Arrays gradients;
};

void run_pointwise(Field& f) {
  const Storage s = f.storage;
  const std::int64_t rows = f.rows, channels = f.channels, count = f.count;
  const auto bytes = static_cast<std::size_t>(f.element_bytes);
  const float* const parameter = f.parameter.floats(0);
  f.run("fill", 1, 0, [&](const Context& c, int i) { cuda_kernels::fill(c, s, count, 0.5F, f.y(i)); });
  f.run("copy", 2, 0, [&](const Context& c, int i) { cuda_kernels::copy(c, bytes, f.x(i), f.y(i)); });
  f.run("add", 3, 0,
        [&](const Context& c, int i) { cuda_kernels::add(c, s, count, f.x(i), f.dy(i), f.y(i)); });
  f.run("accumulate", 3, 0,
        [&](const Context& c, int i) { cuda_kernels::accumulate(c, s, count, f.x(i), f.y(i)); });
  f.run("scale", 2, 0,
        [&](const Context& c, int i) { cuda_kernels::scale(c, s, count, 0.5F, f.x(i), f.y(i)); });
  f.run("add_bias", 2, 0, [&](const Context& c, int i) {
    cuda_kernels::add_bias(c, s, rows, channels, f.x(i), parameter, f.y(i));
  });
  f.run("bias_backward", 1, cuda_kernels::bias_backward_workspace_bytes(rows, channels),
        [&](const Context& c, int i) {
          cuda_kernels::bias_backward(c, s, rows, channels, f.dy(i), f.gradients.floats(0));
        });
  f.run("sum over rows", 1, cuda_kernels::sum_workspace_bytes(rows, channels), [&](const Context& c, int i) {
    cuda_kernels::sum(c, s, rows, channels, f.x(i), f.gradients.floats(0));
  });
  f.run("prelu", 2, 0, [&](const Context& c, int i) {
    cuda_kernels::prelu(c, s, rows, channels, f.x(i), parameter, f.y(i));
  });
  f.run("prelu_backward", 3, cuda_kernels::prelu_backward_workspace_bytes(rows, channels),
        [&](const Context& c, int i) {
          cuda_kernels::prelu_backward(c, s, rows, channels, f.x(i), parameter, f.dy(i), f.y(i),
                                       f.gradients.floats(0));
        });
  f.run("clamp", 2, 0,
        [&](const Context& c, int i) { cuda_kernels::clamp(c, s, count, f.x(i), 0, 6, f.y(i)); });
  f.run("clamp_backward", 3, 0, [&](const Context& c, int i) {
    cuda_kernels::clamp_backward(c, s, count, f.x(i), 0, 6, f.dy(i), f.y(i));
  });
  f.run("gelu", 2, 0, [&](const Context& c, int i) { cuda_kernels::gelu(c, s, count, f.x(i), f.y(i)); });
  f.run("gelu_backward", 3, 0,
        [&](const Context& c, int i) { cuda_kernels::gelu_backward(c, s, count, f.x(i), f.dy(i), f.y(i)); });
  f.run("NHWC to NCHW", 2, 0, [&](const Context& c, int i) {
    cuda_kernels::nhwc_to_nchw(c, s, f.n, channels, f.extent, f.extent, f.x(i), f.y(i));
  });
  f.run("NCHW to NHWC", 2, 0, [&](const Context& c, int i) {
    cuda_kernels::nchw_to_nhwc(c, s, f.n, channels, f.extent, f.extent, f.x(i), f.y(i));
  });
  // Into the arrays of the other storage: bytes of both.
  if (s != Storage::kF32)
    f.run("cast to fp32 (half of it)", 1.5, 0, [&](const Context& c, int i) {
      cuda_kernels::cast(c, s, Storage::kF32, count / 2, f.x(i), f.y(i));
    });
}

void run_epilogues(Field& f) {
  const kernels::Conv2dDims dims{.n = f.n, .h = f.extent, .w = f.extent, .c = f.channels, .k = f.channels};
  const float* const p = f.parameter.floats(0);
  // After the first convolution of a block, and after the second.
  f.run("epilogue bias+prelu", 2, 0, [&f, dims, p](const Context& c, int i) {
    cuda_kernels::apply_epilogue(c, f.storage, dims, f.x(i), {.bias = p, .slope = p}, f.y(i));
  });
  f.run("epilogue bias+add, y2", 4, 0, [&f, dims, p](const Context& c, int i) {
    cuda_kernels::apply_epilogue(c, f.storage, dims, f.x(i),
                                 {.bias = p, .residual = f.dy(i), .scale2 = p, .shift2 = p, .y2 = f.y(i)},
                                 f.x(i));
  });
}

// MobileFaceNet's shapes are other ones, but as large.
void run_depthwise(Field& f) {
  const kernels::Conv2dDims dims{.n = f.n,
                                 .h = f.extent,
                                 .w = f.extent,
                                 .c = f.channels,
                                 .k = f.channels,
                                 .r = 3,
                                 .s = 3,
                                 .stride = 1,
                                 .pad = 1};
  Arrays filter(f.bench->card(), 2, Storage::kF32, 9 * f.channels);
  const float* const w = filter.floats(0);
  const float* const p = f.parameter.floats(0);
  f.run("depthwise 3x3 bias+prelu", 2, 0, [&f, dims, w, p](const Context& c, int i) {
    cuda_kernels::depthwise_conv2d(c, f.storage, dims, f.x(i), w, {.bias = p, .slope = p}, f.y(i));
  });
  f.run("depthwise 3x3 dgrad", 2, 0, [&f, dims, w](const Context& c, int i) {
    cuda_kernels::depthwise_conv2d_data_gradient(c, f.storage, dims, f.dy(i), w, f.y(i));
  });
  f.run("depthwise 3x3 wgrad", 2, cuda_kernels::depthwise_conv2d_filter_gradient_workspace_bytes(dims),
        [&f, &filter, dims](const Context& c, int i) {
          cuda_kernels::depthwise_conv2d_filter_gradient(c, f.storage, dims, f.x(i), f.dy(i),
                                                         filter.floats(1));
        });
}

void run_batch_norm(Field& f) {
  const Storage s = f.storage;
  const std::int64_t rows = f.rows, channels = f.channels;
  const float* const mean = f.parameter.floats(0);
  const float* const var = f.variance.data();
  float *const dweight = f.gradients.floats(0), *const dbias = f.gradients.floats(1),
               *const dslope = f.gradients.floats(2);
  constexpr float kEps = 1e-5F;
  f.run("batch_norm (inference)", 2, 0, [&](const Context& c, int i) {
    cuda_kernels::batch_norm(c, s, rows, channels, f.x(i), var, mean, f.y(i));
  });
  f.run("batch_norm statistics", 1, cuda_kernels::batch_norm_statistics_workspace_bytes(rows, channels),
        [&](const Context& c, int i) {
          cuda_kernels::batch_norm_statistics(c, s, rows, channels, f.x(i), dweight, dbias);
        });
  f.run("batch_norm train_forward", 2, 0, [&](const Context& c, int i) {
    cuda_kernels::batch_norm_train_forward(c, s, rows, channels, mean, var, mean, mean, kEps, f.x(i), f.y(i));
  });
  f.run("batch_norm train_backward", 5, cuda_kernels::batch_norm_backward_workspace_bytes(rows, channels),
        [&](const Context& c, int i) {
          cuda_kernels::batch_norm_train_backward(c, s, rows, channels, f.x(i), mean, var, mean, kEps,
                                                  f.dy(i), f.y(i), dweight, dbias);
        });
  f.run("batch_norm eval_backward", 3, cuda_kernels::batch_norm_backward_workspace_bytes(rows, channels),
        [&](const Context& c, int i) {
          cuda_kernels::batch_norm_eval_backward(c, s, rows, channels, f.x(i), mean, var, mean, kEps, f.dy(i),
                                                 f.y(i), dweight, dbias);
        });
  f.run("batch_norm+prelu forward", 2, 0, [&](const Context& c, int i) {
    cuda_kernels::batch_norm_prelu_forward(c, s, rows, channels, mean, var, mean, mean, kEps, mean, f.x(i),
                                           f.y(i));
  });
  f.run("batch_norm+prelu backward", 5,
        cuda_kernels::batch_norm_prelu_backward_workspace_bytes(rows, channels),
        [&](const Context& c, int i) {
          cuda_kernels::batch_norm_prelu_backward(c, s, rows, channels, f.x(i), mean, var, mean, mean, kEps,
                                                  mean, f.dy(i), f.y(i), dweight, dbias, dslope);
        });
}

template <class Body>
void for_each_field(KernelBench& bench, const Body& body) {
  for (const Storage storage : kStorages) {
    for (Activation a : kActivations) {
      if (bench.options().trial) a.extent /= 7;
      Field field(bench, a, storage);
      body(field);
      bench.card().context().synchronize();  // before the arrays go
    }
  }
}

}  // namespace

void bench_batch_norm(KernelBench& bench) {
  for_each_field(bench, [](Field& field) { run_batch_norm(field); });
}

void bench_pointwise(KernelBench& bench) {
  for_each_field(bench, [](Field& field) {
    run_epilogues(field);
    run_pointwise(field);
    run_depthwise(field);
  });
}

}  // namespace aikd::bench
