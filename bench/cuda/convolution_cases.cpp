// The convolutions of iResNet-100: cuDNN with the epilogue fused, cuDNN and the epilogue's own pass, and the
// hand-written kernel; forward and both gradients. All on random data, inputs rotated.
#include <algorithm>
#include <map>
#include <memory>
#include <tuple>

#include "bench/cuda/iresnet100_shapes.h"
#include "bench/cuda/kernel_bench.h"
#include "kernels/conv2d.h"
#include "kernels/cuda/cudnn_conv.h"
#include "kernels/epilogue.h"
#include "tensor/error.h"

namespace aikd::bench {
namespace {

namespace cuda_kernels = kernels::cuda;
using kernels::Context;
using kernels::Storage;
using nn::Precision;

enum class Direction : std::uint8_t { kForward, kData, kFilter };
const char* name_of(Direction direction) {
  return direction == Direction::kForward ? "forward" : direction == Direction::kData ? "dgrad" : "wgrad";
}
const char* name_of(After after) {
  constexpr const char* kNames[] = {"bias+prelu", "bias+prelu, y2", "bias+add, y2", "bias"};
  return kNames[static_cast<int>(after)];
}

// What is measured together: one size of batch, one precision.
struct Group {
  Precision precision;
  std::int64_t batch;
  Direction direction;
};

// Scoring at the batches that fill whole waves first, then the gradients that training needs, then the rest,
// so that a short budget leaves out what matters least.
std::vector<Group> groups_in_order(const KernelOptions& options) {
  std::vector<Group> groups;
  const auto add = [&](std::vector<Precision> precisions, std::vector<std::int64_t> batches,
                       std::vector<Direction> directions) {
    for (const std::int64_t batch : batches)
      for (const Precision precision : precisions)
        for (const Direction direction : directions) {
          const auto same = [&](const Group& g) {
            return g.precision == precision && g.batch == batch && g.direction == direction;
          };
          if (std::none_of(groups.begin(), groups.end(), same))
            groups.push_back({precision, batch, direction});
        }
  };
  const std::vector<Precision> half = {Precision::kFp16, Precision::kBf16},
                               full = {Precision::kTf32, Precision::kFp32};
  const std::vector<Direction> gradients = {Direction::kData, Direction::kFilter};
  const std::int64_t training = options.batch;
  const std::vector<std::int64_t>& batches = options.conv_batches;
  if (!batches.empty()) add(half, {batches.front()}, {Direction::kForward});
  add(half, {training}, gradients);
  if (!batches.empty()) add(full, {batches.front()}, {Direction::kForward});
  add(half, batches, {Direction::kForward});
  add(full, {training}, gradients);
  add(full, batches, {Direction::kForward});
  add(half, batches, gradients);
  add(full, batches, gradients);
  return groups;
}

// Ascending by the name of the way; 0: not measured.
using Ways = std::map<std::string, double>;  // way -> microseconds

class ConvBench {
 public:
  ConvBench(KernelBench& bench, const ConvShape& shape, const Group& group)
      : bench_(&bench),
        card_(&bench.card()),
        shape_(shape),
        group_(group),
        storage_(storage_of(group.precision)),
        tf32_(group.precision == Precision::kTf32) {
    // As the plan stores them: whole 16-byte accesses.
    const std::int64_t unit = 16 / static_cast<std::int64_t>(kernels::bytes_of(storage_));
    dims_ = {.n = group.batch,
             .h = shape.extent,
             .w = shape.extent,
             .c = (shape.c + unit - 1) / unit * unit,
             .k = shape.k,
             .r = shape.r,
             .s = shape.r,
             .stride = shape.stride,
             .pad = shape.r / 2};
    const std::int64_t x = dims_.n * dims_.h * dims_.w * dims_.c,
                       y = dims_.n * dims_.p() * dims_.q() * dims_.k;
    sets_ =
        card_->sets(static_cast<double>((x + y) * static_cast<std::int64_t>(kernels::bytes_of(storage_))));
    x_ = std::make_unique<Arrays>(*card_, sets_, storage_, x);
    y_ = std::make_unique<Arrays>(*card_, sets_, storage_, y);
    const bool adds = shape.after == After::kAddSecond && group.direction == Direction::kForward;
    const bool second =
        (adds || shape.after == After::kPreluSecond) && group.direction == Direction::kForward;
    if (adds) residual_ = std::make_unique<Arrays>(*card_, sets_, storage_, y);
    if (second) y2_ = std::make_unique<Arrays>(*card_, sets_, storage_, y);
    const std::int64_t filters = dims_.k * dims_.r * dims_.s * dims_.c;
    weight_ = std::make_unique<Arrays>(*card_, 1, storage_, filters);
    dweight_ = std::make_unique<Arrays>(*card_, 1, Storage::kF32, filters);
    parameter_ = std::make_unique<Arrays>(*card_, 1, Storage::kF32, dims_.k);
  }

