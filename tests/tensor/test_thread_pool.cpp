#include <atomic>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

#include "kernels/context.h"
#include "tensor/context.h"
#include "tensor/thread_pool.h"
#include "tests/support/test.h"

TEST_CASE("every task runs exactly once for any number of threads and tasks") {
  for (const int threads : {1, 2, 3, 8}) {
    aikd::ThreadPool pool(threads);
    aikd::kernels::Context context;
    context.executor = &pool;
    for (const std::ptrdiff_t tasks : {0, 1, 2, 7, 8, 9, 1000}) {
      std::vector<std::atomic<int>> hits(static_cast<std::size_t>(tasks));
      std::atomic<bool> thread_in_range{true};
      aikd::kernels::parallel_for(context, tasks, [&](std::ptrdiff_t task, int thread) {
        hits[static_cast<std::size_t>(task)]++;
        if (thread < 0 || thread >= threads) thread_in_range = false;
      });
      for (const auto& h : hits) REQUIRE(h == 1);
      CHECK(thread_in_range);
    }
  }
}

TEST_CASE("thousands of short jobs in a row complete") {
  aikd::ThreadPool pool(4);
  aikd::kernels::Context context;
  context.executor = &pool;
  std::vector<long> sums(4, 0);
  for (int job = 0; job < 5000; ++job) {
    aikd::kernels::parallel_for(
        context, 4, [&](std::ptrdiff_t task, int) { sums[static_cast<std::size_t>(task)] += job; });
  }
  for (const long s : sums) CHECK(s == 5000L * 4999 / 2);
}

TEST_CASE("several callers may share one pool") {
  aikd::ThreadPool pool(3);
  aikd::kernels::Context context;
  context.executor = &pool;
  std::atomic<long> total{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int job = 0; job < 200; ++job) {
        aikd::kernels::parallel_for(context, 5, [&](std::ptrdiff_t task, int) { total += task; });
      }
    });
  }
  for (auto& caller : callers) caller.join();
  CHECK(total == 4 * 200 * 10);
}

TEST_CASE("a context keeps and grows its workspace") {
  aikd::Context context(aikd::Device::cpu(), 2);
  CHECK(context.threads() == 2);
  CHECK(context.kernel_context().workspace == nullptr);
  const auto big = context.kernel_context(1000);
  CHECK(big.workspace_bytes >= 1000);
  CHECK(context.kernel_context(10).workspace == big.workspace);
}
