#include "nn/cuda/cuda_plan.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <span>

#include "kernels/normalise.h"
#include "nn/cuda/cuda_steps.h"
#include "nn/cuda/device_parameter.h"
#include "nn/plan_memory.h"
#include "nn/plan_network.h"
#include "tensor/cuda_runtime.h"

namespace aikd::nn {
namespace {

using kernels::Storage;

// The unit in which the arena is laid out (nn/plan_memory.h rounds to 16 of them): values start at multiples
// of 256 bytes.
constexpr std::size_t kUnit = 16;

Storage storage_of(Precision precision) {
  switch (precision) {
    case Precision::kFp16:
      return Storage::kF16;
    case Precision::kBf16:
      return Storage::kBF16;
    case Precision::kFp32:
    case Precision::kTf32:
      break;
  }
  return Storage::kF32;
}

struct PlacedStep {
  std::unique_ptr<CudaStep> step;
  // Places of values (indices into the plan's values), -1 for none.
  int x = -1, residual = -1, y = -1, second = -1;
};

class CudaPlan final : public Plan {
 public:
  CudaPlan(const Module& backbone, const Module* head, const InputTable& input, Context& context,
           const PlanOptions& options)
      : context_(&context),
        input_(input),
        options_(options),
        storage_(storage_of(options.precision)),
        network_(record_network(backbone, head, input)),
        engines_(context, options.autotune) {
    table_ = DeviceParameter(context, {&input.table[0][0], std::size_t{3} * 256}, Storage::kF32);
    build();
    prepare(options.max_batch);
    for (const PlacedStep& placed : steps_) described_.push_back({placed.step->name(), placed.step->macs()});
    // The modules may go now.
    network_.graph = GraphOps();
  }

  ~CudaPlan() override {
    try {
      context_->stream().synchronize();  // nothing of what goes now is in use any more
    } catch (...) {                      // the device is lost: so is its work
    }
  }
  CudaPlan(const CudaPlan&) = delete;
  CudaPlan& operator=(const CudaPlan&) = delete;

  // Two sets of pinned memory take turns: while the device works on one batch the host copies the next.
  void run(std::span<const std::uint8_t> images, std::int64_t n, std::span<float> embeddings,
           std::span<float> head_output) override {
    check_plan_call(network_, input_, {images.size(), n, embeddings.size(), head_output.size()});
    struct Pending {
      std::int64_t begin = 0, count = 0;
    };
    Pending pending[2];
    const auto collect = [&](std::size_t turn) {
      Pending& p = pending[turn];
      if (p.count == 0) return;
      slots_[turn].done.synchronize();
      take_rows(slots_[turn], embedding_, embeddings, p.begin, p.count);
      take_rows(slots_[turn], head_, head_output, p.begin, p.count);
      p.count = 0;
    };
    std::size_t turn = 0;
    for (std::int64_t begin = 0; begin < n; begin += options_.max_batch, turn = 1 - turn) {
      collect(turn);
      const std::int64_t count = std::min<std::int64_t>(options_.max_batch, n - begin);
      const std::int64_t run_as = rounded_batch(count);
      const auto bytes = static_cast<std::size_t>(count) * image_bytes_;
      auto* const staging = static_cast<std::uint8_t*>(slots_[turn].in.data());
      std::memcpy(staging, images.data() + static_cast<std::size_t>(begin) * image_bytes_, bytes);
      // Images that only fill the batch up are black, so that every run computes on defined numbers.
      std::memset(staging + bytes, 0, static_cast<std::size_t>(run_as - count) * image_bytes_);
      launch(slots_[turn], run_as);
      pending[turn] = {begin, count};
    }
    collect(turn);
    collect(1 - turn);
    context_->stream().synchronize();  // reports what failed on the device
  }

  std::int64_t embedding_size() const noexcept override { return network_.embedding_size; }
  std::size_t memory_bytes() const noexcept override {
    std::size_t sum = arena_.bytes() + workspace_.bytes() + table_.bytes();
    for (const PlacedStep& placed : steps_) sum += placed.step->parameter_bytes();
    return sum;
  }
  const std::vector<PlanStep>& steps() const noexcept override { return described_; }

 private:
  struct Output {
    int value = -1;      // -1: not there
    std::size_t at = 0;  // where its rows begin in the pinned output
  };
  struct Slot {
    cuda::PinnedBuffer in, out;
    cuda::Event done;
    std::map<std::int64_t, cuda::Graph> graphs;  // by batch size
  };

  // Sizes a batch is rounded up to: powers of two and the largest. Each is compiled once, at its first use.
  std::int64_t rounded_batch(std::int64_t n) const {
    std::int64_t size = 1;
    while (size < n) size *= 2;
    return std::min<std::int64_t>(size, options_.max_batch);
  }

