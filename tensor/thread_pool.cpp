#include "tensor/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace aikd {

// A job is published by raising `generation`; each worker runs its share and lowers `pending`. Workers spin
// for a short while before they sleep, because a network is a hundred jobs in a row with microseconds between
// them.
struct ThreadPool::State {
  std::mutex one_run;  // serialises callers
  std::mutex mutex;
  std::condition_variable wake, done;
  std::atomic<std::uint64_t> generation{0};
  std::atomic<int> pending{0};
  std::atomic<bool> stop{false};
  std::ptrdiff_t tasks = 0;
  void (*fn)(void*, std::ptrdiff_t, int) = nullptr;
  void* argument = nullptr;
};

namespace {

constexpr int kSpins = 4000;  // about 20-40 microseconds

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// The contiguous share [begin, end) of thread `i` of `n`.
std::pair<std::ptrdiff_t, std::ptrdiff_t> share(std::ptrdiff_t tasks, int i, int n) {
  return {tasks * i / n, tasks * (i + 1) / n};
}

}  // namespace

int ThreadPool::available_processors() noexcept {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

ThreadPool::ThreadPool(int threads)
    : threads_(threads > 0 ? threads : available_processors()), state_(std::make_unique<State>()) {
  workers_.reserve(static_cast<std::size_t>(threads_ - 1));
  for (int i = 1; i < threads_; ++i) workers_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->wake.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(std::ptrdiff_t tasks, void (*fn)(void*, std::ptrdiff_t, int), void* argument) {
  State& s = *state_;
  if (threads_ == 1 || tasks <= 1) {
    for (std::ptrdiff_t task = 0; task < tasks; ++task) fn(argument, task, 0);
    return;
  }
  const std::lock_guard one_run(s.one_run);
  {
    const std::lock_guard lock(s.mutex);
    s.tasks = tasks;
    s.fn = fn;
    s.argument = argument;
    s.pending.store(threads_ - 1, std::memory_order_relaxed);
    s.generation.fetch_add(1, std::memory_order_release);
  }
  s.wake.notify_all();
  const auto [begin, end] = share(tasks, 0, threads_);
  for (std::ptrdiff_t task = begin; task < end; ++task) fn(argument, task, 0);
  for (int spin = 0; spin < kSpins && s.pending.load(std::memory_order_acquire) != 0; ++spin) pause();
  if (s.pending.load(std::memory_order_acquire) == 0) return;
  std::unique_lock lock(s.mutex);
  s.done.wait(lock, [&s] { return s.pending.load(std::memory_order_acquire) == 0; });
}

void ThreadPool::work(int thread) {
  State& s = *state_;
  std::uint64_t seen = 0;
  for (;;) {
    for (int spin = 0; spin < kSpins && s.generation.load(std::memory_order_acquire) == seen; ++spin) pause();
    if (s.generation.load(std::memory_order_acquire) == seen) {
      std::unique_lock lock(s.mutex);
      s.wake.wait(lock,
                  [&s, seen] { return s.stop || s.generation.load(std::memory_order_acquire) != seen; });
      if (s.stop) return;
    }
    // Each generation is waited for by run() before the next is published, so exactly one step was taken.
    ++seen;
    const auto [begin, end] = share(s.tasks, thread, threads_);
    for (std::ptrdiff_t task = begin; task < end; ++task) s.fn(s.argument, task, thread);
    if (s.pending.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      const std::lock_guard lock(s.mutex);
      s.done.notify_one();
    }
  }
}

}  // namespace aikd