  Ways run() {
    if (group_.direction == Direction::kForward) {
      forward();
    } else if (group_.direction == Direction::kData) {
      gradient(cuda_kernels::ConvDirection::kDataGradient, "dgrad");
      const std::size_t workspace = cuda_kernels::conv2d_data_gradient_workspace_bytes(storage_, dims_);
      const Context ctx = card_->context().kernel_context(workspace);
      // TF32 has no hand-written gradient: it would be fp32 under another name.
      if (!tf32_)
        measure("hand-written", "", [&](int i) {
          cuda_kernels::conv2d_data_gradient(ctx, storage_, dims_, (*y_)(i), (*weight_)(0), (*x_)(i));
        });
    } else {
      gradient(cuda_kernels::ConvDirection::kFilterGradient, "wgrad");
      const Context ctx =
          card_->context().kernel_context(cuda_kernels::conv2d_filter_gradient_workspace_bytes(dims_));
      if (!tf32_)
        measure("hand-written", "", [&](int i) {
          cuda_kernels::conv2d_filter_gradient(ctx, storage_, dims_, (*x_)(i), (*y_)(i), dweight_->floats(0));
        });
    }
    card_->context().synchronize();  // before the arrays go
    return ways_;
  }

 private:
  cuda_kernels::FusedEpilogue epilogue(int i) const {
    const float* const p = parameter_->floats(0);
    cuda_kernels::FusedEpilogue e{.bias = p};
    if (shape_.after == After::kPrelu || shape_.after == After::kPreluSecond) e.slope = p;
    if (residual_ != nullptr) e.residual = (*residual_)(i);
    if (y2_ != nullptr) {
      e.scale2 = e.shift2 = p;
      e.y2 = (*y2_)(i);
    }
    return e;
  }
  cuda_kernels::CudnnConvSpec plain(cuda_kernels::ConvDirection direction) const {
    return {.direction = direction, .dims = dims_, .storage = storage_, .tf32 = tf32_};
  }
  std::unique_ptr<cuda_kernels::CudnnConv> find(const cuda_kernels::CudnnConvSpec& spec,
                                                const std::string& way) {
    if (!card_->has_cudnn()) return nullptr;
    const Context ctx = card_->context().kernel_context();
    cuda_kernels::CudnnConvChoice choice =
        cuda_kernels::make_cudnn_conv(*ctx.libraries, spec, false, std::size_t{1} << 30, ctx.stream);
    if (choice.plan == nullptr) {
      nlohmann::ordered_json row = description(way);
      row["absent"] = choice.why;
      bench_->report().row(row);
      std::printf("  %-60s absent: %.70s\n", title(way).c_str(), choice.why.c_str());
    }
    return std::move(choice.plan);
  }

