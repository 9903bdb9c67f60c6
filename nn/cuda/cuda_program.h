// A recorded graph as a sequence of fused steps on a CUDA device, with all memory planned and all weights
// uploaded: what the scoring plan and the frozen part of a network in training are made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "nn/cuda/cuda_steps.h"
#include "nn/cuda/device_parameter.h"
#include "nn/graph.h"
#include "nn/plan.h"
#include "nn/plan_memory.h"
#include "tensor/buffer.h"
#include "tensor/context.h"
#include "tensor/cuda_runtime.h"

namespace aikd::nn {

class CudaProgram {
 public:
  // Computes the nodes `outputs` (none of them `input`; there may be none) from images. The graph is read
  // here only.
  CudaProgram(Context& context, const GraphOps& graph, int input, const std::vector<int>& outputs,
              const InputTable& table, const PlanOptions& options);
  ~CudaProgram() { wait(); }
  CudaProgram(const CudaProgram&) = delete;
  CudaProgram& operator=(const CudaProgram&) = delete;

  // Sizes a batch is rounded up to: powers of two and the largest. Each is compiled once, at its first use.
  std::int64_t rounded_batch(std::int64_t n) const;
  std::size_t image_bytes() const noexcept { return image_bytes_; }  // of one image
  std::uint8_t* images();                                            // on the device, room for max_batch
  const CudaValue& output(std::size_t i) const { return values_[size(outputs_[i])]; }
  const void* output_data(std::size_t i) { return at(outputs_[i]); }

  // Launches what the first n of images() need, in order, on the context's stream: their values, and the
  // steps. n has been prepared by run().
  void issue(std::int64_t n);
  // images() as numbers in `storage`, [n, height, width, channels].
  void normalise(std::int64_t n, kernels::Storage storage, std::int64_t channels, void* to);

  // One sequence of launches, recorded for each size of batch; what it names stays where it is.
  class Recording {
    friend class CudaProgram;
    std::map<std::int64_t, cuda::Graph> graphs_;
    int workspaces_ = 0;
  };
  // Runs work(), which calls issue(n) and may copy before and after it; from its second call on as a graph,
  // if the options say so.
  void run(Recording& recording, std::int64_t n, const std::function<void()>& work);

  // Until nothing is in use any more: before recordings, or the memory they name, may go.
  void wait() const noexcept;

  std::size_t memory_bytes() const noexcept;
  const std::vector<PlanStep>& steps() const noexcept { return described_; }

 private:
  struct PlacedStep {
    std::unique_ptr<CudaStep> step;
    // Places of values (indices into values_), -1 for none.
    int x = -1, residual = -1, y = -1, second = -1;
  };
  struct AffineCopy {
    Affine affine;
    int value = -1;
  };
  static std::size_t size(int index) { return static_cast<std::size_t>(index); }

  int define(const CudaValue& value, int step);
  void read(int value, int step) { lives_[size(value)].last = step; }
  CudaValue value_of(const FusedOp& op, const GraphOps& graph) const;
  void define_input(int input);
  void build(const GraphOps& graph, const std::vector<int>& outputs);
  static bool reads_affine_copy(const FusedOp& op);
  int affine_copy(int node, const Affine& affine, int& step);
  void place_everything(int steps);
  void prepare(std::int64_t n);
  void* at(int value);

  Context* context_;
  InputTable input_;
  PlanOptions options_;
  kernels::Storage storage_;
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
  int first_ = -1;            // the value of the input
  std::vector<int> outputs_;  // values
  Buffer arena_, images_, workspace_;
  int workspaces_ = 0;  // how many there have been
};

}  // namespace aikd::nn
