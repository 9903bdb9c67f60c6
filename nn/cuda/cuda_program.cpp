#include "nn/cuda/cuda_program.h"

#include <algorithm>

#include "kernels/normalise.h"
#include "nn/cuda/cuda_storage.h"

namespace aikd::nn {
namespace {

using kernels::Storage;

// The unit in which the arena is laid out (nn/plan_memory.h rounds to 16 of them): values start at multiples
// of 256 bytes.
constexpr std::size_t kUnit = 16;

}  // namespace

CudaProgram::CudaProgram(Context& context, const GraphOps& graph, int input, const std::vector<int>& outputs,
                         const InputTable& table, const PlanOptions& options)
    : context_(&context),
      input_(table),
      options_(options),
      storage_(storage_of(options.precision)),
      engines_(context, options.autotune) {
  table_ = DeviceParameter(context, {&table.table[0][0], std::size_t{3} * 256}, Storage::kF32);
  define_input(input);
  build(graph, outputs);
  prepare(options.max_batch);
  for (const PlacedStep& placed : steps_) described_.push_back({placed.step->name(), placed.step->macs()});
}

void CudaProgram::wait() const noexcept {
  try {
    context_->stream().synchronize();
  } catch (...) {  // the device is lost: so is its work
  }
}

std::int64_t CudaProgram::rounded_batch(std::int64_t n) const {
  std::int64_t size = 1;
  while (size < n) size *= 2;
  return std::min<std::int64_t>(size, options_.max_batch);
}

std::uint8_t* CudaProgram::images() {
  return static_cast<std::uint8_t*>(images_.mutable_data());
}

std::size_t CudaProgram::memory_bytes() const noexcept {
  std::size_t sum = arena_.bytes() + workspace_.bytes() + table_.bytes();
  for (const PlacedStep& placed : steps_) sum += placed.step->parameter_bytes();
  return sum;
}

// ---- Compiling. ----

int CudaProgram::define(const CudaValue& value, int step) {
  values_.push_back(value);
  const std::size_t units = (value.bytes(options_.max_batch) + kUnit - 1) / kUnit;
  lives_.push_back({units, step, step, -1});
  return static_cast<int>(values_.size()) - 1;
}

CudaValue CudaProgram::value_of(const FusedOp& op, const GraphOps& graph) const {
  const Shape& shape = graph.nodes()[static_cast<std::size_t>(op.output)].shape;
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

void CudaProgram::build(const GraphOps& graph, const std::vector<int>& outputs) {
  std::vector<FusedOp> ops = fuse(graph, outputs);
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
    spec.y = value_of(op, graph);
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
  for (const int output : outputs) outputs_.push_back(places_.at(output));
  place_everything(step);
}

bool CudaProgram::reads_affine_copy(const FusedOp& op) {
  return op.kind == OpKind::kConv2d && !op.before.identity() && op.op->conv.pad > 0;
}

// The value node * affine.scale + affine.shift: the second output of the node's step, or a step of its own.
int CudaProgram::affine_copy(int node, const Affine& affine, int& step) {
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

void CudaProgram::define_input(int input) {
  CudaValue x;
  x.h = input_.height;
  x.w = input_.width;
  x.c = 3;
  x.storage = storage_;
  x.padded = padded_for(storage_, 3);
  first_ = places_[input] = define(x, -1);
  image_bytes_ = static_cast<std::size_t>(x.pixels()) * 3;
}

void CudaProgram::place_everything(int steps) {
  for (const int output : outputs_) read(output, steps);
  const ArenaLayout layout = lay_out(lives_);
  offsets_ = layout.offsets;
  arena_ = Buffer(std::max<std::size_t>(layout.floats, 1) * kUnit, context_->device());
  // Never read before it is written, but channels that only pad are multiplied by zero filters: no NaN may
  // be there.
  cuda::fill_bytes(arena_.mutable_data(), 0, arena_.bytes(), context_->stream());
  images_ = Buffer(static_cast<std::size_t>(options_.max_batch) * image_bytes_, context_->device());
}

// ---- Running. ----

// Chooses engines for batches of n, once; scratch grows to what they need.
void CudaProgram::prepare(std::int64_t n) {
  if (std::find(prepared_.begin(), prepared_.end(), n) != prepared_.end()) return;
  std::size_t scratch = 0;
  for (PlacedStep& placed : steps_) scratch = std::max(scratch, placed.step->prepare(n));
  if (scratch > workspace_.bytes()) {
    context_->stream().synchronize();  // recordings name the old place
    workspace_ = Buffer(scratch, context_->device());
    ++workspaces_;
  }
  prepared_.push_back(n);
}

void* CudaProgram::at(int value) {
  if (value < 0) return nullptr;
  return static_cast<unsigned char*>(arena_.mutable_data()) + offsets_[size(value)] * kUnit;
}

void CudaProgram::normalise(std::int64_t n, Storage storage, std::int64_t channels, void* to) {
  const kernels::NormaliseTable table{table_.floats(),
                                      {input_.source[0], input_.source[1], input_.source[2]}};
  kernels::cuda::normalise(context_->kernel_context(), storage, table, n * values_[size(first_)].pixels(),
                           static_cast<const std::uint8_t*>(images_.data()), channels, to);
}

void CudaProgram::issue(std::int64_t n) {
  normalise(n, storage_, values_[size(first_)].padded, at(first_));
  kernels::Context ctx = context_->kernel_context();
  ctx.workspace = workspace_.bytes() == 0 ? nullptr : workspace_.mutable_data();
  ctx.workspace_bytes = workspace_.bytes();
  for (const PlacedStep& placed : steps_)
    placed.step->run(ctx, n, {at(placed.x), at(placed.residual), at(placed.y), at(placed.second)});
}

void CudaProgram::run(Recording& recording, std::int64_t n, const std::function<void()>& work) {
  prepare(n);
  if (!options_.graph) {
    work();
    return;
  }
  if (recording.workspaces_ != workspaces_) recording.graphs_.clear();
  recording.workspaces_ = workspaces_;
  cuda::Graph& graph = recording.graphs_[n];
  const cuda::Stream& stream = context_->stream();
  if (!graph) {
    // Once without recording: libraries load their code at the first call, which a recording does not bear.
    work();
    stream.synchronize();
    graph = cuda::Graph::capture(stream, work);
  }
  graph.launch(stream);
}

}  // namespace aikd::nn
