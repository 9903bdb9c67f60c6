// A fixed team of threads that runs the tasks of one kernel at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include "kernels/context.h"

namespace aikd {

class ThreadPool final : public kernels::Executor {
 public:
  // `threads` <= 0 takes the number of processors this process may run on (its affinity mask, not the
  // machine's count).
  explicit ThreadPool(int threads = 0);
  ~ThreadPool() override;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const noexcept override { return threads_; }
  // The calling thread is thread 0 of the team. One run at a time: callers from several threads wait for each
  // other.
  void run(std::ptrdiff_t tasks, void (*fn)(void*, std::ptrdiff_t, int), void* argument) override;

  static int available_processors() noexcept;

 private:
  struct State;
  void work(int thread);

  int threads_;
  std::unique_ptr<State> state_;
  std::vector<std::thread> workers_;
};

}  // namespace aikd
