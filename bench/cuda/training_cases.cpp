// Losses over embeddings of 512 numbers, and one step of an optimiser over iResNet-100's parameters.
#include <memory>
#include <string>

#include "bench/cuda/kernel_bench.h"
#include "kernels/loss.h"
#include "kernels/optimiser.h"
#include "kernels/reduce.h"
#include "nn/networks.h"
#include "tensor/error.h"

namespace aikd::bench {
namespace {

namespace cuda_kernels = kernels::cuda;
using kernels::Context;
using kernels::Storage;

// 128 rows are a batch: what counts is the time, a few launches. 131,072 rows show the rate.
void run_losses(KernelBench& bench, std::int64_t rows) {
  constexpr std::int64_t kColumns = 512;
  const std::int64_t count = rows * kColumns;
  const double element_bytes = 4.0 * static_cast<double>(count);
  Card& card = bench.card();
  const int sets = card.sets(2 * element_bytes);
  Arrays a(card, sets, Storage::kF32, count), b(card, sets, Storage::kF32, count),
      gradient(card, sets, Storage::kF32, count), per_row(card, 1, Storage::kF32, rows),
      loss(card, 1, Storage::kF32, 1);
  const auto run = [&](const char* name, double passes, std::size_t workspace,
                       std::function<void(const Context&, int)> launch) {
    bench.run({.name = name,
               .shape = concat(rows, "x", kColumns),
               .bytes = passes * element_bytes,
               .sets = sets,
               .workspace = workspace,
               .launch = std::move(launch)});
  };
  run("cosine loss", 2, 0, [&](const Context& c, int i) {
    cuda_kernels::cosine_embedding_loss(c, rows, kColumns, a.floats(i), b.floats(i), per_row.floats(0),
                                        loss.floats(0));
  });
  run("cosine loss backward", 3, 0, [&](const Context& c, int i) {
    cuda_kernels::cosine_embedding_loss_backward(c, rows, kColumns, a.floats(i), b.floats(i), 1,
                                                 gradient.floats(i));
  });
  const std::size_t workspace = cuda_kernels::mean_loss_workspace_bytes(count);
  run("L1 loss", 2, workspace, [&](const Context& c, int i) {
    cuda_kernels::l1_loss(c, count, a.floats(i), b.floats(i), loss.floats(0));
  });
  run("L1 loss backward", 3, 0, [&](const Context& c, int i) {
    cuda_kernels::l1_loss_backward(c, count, a.floats(i), b.floats(i), 1, gradient.floats(i));
  });
  run("smooth L1 loss", 2, workspace, [&](const Context& c, int i) {
    cuda_kernels::smooth_l1_loss(c, count, 0.5F, a.floats(i), b.floats(i), loss.floats(0));
  });
  run("smooth L1 loss backward", 3, 0, [&](const Context& c, int i) {
    cuda_kernels::smooth_l1_loss_backward(c, count, 0.5F, a.floats(i), b.floats(i), 1, gradient.floats(i));
  });
  run("row norms", 1, 0, [&](const Context& c, int i) {
    cuda_kernels::row_norms(c, Storage::kF32, rows, kColumns, a(i), per_row.floats(0));
  });
  run("mean", 1.0 / static_cast<double>(kColumns), 0,
      [&](const Context& c, int i) { cuda_kernels::mean(c, rows, a.floats(i), loss.floats(0)); });
  card.context().synchronize();
}

// What AI-KD trains by default: the last 100 tensors of an iResNet-100.
bool trained(const std::string& name) {
  if (!name.starts_with("layer"))
    return name.starts_with("bn2") || name.starts_with("fc") || name.starts_with("features");
  if (name.starts_with("layer4.") || name == "layer3.22.bn3.bias") return true;
  for (int block = 23; block < 30; ++block)
    if (name.starts_with(concat("layer3.", block, "."))) return true;
  return false;
}

void run_optimisers(KernelBench& bench, const std::vector<std::int64_t>& counts, const std::string& shape,
                    Storage gradient_storage) {
  Card& card = bench.card();
  // Each tensor begins at a multiple of 16 bytes in every array.
  std::int64_t total = 0;
  std::vector<std::int64_t> offsets;
  double elements = 0;
  for (const std::int64_t count : counts) {
    offsets.push_back(total);
    total += (count + 7) / 8 * 8;
    elements += static_cast<double>(count);
  }
  Arrays parameter(card, 1, Storage::kF32, total), gradient(card, 1, gradient_storage, total),
      first(card, 1, Storage::kF32, total), second(card, 1, Storage::kF32, total),
      average(card, 1, Storage::kF32, total), low(card, 1, Storage::kF16, total);
  // Adam's second moment is a square: not negative.
  cuda::fill_bytes(second(0), 0, static_cast<std::size_t>(total) * 4, card.context().stream());

  const auto gradient_size = static_cast<std::int64_t>(kernels::bytes_of(gradient_storage));
  const auto list = [&](bool low_precision) {
    std::vector<cuda_kernels::TensorSlice> slices;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      cuda_kernels::TensorSlice slice;
      slice.parameter = parameter.floats(0) + offsets[i];
      slice.gradient = static_cast<const unsigned char*>(gradient(0)) + offsets[i] * gradient_size;
      slice.first = first.floats(0) + offsets[i];
      slice.second = second.floats(0) + offsets[i];
      slice.average = average.floats(0) + offsets[i];
      if (low_precision) slice.low_precision = static_cast<unsigned char*>(low(0)) + offsets[i] * 2;
      slice.count = counts[i];
      slices.push_back(slice);
    }
    return slices;
  };
  const std::vector<cuda_kernels::TensorSlice> slices = list(gradient_storage != Storage::kF32);
  const auto tensors = static_cast<std::int64_t>(slices.size());
  std::vector<kernels::TensorChunk> chunks(
      static_cast<std::size_t>(kernels::tensor_chunk_count(slices.data(), tensors)));
  kernels::make_tensor_chunks(slices.data(), tensors, chunks.data());
  Uploaded<cuda_kernels::TensorSlice> slices_there(card, slices);
  Uploaded<kernels::TensorChunk> chunks_there(card, chunks);
  const cuda_kernels::TensorList there{slices_there.data(), chunks_there.data(),
                                       static_cast<std::int64_t>(chunks.size())};
  Uploaded<std::int32_t> counters(card, std::vector<std::int32_t>(2, 0));  // steps, non-finite
  Uploaded<float> norm(card, std::vector<float>(1, 1.0F));
  const cuda_kernels::StepControl control{
      .norm = norm.data(), .max_norm = 5, .non_finite = counters.data() + 1, .steps = counters.data()};
  kernels::SgdOptions sgd;
  sgd.groups[0] = {.learning_rate = 1e-6, .momentum = 0.9, .weight_decay = 5e-4};
  kernels::AdamOptions adam;
  adam.groups[0] = {.learning_rate = 1e-6};

