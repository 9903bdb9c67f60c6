// What a kernel is given besides its pointers and dimensions: threads, scratch memory, and on CUDA a stream.
// Kernels are the lowest layer: they know nothing of tensors, check nothing but debug assertions, and never
// throw. Whoever calls them (nn/) has checked shapes and has told each argument's alignment and aliasing by
// the contract.
#pragma once

#include <cstddef>
#include <type_traits>

namespace aikd::kernels {

// Runs `tasks` independent pieces of work, possibly at once. Implemented by aikd::ThreadPool.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual int threads() const noexcept = 0;
  // Calls fn(argument, task, thread) once for every task in [0, tasks), thread in [0, threads()), and returns
  // when all are done. Tasks go to threads in contiguous runs decided only by `tasks` and threads(), so
  // results that depend on the split (they should not) at least repeat. `fn` must not throw and must not call
  // run() again.
  virtual void run(std::ptrdiff_t tasks, void (*fn)(void* argument, std::ptrdiff_t task, int thread),
                   void* argument) = 0;
};

namespace cuda {
class Libraries;  // kernels/cuda/libraries.h
}

struct Context {
  Executor* executor = nullptr;  // null: everything on the calling thread
  void* workspace = nullptr;  // aligned scratch (CPU: 64 bytes, CUDA: 256), contents undefined between calls
  std::size_t workspace_bytes = 0;

  // CUDA only.
  void* stream = nullptr;                // a cudaStream_t; every launch is ordered on it
  cuda::Libraries* libraries = nullptr;  // cuDNN and cuBLASLt handles; null: hand-written kernels only
  // What to do when a launch fails: `what` names the kernel, `reason` is the runtime's sentence. Kernels
  // throw nothing of their own; whoever made the context decides (aikd::Context throws Error(kDevice)). Null:
  // the process is aborted.
  void (*on_error)(const char* what, const char* reason) = nullptr;

  int threads() const noexcept { return executor == nullptr ? 1 : executor->threads(); }
};

// parallel_for(ctx, n, [&](std::ptrdiff_t task, int thread) { ... });
template <class Body>
void parallel_for(const Context& ctx, std::ptrdiff_t tasks, Body&& body) {
  if (ctx.executor == nullptr || ctx.executor->threads() == 1 || tasks <= 1) {
    for (std::ptrdiff_t task = 0; task < tasks; ++task) body(task, 0);
    return;
  }
  using Fn = std::remove_reference_t<Body>;
  ctx.executor->run(
      tasks,
      [](void* argument, std::ptrdiff_t task, int thread) { (*static_cast<Fn*>(argument))(task, thread); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace aikd::kernels
