#include "nn/trainable_network.h"

#include <algorithm>
#include <set>
#include <utility>

namespace aikd::nn {
namespace {

constexpr const char* kBackbone = "backbone.";

bool is_parameter(const NamedTensor& tensor) {
  return !is_buffer(tensor.role);
}
bool is_fixed(const NamedTensor& tensor) {
  return tensor.role == TensorRole::kBnWeight && tensor.optional;
}

}  // namespace

TrainableNetwork::TrainableNetwork(Module& backbone, Module* head, const InputTable& table, Context& context,
                                   const TrainableOptions& options)
    : tensors_(backbone.tensors(kBackbone)) {
  if (head != nullptr) head->collect("head.", tensors_);
  choose(options);

  const PlanNetwork before = record_network(backbone, head, table);
  dependent_ = depends_on_training(before.graph);
  std::set<int> frontier;
  const auto frozen_value = [&](int node) {
    if (node >= 0 && !dependent_[static_cast<std::size_t>(node)]) frontier.insert(node);
  };
  for (std::size_t i = 0; i < before.graph.nodes().size(); ++i) {
    if (!dependent_[i]) {
      ++frozen_nodes_;
      continue;
    }
    for (const int input : before.graph.nodes()[i].inputs) frozen_value(input);
  }
  for (const int output : before.outputs) frozen_value(output);
  frontier_.assign(frontier.begin(), frontier.end());
  frozen_ = FrozenPlan::compile(before.graph, before.input, frontier_, table, context,
                                {.max_batch = options.max_batch, .precision = options.precision});

  own_what_changes(before.graph, dependent_, context);
  network_ = record_network(backbone, head, table);  // with the tensors where they are now
  last_reader_.assign(dependent_.size(), -1);
  for (std::size_t i = 0; i < dependent_.size(); ++i)
    for (const int input : network_.graph.nodes()[i].inputs)
      if (input >= 0) last_reader_[static_cast<std::size_t>(input)] = static_cast<int>(i);
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (!is_differentiated_[i]) continue;
    const Tensor& tensor = *tensors_[i].tensor;
    gradients_.add(tensor);
    if (!is_trained_[i]) continue;
    (tensors_[i].name.starts_with(kBackbone) ? trained_backbone_ : trained_head_)
        .push_back({tensors_[i].name, tensor});
  }
}

// Which tensors are trained, and which get gradients.
void TrainableNetwork::choose(const TrainableOptions& options) {
  const auto backbone_parameters = std::ranges::count_if(tensors_, [](const NamedTensor& tensor) {
    return is_parameter(tensor) && tensor.name.starts_with(kBackbone);
  });
  const bool all = options.last_tensors == TrainableOptions::kAllTensors;
  require(all || (options.last_tensors >= 0 && options.last_tensors <= backbone_parameters),
          ErrorKind::kUsage, "The last ", options.last_tensors,
          " tensors of the backbone are to be trained (limit), but it has ", backbone_parameters, ".");
  std::int64_t untrained = all ? 0 : backbone_parameters - options.last_tensors;
  for (const NamedTensor& tensor : tensors_) {
    bool chosen = is_parameter(tensor);
    if (chosen && tensor.name.starts_with(kBackbone) && untrained > 0) {
      --untrained;
      chosen = false;
    }
    const bool can_be = is_parameter(tensor) && !is_fixed(tensor) && tensor.tensor->defined();
    require(!can_be || tensor.tensor->dtype() == DType::kF32, ErrorKind::kModel, "The tensor ", tensor.name,
            " is ", name_of(tensor.tensor->dtype()), "; only 32-bit weights can be trained.");
    is_trained_.push_back(chosen && can_be);
    is_differentiated_.push_back((chosen || options.differentiate_all) && can_be);
  }
  require(std::ranges::find(is_trained_, true) != is_trained_.end(), ErrorKind::kUsage,
          "Nothing would be trained: the model has no head, and none of the backbone's tensors are chosen.");
}

std::vector<bool> TrainableNetwork::depends_on_training(const GraphOps& graph) const {
  std::set<const void*> memory;
  for (std::size_t i = 0; i < tensors_.size(); ++i)
    if (is_differentiated_[i]) memory.insert(tensors_[i].tensor->raw());
  const auto trained = [&](const Tensor* tensor) {
    return tensor != nullptr && tensor->defined() && memory.contains(tensor->raw());
  };
  std::vector<bool> dependent;
  for (const GraphNode& node : graph.nodes()) {
    bool depends =
        trained(&node.weight) || trained(&node.bias) || trained(node.bn.weight) || trained(node.bn.bias);
    for (const int input : node.inputs)
      depends = depends || (input >= 0 && dependent[static_cast<std::size_t>(input)]);
    dependent.push_back(depends);
  }
  return dependent;
}