  void forward() {
    cuda_kernels::CudnnConvSpec fused = plain(cuda_kernels::ConvDirection::kForward);
    fused.bias = true;
    fused.prelu = shape_.after == After::kPrelu || shape_.after == After::kPreluSecond;
    fused.residual = residual_ != nullptr;
    fused.second_output = y2_ != nullptr;
    if (const auto plan = find(fused, "cuDNN fused")) {
      const Context ctx = card_->context().kernel_context(plan->workspace_bytes());
      measure("cuDNN fused", plan->engine(), [&](int i) {
        const cuda_kernels::FusedEpilogue e = epilogue(i);
        plan->run(ctx, {.x = (*x_)(i),
                        .weight = (*weight_)(0),
                        .bias = e.bias,
                        .slope = e.slope,
                        .residual = e.residual,
                        .scale2 = e.scale2,
                        .shift2 = e.shift2,
                        .y = (*y_)(i),
                        .y2 = e.y2});
      });
    }
    if (const auto plan = find(plain(cuda_kernels::ConvDirection::kForward), "cuDNN + pass")) {
      const Context ctx = card_->context().kernel_context(plan->workspace_bytes());
      measure("cuDNN + pass", plan->engine(), [&](int i) {
        plan->run(ctx, {.x = (*x_)(i), .weight = (*weight_)(0), .y = (*y_)(i)});
        cuda_kernels::apply_epilogue(ctx, storage_, dims_, (*y_)(i), epilogue(i), (*y_)(i));
      });
    }
    const Context ctx = card_->context().kernel_context();
    measure("hand-written", "", [&](int i) {
      cuda_kernels::conv2d(ctx, storage_, dims_, (*x_)(i), (*weight_)(0), epilogue(i), (*y_)(i), tf32_);
    });
  }

  void gradient(cuda_kernels::ConvDirection direction, const char*) {
    const auto plan = find(plain(direction), "cuDNN");
    if (plan == nullptr) return;
    const Context ctx = card_->context().kernel_context(plan->workspace_bytes());
    measure("cuDNN", plan->engine(), [&](int i) {
      const bool data = direction == cuda_kernels::ConvDirection::kDataGradient;
      plan->run(ctx, {.x = data ? nullptr : (*x_)(i),
                      .weight = (*weight_)(0),
                      .dy = (*y_)(i),
                      .y = data ? (*x_)(i) : (*dweight_)(0)});
    });
  }

  std::string shape_name() const {
    return concat(shape_.r, "x", shape_.r, " s", shape_.stride, " ", shape_.c, "->", shape_.k, " @",
                  shape_.extent);
  }
  std::string title(const std::string& way) const {
    return concat(shape_name(), " b", group_.batch, " ", nn::name_of(group_.precision), " ",
                  bench::name_of(group_.direction), " ", way);
  }
  nlohmann::ordered_json description(const std::string& way) const {
    return {{"kind", "conv"},
            {"shape", shape_name()},
            {"count", shape_.count},
            {"after", bench::name_of(shape_.after)},
            {"batch", group_.batch},
            {"precision", nn::name_of(group_.precision)},
            {"direction", bench::name_of(group_.direction)},
            {"way", way}};
  }

  void measure(const std::string& way, const std::string& engine, const std::function<void(int)>& launch) {
    const Timing timing = time_launches(*card_, sets_, launch);
    const double flops = 2.0 * static_cast<double>(shape_.macs() * group_.batch);
    const double rate = flops / (timing.us * 1e-6);
    const double ceiling = bench_->ceilings().matrix(group_.precision);
    // Each tensor once, y2 not counted: a floor for whoever fuses everything.
    const std::int64_t elements =
        group_.batch * (shape_.in_elements() + shape_.out_elements() * (residual_ == nullptr ? 1 : 2));
    const double memory_us = static_cast<double>(elements) *
                             static_cast<double>(kernels::bytes_of(storage_)) /
                             bench_->ceilings().bytes_per_s * 1e6;
    const double floor_us = std::max(memory_us, ceiling > 0 ? flops / ceiling * 1e6 : 0);
    std::printf("  %-60s %10.1f us %7.1f TFLOP/s %5.1f %% of matrix, %5.1f %% of floor\n", title(way).c_str(),
                timing.us, rate * 1e-12, ceiling > 0 ? 100 * rate / ceiling : 0.0,
                100 * floor_us / timing.us);
    nlohmann::ordered_json row = description(way);
    row["us"] = timing.us;
    row["spread"] = timing.spread;
    row["tflops"] = rate * 1e-12;
    if (ceiling > 0) row["of_matrix"] = rate / ceiling;
    row["of_floor"] = floor_us / timing.us;
    if (!engine.empty()) row["engine"] = engine;
    bench_->report().row(row);
    ways_[way] = timing.us;
  }