  const double g = static_cast<double>(gradient_size);
  const double copy = gradient_storage == Storage::kF32 ? 0 : 2;  // the low-precision copy
  const auto run = [&](const char* name, double bytes_each, std::size_t workspace,
                       std::function<void(const Context&, int)> launch) {
    bench.run({.name = name,
               .shape = shape,
               .storage = gradient_storage,
               .bytes = bytes_each * elements,
               .workspace = workspace,
               .launch = std::move(launch)});
  };
  run("gradient norm", g, cuda_kernels::gradient_norm_workspace_bytes(there.chunk_count),
      [&](const Context& c, int) {
        cuda_kernels::global_gradient_norm(c, gradient_storage, there, 1, norm.data(), counters.data() + 1);
      });
  run("SGD with momentum", 16 + g + copy, 0,
      [&](const Context& c, int) { cuda_kernels::sgd_momentum(c, gradient_storage, there, sgd, control); });
  run("Adam", 24 + g + copy, 0,
      [&](const Context& c, int) { cuda_kernels::adam(c, gradient_storage, there, adam, control); });
  run("EMA", 12, 0, [&](const Context& c, int) { cuda_kernels::ema(c, there, 0.999, false); });
  card.context().synchronize();
}

}  // namespace

void bench_losses(KernelBench& bench) {
  run_losses(bench, bench.options().batch);
  if (!bench.options().trial) run_losses(bench, 131072);
}

void bench_optimisers(KernelBench& bench) {
  const std::string network = bench.options().trial ? "mobilefacenet" : "iresnet100";
  const auto net = nn::make_backbone(network, nn::default_embedding_size(network), 1e-5F);
  std::vector<std::int64_t> all, last;
  std::int64_t all_count = 0, last_count = 0;
  for (const nn::NamedTensor& tensor : net->tensors()) {
    if (nn::is_buffer(tensor.role)) continue;
    all.push_back(tensor.shape.numel());
    all_count += all.back();
    if (!trained(tensor.name)) continue;
    last.push_back(all.back());
    last_count += all.back();
  }
  for (const Storage storage : {Storage::kF32, Storage::kF16}) {
    if (!last.empty())
      run_optimisers(bench, last, concat(last.size(), " tensors, ", last_count / 100000, "e5"), storage);
    run_optimisers(bench, all, concat(all.size(), " tensors, ", all_count / 100000, "e5"), storage);
  }
}

}  // namespace aikd::bench
