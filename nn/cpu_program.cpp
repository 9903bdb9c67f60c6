#include "nn/cpu_program.h"

#include "kernels/isa.h"
#include "kernels/normalise.h"
#include "nn/op_dims.h"

namespace aikd::nn {

CpuProgram::CpuProgram(Context& context, const GraphOps& graph, int input, const std::vector<int>& outputs,
                       std::int64_t max_batch, bool winograd)
    : context_(&context), max_batch_(max_batch) {
  const std::string problem = kernels::isa_problem();
  require(problem.empty(), ErrorKind::kUsage, problem);
  const std::vector<FusedOp> ops = fuse(graph, outputs);
  const auto value_of = [&](int node) {
    return PlanValue(graph.nodes()[static_cast<std::size_t>(node)].shape);
  };
  std::map<int, std::size_t> index;  // node -> its value's place in `lives`
  std::vector<ValueLife> lives;
  const auto define = [&](int node, int step) {
    index[node] = lives.size();
    lives.push_back({static_cast<std::size_t>(value_of(node).floats() * max_batch_), step, step, -1});
  };
  define(input, -1);
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const FusedOp& op = ops[i];
    const auto step = static_cast<int>(i);
    lives[index.at(op.input)].last = step;
    if (op.residual >= 0) lives[index.at(op.residual)].last = step;
    define(op.output, step);
    steps_.push_back(
        {make_plan_kernel(op, value_of(op.input), value_of(op.output), winograd), 0, 0, 0, op.residual >= 0});
    described_.push_back({steps_.back().kernel->name(), steps_.back().kernel->macs()});
    workspace_bytes_ =
        std::max(workspace_bytes_, steps_.back().kernel->workspace_bytes(max_batch_, context.threads()));
  }
  for (const int output : outputs) lives[index.at(output)].last = static_cast<int>(ops.size());
  for (std::size_t i = 0; i < ops.size(); ++i) reuse_place(ops[i], *steps_[i].kernel, index, lives);

  const ArenaLayout layout = lay_out(lives);
  arena_ = Buffer(layout.floats * sizeof(float), Device::cpu());
  // Never read before it is written, but a lane of padding may be multiplied by a zero filter: no NaN may be
  // there.
  std::fill_n(arena_floats(), layout.floats, 0.0F);
  const auto place = [&](int node) { return layout.offsets[index.at(node)]; };
  for (std::size_t i = 0; i < ops.size(); ++i) {
    steps_[i].input = place(ops[i].input);
    steps_[i].output = place(ops[i].output);
    if (ops[i].residual >= 0) steps_[i].residual = place(ops[i].residual);
  }
  input_ = {place(input), value_of(input)};
  for (const int output : outputs) outputs_.push_back({place(output), value_of(output)});
}

// Lets an output take the place of a residual, or of an elementwise step's input, that dies at this step.
void CpuProgram::reuse_place(const FusedOp& op, const PlanKernel& kernel,
                             const std::map<int, std::size_t>& index, std::vector<ValueLife>& lives) {
  ValueLife& y = lives[index.at(op.output)];
  const auto dies_here = [&](int node) {
    const ValueLife& life = lives[index.at(node)];
    return life.last == y.first && life.floats == y.floats;
  };
  if (op.residual >= 0 && op.residual != op.input && kernel.overwrites_residual() && dies_here(op.residual)) {
    y.replaces = static_cast<int>(index.at(op.residual));
  } else if (kernel.elementwise() && op.residual < 0 && dies_here(op.input)) {
    y.replaces = static_cast<int>(index.at(op.input));
  }
}

void CpuProgram::normalise_images(const kernels::Context& ctx, const InputTable& table,
                                  std::span<const std::uint8_t> images, std::int64_t begin,
                                  std::int64_t count, float* to) const {
  const std::int64_t pixels = std::int64_t{table.height} * table.width;
  kernels::cpu::normalise(ctx, normalise_table(table), count * pixels, images.data() + begin * pixels * 3, to,
                          input_.value.stored_channels());
}

void CpuProgram::copy_vectors(const Place& place, std::int64_t count, std::int64_t columns, float* to) const {
  for (std::int64_t i = 0; i < count; ++i)
    std::copy_n(data(place) + i * place.value.floats(), columns, to + i * columns);
}

void CpuProgram::run_steps(const kernels::Context& ctx, std::int64_t count) const {
  float* const arena = arena_floats();
  for (const Step& step : steps_)
    step.kernel->run(ctx, count, arena + step.input, step.has_residual ? arena + step.residual : nullptr,
                     arena + step.output);
}

std::size_t CpuProgram::memory_bytes() const noexcept {
  std::size_t sum = arena_.bytes() + workspace_bytes_;
  for (const Step& step : steps_) sum += step.kernel->parameter_bytes();
  return sum;
}

}  // namespace aikd::nn