  KernelBench* bench_;
  Card* card_;
  ConvShape shape_;
  Group group_;
  Storage storage_;
  bool tf32_;
  kernels::Conv2dDims dims_;
  int sets_ = 1;
  std::unique_ptr<Arrays> x_, y_, residual_, y2_, weight_, dweight_, parameter_;
  Ways ways_;
};

// All convolutions of the network together, each in the way that is fastest for it, and each way alone.
void report_network(KernelBench& bench, const Group& group, const std::map<std::string, double>& sums) {
  const double ceiling = bench.ceilings().matrix(group.precision);
  for (const auto& [way, us] : sums) {
    const double flops = 2.0 * static_cast<double>((network_macs() - kLastLinearMacs) * group.batch);
    const double rate = flops / (us * 1e-6);
    std::printf("  all 103, b%ld %s %s, %s: %.2f us/image, %.1f TFLOP/s, %.1f %% of matrix\n",
                static_cast<long>(group.batch), nn::name_of(group.precision), name_of(group.direction),
                way.c_str(), us / static_cast<double>(group.batch), rate * 1e-12,
                ceiling > 0 ? 100 * rate / ceiling : 0.0);
    nlohmann::ordered_json row = {{"kind", "conv_network"},
                                  {"batch", group.batch},
                                  {"precision", nn::name_of(group.precision)},
                                  {"direction", name_of(group.direction)},
                                  {"way", way},
                                  {"us_per_image", us / static_cast<double>(group.batch)},
                                  {"tflops", rate * 1e-12}};
    if (ceiling > 0) row["of_matrix"] = rate / ceiling;
    bench.report().row(row);
  }
}

}  // namespace

void bench_convolutions(KernelBench& bench) {
  if (!bench.wanted("conv")) return;
  for (const Group& group : groups_in_order(bench.options())) {
    std::map<std::string, double> sums;  // way -> us for the whole network
    std::map<std::string, int> shapes;
    int measured = 0;
    for (ConvShape shape : kConvolutions) {
      // The same but for what follows, which the gradients do not see.
      if (group.direction != Direction::kForward && shape.after == After::kAddSecond && shape.stride == 1)
        continue;
      if (!bench.time_left()) continue;
      if (bench.options().trial) {
        shape.extent = 6;
        shape.c = std::min<std::int64_t>(shape.c, 16);
        shape.k = 16;
      }
      const Ways ways = ConvBench(bench, shape, group).run();
      ++measured;
      // The count of the one left out above.
      const int count =
          group.direction != Direction::kForward && shape.after == After::kPrelu && shape.count > 1
              ? 2 * shape.count
              : shape.count;
      double best = 0;
      for (const auto& [way, us] : ways) {
        sums[way] += count * us;
        ++shapes[way];
        best = best == 0 ? us : std::min(best, us);
      }
      sums["best of each"] += count * best;
      ++shapes["best of each"];
    }
    // Only ways that did every shape.
    const int all =
        static_cast<int>(std::size(kConvolutions)) - (group.direction == Direction::kForward ? 0 : 4);
    if (measured < all) continue;
    std::erase_if(sums, [&](const auto& entry) { return shapes[entry.first] < all; });
    if (!bench.options().trial) report_network(bench, group, sums);
  }
}

}  // namespace aikd::bench