  int define(const CudaValue& value, int step) {
    values_.push_back(value);
    const std::size_t units = (value.bytes(options_.max_batch) + kUnit - 1) / kUnit;
    lives_.push_back({units, step, step, -1});
    return static_cast<int>(values_.size()) - 1;
  }
  void read(int value, int step) { lives_[static_cast<std::size_t>(value)].last = step; }

  CudaValue value_of(const FusedOp& op) const {
    const Shape& shape = network_.graph.nodes()[static_cast<std::size_t>(op.output)].shape;
    CudaValue value;
    if (shape.rank() == 4) {
      value.h = shape[1];
      value.w = shape[2];
      value.c = shape[3];
      value.storage = storage_;
      value.padded = padded_for(storage_, value.c);
      return value;
    }
    value.vector = true;
    if (op.kind == OpKind::kLinear) {
      value.c = value.padded = shape[1];
      return value;
    }
    value = values_[static_cast<std::size_t>(
        places_.at(op.input))];  // the features of a flattened image keep their places
    value.vector = true;
    value.storage = Storage::kF32;
    return value;
  }

  void build() {
    const GraphOps& graph = network_.graph;
    std::vector<FusedOp> ops = fuse(graph, network_.outputs);
    define_input();
    // With cuDNN, a BatchNorm in front of a padded convolution is a second output of the step before: its
    // nine border biases are nothing that cuDNN can add. The hand-written kernel can.
    std::map<int, Affine> seconds;  // node -> the affine copy that its readers want
    if (engines_.has_cudnn()) {
      for (const FusedOp& op : ops)
        if (reads_affine_copy(op)) seconds.emplace(op.input, op.before);
    }
    int step = 0;
    for (FusedOp& op : ops) {
      CudaStepSpec spec;
      spec.op = &op;
      PlacedStep placed;
      placed.x = places_.at(op.input);
      if (engines_.has_cudnn() && reads_affine_copy(op)) {
        placed.x = affine_copy(op.input, op.before, step);
        op.before = Affine();
      }
      read(placed.x, step);
      if (op.residual >= 0) read(placed.residual = places_.at(op.residual), step);
      spec.x = values_[static_cast<std::size_t>(placed.x)];
      spec.y = value_of(op);
      placed.y = places_[op.output] = define(spec.y, step);
      const auto second = seconds.find(op.output);
      if (second != seconds.end() && op.kind == OpKind::kConv2d) {
        spec.second = second->second;
        placed.second = define(spec.y, step);
        copies_[op.output] = {second->second, placed.second};
      }
      placed.step = make_cuda_step(spec, *context_, engines_, options_.precision == Precision::kTf32);
      steps_.push_back(std::move(placed));
      ++step;
    }
    place_everything(step);
  }

  bool reads_affine_copy(const FusedOp& op) const {
    return op.kind == OpKind::kConv2d && !op.before.identity() && op.op->conv.pad > 0;
  }

  // The value node * affine.scale + affine.shift: the second output of the node's step, or a step of its own.
  int affine_copy(int node, const Affine& affine, int& step) {
    const auto known = copies_.find(node);
    if (known != copies_.end() && known->second.affine.scale == affine.scale &&
        known->second.affine.shift == affine.shift)
      return known->second.value;
    PlacedStep placed;
    placed.x = places_.at(node);
    read(placed.x, step);
    const CudaValue x = values_[static_cast<std::size_t>(placed.x)];
    placed.y = define(x, step);
    placed.step = make_affine_step(x, affine, *context_);
    const int value = placed.y;
    steps_.push_back(std::move(placed));
    ++step;
    copies_[node] = {affine, value};
    return value;
  }

  void define_input() {
    CudaValue x;
    x.h = input_.height;
    x.w = input_.width;
    x.c = 3;
    x.storage = storage_;
    x.padded = padded_for(storage_, 3);
    places_[network_.input] = define(x, -1);
    image_bytes_ = static_cast<std::size_t>(x.pixels()) * 3;
  }

  void place_everything(int steps) {
    for (const int output : network_.outputs) read(places_.at(output), steps);
    const ArenaLayout layout = lay_out(lives_);
    offsets_ = layout.offsets;
    arena_ = Buffer(std::max<std::size_t>(layout.floats, 1) * kUnit, context_->device());
    // Never read before it is written, but channels that only pad are multiplied by zero filters: no NaN may
    // be there.
    cuda::fill_bytes(arena_.mutable_data(), 0, arena_.bytes(), context_->stream());
    const auto batch = static_cast<std::size_t>(options_.max_batch);
    images_ = Buffer(batch * image_bytes_, context_->device());
    std::size_t out_bytes = 0;
    const auto output = [&](int node) {
      Output placed{places_.at(node), out_bytes};
      out_bytes += values_[static_cast<std::size_t>(placed.value)].bytes(options_.max_batch);
      return placed;
    };
    embedding_ = output(network_.outputs[0]);
    if (network_.has_head()) head_ = output(network_.outputs[1]);
    for (Slot& slot : slots_) {
      slot.in = cuda::PinnedBuffer(batch * image_bytes_);
      slot.out = cuda::PinnedBuffer(out_bytes);
    }
  }

