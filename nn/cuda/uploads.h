// Host memory on its way to the device.
#pragma once

#include <cstddef>

#include "tensor/context.h"
#include "tensor/cuda_runtime.h"

namespace aikd::nn {

// Two pinned buffers take turns: the host fills one while the device still copies from the other, and waits
// only when it is two uploads ahead.
class Uploads {
 public:
  explicit Uploads(const Context& context) : context_(&context) {}
  ~Uploads();
  Uploads(const Uploads&) = delete;
  Uploads& operator=(const Uploads&) = delete;

  // fill(void*) writes `bytes` bytes, which are copied to `to` on the device, ordered on the context's
  // stream.
  template <class Fill>
  void send(void* to, std::size_t bytes, Fill&& fill) {
    if (bytes == 0) return;
    Turn& turn = next(bytes);
    fill(turn.memory.data());
    cuda::copy_to_device(to, turn.memory.data(), bytes, context_->stream());
    turn.copied.record(context_->stream());
    turn.in_use = true;
  }

 private:
  struct Turn {
    cuda::PinnedBuffer memory;
    cuda::Event copied;
    bool in_use = false;
  };
  Turn& next(std::size_t bytes);

  const Context* context_;
  Turn turns_[2];
  std::size_t turn_ = 0;
};

}  // namespace aikd::nn
