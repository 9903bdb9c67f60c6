// A network of which a part is trained: what depends on nothing trained is compiled (nn/frozen_plan.h), the
// rest is replayed on a tape (nn/tape.h) in every step. The cut is found in the recorded graph, so it works
// for any network and any choice of tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "nn/frozen_plan.h"
#include "nn/module.h"
#include "nn/plan_network.h"
#include "nn/tape.h"
#include "nn/training_state.h"
#include "tensor/context.h"

namespace aikd::nn {

struct TrainableOptions {
  static constexpr std::int64_t kAllTensors = -1;
  // How many of the backbone's parameter tensors are trained, counted from the end in PyTorch's order of
  // parameters(); all of the head's are. A BatchNorm weight that is fixed at 1 (iResNet's last) is counted,
  // as PyTorch counts it, and not trained.
  std::int64_t last_tensors = kAllTensors;
  // Gradients of all parameters, also of those that are not trained: for a norm over all of them. Then
  // nothing is compiled, and every BatchNorm uses the statistics of the batch.
  bool differentiate_all = false;
  int max_batch = 64;
  Precision precision = Precision::kFp32;
};

class TrainableNetwork {
 public:
  // What training changes (trained tensors and the statistics of BatchNorms on the tape) gets memory of its
  // own on the context's device; the module's handles then lead there. backbone, head (may be null) and
  // context must outlive it. Error(kUsage): more tensors than there are, or nothing is trained; Error(kModel)
  // as record_network.
  TrainableNetwork(Module& backbone, Module* head, const InputTable& table, Context& context,
                   const TrainableOptions& options);

  struct Outputs {
    Value embedding;  // [n, features]
    Value score;      // [n, 1]; no tensor without a head
  };
  // images: n x height x width x 3 bytes. `tape` must have been made with gradients().
  Outputs forward(TapeOps& tape, std::span<const std::uint8_t> images, std::int64_t n);
  // Adds 1 to num_batches_tracked of every BatchNorm that used the batch, as PyTorch does in each forward
  // pass.
  void count_batch();

  TrainedParameters& gradients() noexcept { return gradients_; }
  // By the names of a model file: "backbone.fc.weight", "head.l1.weight".
  const std::vector<StateTensor>& trained_backbone() const noexcept { return trained_backbone_; }
  const std::vector<StateTensor>& trained_head() const noexcept { return trained_head_; }
  // Everything that training changes, buffers included, in the order of the model.
  const std::vector<NamedTensor>& changing() const noexcept { return changing_; }

  const FrozenPlan& frozen() const noexcept { return *frozen_; }
  std::size_t frozen_nodes() const noexcept { return frozen_nodes_; }
  std::size_t tape_nodes() const noexcept { return network_.graph.nodes().size() - frozen_nodes_; }

 private:
  void choose(const TrainableOptions& options);
  std::vector<bool> depends_on_training(const GraphOps& graph) const;
  void own_what_changes(const GraphOps& graph, const std::vector<bool>& dependent, Context& context);
  Value replay(TapeOps& tape, const GraphNode& node, const std::vector<Value>& values) const;

  std::vector<NamedTensor> tensors_;  // of both, by the names of a model file
  std::vector<bool> is_trained_, is_differentiated_;
  TrainedParameters gradients_;
  std::vector<StateTensor> trained_backbone_, trained_head_;
  std::vector<NamedTensor> changing_;
  std::vector<Tensor*> batch_counts_;
  PlanNetwork network_;
  std::vector<bool> dependent_;   // on something trained, by node
  std::vector<int> last_reader_;  // the node that reads a node's value last
  std::vector<int> frontier_;     // frozen values that the tape reads, or that are outputs
  std::size_t frozen_nodes_ = 0;
  std::unique_ptr<FrozenPlan> frozen_;
};

}  // namespace aikd::nn