  // Chooses engines for batches of n, once; scratch grows to what they need.
  void prepare(std::int64_t n) {
    if (std::find(prepared_.begin(), prepared_.end(), n) != prepared_.end()) return;
    std::size_t scratch = 0;
    for (PlacedStep& placed : steps_) scratch = std::max(scratch, placed.step->prepare(n));
    if (scratch > workspace_.bytes()) {
      context_->stream().synchronize();
      for (Slot& slot : slots_) slot.graphs.clear();  // they name the old place
      workspace_ = Buffer(scratch, context_->device());
    }
    prepared_.push_back(n);
  }

  void* at(int value) {
    if (value < 0) return nullptr;
    return static_cast<unsigned char*>(arena_.mutable_data()) +
           offsets_[static_cast<std::size_t>(value)] * kUnit;
  }

  // Everything one batch needs, in order, on the stream.
  void issue(Slot& slot, std::int64_t n) {
    const cuda::Stream& stream = context_->stream();
    kernels::Context ctx = context_->kernel_context();
    ctx.workspace = workspace_.bytes() == 0 ? nullptr : workspace_.mutable_data();
    ctx.workspace_bytes = workspace_.bytes();
    cuda::copy_to_device(images_.mutable_data(), slot.in.data(), static_cast<std::size_t>(n) * image_bytes_,
                         stream);
    const int first = places_.at(network_.input);
    const CudaValue& x = values_[static_cast<std::size_t>(first)];
    const kernels::NormaliseTable table{table_.floats(),
                                        {input_.source[0], input_.source[1], input_.source[2]}};
    kernels::cuda::normalise(ctx, x.storage, table, n * x.pixels(),
                             static_cast<const std::uint8_t*>(images_.data()), x.padded, at(first));
    for (const PlacedStep& placed : steps_)
      placed.step->run(ctx, n, {at(placed.x), at(placed.residual), at(placed.y), at(placed.second)});
    for (const Output& output : {embedding_, head_}) {
      if (output.value < 0) continue;
      cuda::copy_to_host(static_cast<unsigned char*>(slot.out.data()) + output.at, at(output.value),
                         values_[static_cast<std::size_t>(output.value)].bytes(n), stream);
    }
  }

  void launch(Slot& slot, std::int64_t n) {
    prepare(n);
    const cuda::Stream& stream = context_->stream();
    if (options_.graph) {
      cuda::Graph& graph = slot.graphs[n];
      if (!graph) {
        // Once without recording: libraries load their code at the first call, which a recording does not
        // bear.
        issue(slot, n);
        stream.synchronize();
        graph = cuda::Graph::capture(stream, [this, &slot, n] { issue(slot, n); });
      }
      graph.launch(stream);
    } else {
      issue(slot, n);
    }
    slot.done.record(stream);
  }

  // Rows [begin, begin + count) of `to` from the pinned output; the padding of channels stays behind.
  void take_rows(const Slot& slot, const Output& output, std::span<float> to, std::int64_t begin,
                 std::int64_t count) const {
    if (to.empty() || output.value < 0) return;
    const CudaValue& value = values_[static_cast<std::size_t>(output.value)];
    const auto* from =
        reinterpret_cast<const float*>(static_cast<const unsigned char*>(slot.out.data()) + output.at);
    float* out = to.data() + begin * value.pixels() * value.c;
    for (std::int64_t pixel = 0; pixel < count * value.pixels(); ++pixel)
      out = std::copy_n(from + pixel * value.padded, value.c, out);
  }

  struct AffineCopy {
    Affine affine;
    int value = -1;
  };

  Context* context_;
  InputTable input_;
  PlanOptions options_;
  Storage storage_;
  PlanNetwork network_;
  ConvEngines engines_;
  DeviceParameter table_;
  std::vector<CudaValue> values_;
  std::vector<ValueLife> lives_;
  std::vector<std::size_t> offsets_;
  std::map<int, int> places_;         // node -> value
  std::map<int, AffineCopy> copies_;  // node -> its value after a BatchNorm
  std::vector<PlacedStep> steps_;
  std::vector<PlanStep> described_;
  std::vector<std::int64_t> prepared_;
  std::size_t image_bytes_ = 0;
  Output embedding_, head_;
  Buffer arena_, images_, workspace_;
  Slot slots_[2];
};

}  // namespace

std::unique_ptr<Plan> compile_cuda_plan(const Module& backbone, const Module* head, const InputTable& input,
                                        Context& context, const PlanOptions& options) {
  check_plan_options(input, options);
  return std::make_unique<CudaPlan>(backbone, head, input, context, options);
}

}  // namespace aikd::nn