void TrainableNetwork::own_what_changes(const GraphOps& graph, const std::vector<bool>& dependent,
                                        Context& context) {
  std::set<const Tensor*> statistics, read;
  std::set<const void*> read_memory;  // weights are in the graph by handle, not by place
  for (std::size_t i = 0; i < dependent.size(); ++i) {
    if (!dependent[i]) continue;
    const GraphNode& node = graph.nodes()[i];
    for (const Tensor* tensor : {node.bn.running_mean, node.bn.running_var})
      if (tensor != nullptr) statistics.insert(tensor);
    for (const Tensor* tensor : {node.bn.weight, node.bn.bias})
      if (tensor != nullptr) read.insert(tensor);
    for (const Tensor* tensor : {&node.weight, &node.bias})
      if (tensor->defined()) read_memory.insert(tensor->raw());
  }
  std::set<std::string> counted;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    NamedTensor& entry = tensors_[i];
    Tensor& tensor = *entry.tensor;
    if (!tensor.defined()) continue;
    const bool is_statistic = statistics.contains(entry.tensor);
    if (is_statistic) counted.insert(entry.name.substr(0, entry.name.rfind('.')));
    // num_batches_tracked comes after the statistics of its BatchNorm.
    const bool is_count =
        entry.role == TensorRole::kBnCount && counted.contains(entry.name.substr(0, entry.name.rfind('.')));
    if (is_trained_[i] || is_statistic || is_count) {
      // The file that it was borrowed from is not to change, nor another model that shares it.
      tensor = context.on_cuda() && !is_count ? tensor.to(context.device()) : tensor.clone();
      changing_.push_back(entry);
      if (is_count) batch_counts_.push_back(entry.tensor);
    } else if (context.on_cuda() && (read.contains(entry.tensor) || read_memory.contains(tensor.raw()))) {
      tensor = tensor.to(context.device());
    }
  }
}

void TrainableNetwork::count_batch() {
  for (Tensor* count : batch_counts_) ++*count->mutable_data<std::int64_t>();
}

Value TrainableNetwork::replay(TapeOps& tape, const GraphNode& node, const std::vector<Value>& values) const {
  const auto input = [&](std::size_t i) -> const Value& {
    return values[static_cast<std::size_t>(node.inputs[i])];
  };
  switch (node.kind) {
    case OpKind::kConv2d:
      return tape.conv2d(input(0), node.weight, node.bias, node.conv);
    case OpKind::kDepthwise:
      return tape.depthwise_conv2d(input(0), node.weight, node.bias, node.conv);
    case OpKind::kBatchNorm:
      return tape.batch_norm(input(0), node.bn);
    case OpKind::kPrelu:
      return tape.prelu(input(0), node.weight);
    case OpKind::kClamp:
      return tape.clamp(input(0), node.lo, node.hi);
    case OpKind::kAdd:
      return tape.add(input(0), input(1));
    case OpKind::kLinear:
      return tape.linear(input(0), node.weight, node.bias);
    case OpKind::kGelu:
      return tape.gelu(input(0));
    case OpKind::kFlatten:
      return tape.flatten(input(0));
    case OpKind::kInput:
      break;
  }
  fail(ErrorKind::kInternal, "TrainableNetwork: the input of a network cannot depend on anything trained.");
}

TrainableNetwork::Outputs TrainableNetwork::forward(TapeOps& tape, std::span<const std::uint8_t> images,
                                                    std::int64_t n) {
  const std::vector<GraphNode>& nodes = network_.graph.nodes();
  std::vector<Value> values(nodes.size());
  const std::vector<Tensor> frozen = frozen_->run(images, n);
  for (std::size_t i = 0; i < frontier_.size(); ++i)
    values[static_cast<std::size_t>(frontier_[i])] = tape.constant(frozen[i]);
  const auto is_output = [this](int node) {
    return std::ranges::find(network_.outputs, node) != network_.outputs.end();
  };
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!dependent_[i]) continue;
    values[i] = replay(tape, nodes[i], values);
    for (const int input : nodes[i].inputs) {  // memory that backward does not need goes at once
      const auto read = static_cast<std::size_t>(input);
      if (input >= 0 && last_reader_[read] == static_cast<int>(i) && !is_output(input))
        values[read].tensor = Tensor();
    }
  }
  Outputs outputs;
  outputs.embedding = values[static_cast<std::size_t>(network_.outputs[0])];
  if (network_.has_head()) outputs.score = values[static_cast<std::size_t>(network_.outputs[1])];
  return outputs;
}

}  // namespace aikd::nn
