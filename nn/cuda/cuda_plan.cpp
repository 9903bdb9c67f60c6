#include "nn/cuda/cuda_plan.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "nn/cuda/cuda_program.h"
#include "nn/plan_network.h"

namespace aikd::nn {
namespace {

class CudaPlan final : public Plan {
 public:
  CudaPlan(const Module& backbone, const Module* head, const InputTable& input, Context& context,
           const PlanOptions& options)
      : context_(&context),
        input_(input),
        options_(options),
        network_(record_network(backbone, head, input)),
        program_(context, network_.graph, network_.input, network_.outputs, input, options) {
    network_.graph = GraphOps();  // the modules may go now
    std::size_t out_bytes = 0;
    for (std::size_t i = 0; i < network_.outputs.size(); ++i) {
      out_at_.push_back(out_bytes);
      out_bytes += program_.output(i).bytes(options.max_batch);
    }
    for (Slot& slot : slots_) {
      slot.in = cuda::PinnedBuffer(static_cast<std::size_t>(options.max_batch) * program_.image_bytes());
      slot.out = cuda::PinnedBuffer(out_bytes);
    }
  }

  ~CudaPlan() override { program_.wait(); }
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
      take_rows(slots_[turn], 0, embeddings, p.begin, p.count);
      take_rows(slots_[turn], 1, head_output, p.begin, p.count);
      p.count = 0;
    };
    std::size_t turn = 0;
    for (std::int64_t begin = 0; begin < n; begin += options_.max_batch, turn = 1 - turn) {
      collect(turn);
      const std::int64_t count = std::min<std::int64_t>(options_.max_batch, n - begin);
      const std::int64_t run_as = program_.rounded_batch(count);
      const std::size_t one = program_.image_bytes(), bytes = static_cast<std::size_t>(count) * one;
      Slot& slot = slots_[turn];
      auto* const staging = static_cast<std::uint8_t*>(slot.in.data());
      std::memcpy(staging, images.data() + static_cast<std::size_t>(begin) * one, bytes);
      // Images that only fill the batch up are black, so that every run computes on defined numbers.
      std::memset(staging + bytes, 0, static_cast<std::size_t>(run_as - count) * one);
      program_.run(slot.recording, run_as, [this, &slot, run_as] { issue(slot, run_as); });
      slot.done.record(context_->stream());
      pending[turn] = {begin, count};
    }
    collect(turn);
    collect(1 - turn);
    context_->stream().synchronize();  // reports what failed on the device
  }

  std::int64_t embedding_size() const noexcept override { return network_.embedding_size; }
  std::size_t memory_bytes() const noexcept override { return program_.memory_bytes(); }
  const std::vector<PlanStep>& steps() const noexcept override { return program_.steps(); }

 private:
  struct Slot {
    cuda::PinnedBuffer in, out;
    cuda::Event done;
    CudaProgram::Recording recording;
  };

  // Everything one batch needs, in order, on the stream.
  void issue(Slot& slot, std::int64_t n) {
    const cuda::Stream& stream = context_->stream();
    cuda::copy_to_device(program_.images(), slot.in.data(),
                         static_cast<std::size_t>(n) * program_.image_bytes(), stream);
    program_.issue(n);
    for (std::size_t i = 0; i < out_at_.size(); ++i)
      cuda::copy_to_host(static_cast<unsigned char*>(slot.out.data()) + out_at_[i], program_.output_data(i),
                         program_.output(i).bytes(n), stream);
  }

  // Rows [begin, begin + count) of `to` from the pinned output; the padding of channels stays behind.
  void take_rows(const Slot& slot, std::size_t output, std::span<float> to, std::int64_t begin,
                 std::int64_t count) const {
    if (to.empty()) return;
    const CudaValue& value = program_.output(output);
    const auto* from =
        reinterpret_cast<const float*>(static_cast<const unsigned char*>(slot.out.data()) + out_at_[output]);
    float* out = to.data() + begin * value.pixels() * value.c;
    for (std::int64_t pixel = 0; pixel < count * value.pixels(); ++pixel)
      out = std::copy_n(from + pixel * value.padded, value.c, out);
  }

  Context* context_;
  InputTable input_;
  PlanOptions options_;
  PlanNetwork network_;
  CudaProgram program_;
  std::vector<std::size_t> out_at_;  // where each output's rows begin in the pinned memory
  Slot slots_[2];
};

}  // namespace

std::unique_ptr<Plan> compile_cuda_plan(const Module& backbone, const Module* head, const InputTable& input,
                                        Context& context, const PlanOptions& options) {
  check_plan_options(input, options);
  return std::make_unique<CudaPlan>(backbone, head, input, context, options);
}

}  // namespace aikd::nn
