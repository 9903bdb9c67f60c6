// The rules of tensor/caching_allocator.h on a device that is only counted: addresses are handed out and
// never used.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tensor/caching_allocator.h"
#include "tensor/error.h"
#include "tests/support/test.h"

namespace {

using aikd::CachingAllocator;
using aikd::Error;
using aikd::ErrorKind;

constexpr std::size_t kMiB = std::size_t{1} << 20;

struct Ledger {
  std::size_t capacity = 0, used = 0;
  std::uintptr_t next = 4096;
  std::map<void*, std::size_t> live;
  int allocations = 0, releases = 0, waits = 0;
  bool can_wait = true, broken = false;
  bool released_without_wait = false;  // memory went back while the device might have been at work
  int waits_at_last_use = 0;
};

class CountedMemory final : public aikd::MemorySource {
 public:
  explicit CountedMemory(Ledger& ledger) : ledger_(ledger) {}
  void* allocate(std::size_t bytes) override {
    if (bytes > ledger_.capacity - ledger_.used) return nullptr;
    void* const memory = reinterpret_cast<void*>(ledger_.next);
    ledger_.next += 4096;
    ledger_.used += bytes;
    ledger_.live[memory] = bytes;
    ++ledger_.allocations;
    return memory;
  }
  void release(void* memory) noexcept override {
    if (ledger_.waits == ledger_.waits_at_last_use) ledger_.released_without_wait = true;
    ledger_.used -= ledger_.live[memory];
    ledger_.live.erase(memory);
    ++ledger_.releases;
  }
  bool wait() override {
    if (ledger_.broken) throw Error(ErrorKind::kDevice, "the device failed");
    if (ledger_.can_wait) ++ledger_.waits;
    return ledger_.can_wait;
  }
  std::string name() const override { return "test:0"; }
  std::string remaining() const override { return "nothing else is known"; }

 private:
  Ledger& ledger_;
};

struct Fixture {
  explicit Fixture(std::size_t capacity) { ledger.capacity = capacity; }
  Ledger ledger;
  CachingAllocator allocator{std::make_unique<CountedMemory>(ledger)};
  int first_stream = 0, second_stream = 0;
  void* a = &first_stream;  // handles are names only
  void* b = &second_stream;
};

template <class F>
std::string message_of(ErrorKind kind, F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.kind() == kind ? e.what() : std::string("another kind: ") + e.what();
  }
  return "no error";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("block sizes are multiples of 512 bytes and of 2 MiB above 1 MiB") {
  const auto size = CachingAllocator::block_bytes;
  CHECK(size(1) == 512);
  CHECK(size(512) == 512);
  CHECK(size(513) == 1024);
  CHECK(size(kMiB - 1) == kMiB);
  CHECK(size(kMiB) == kMiB);
  CHECK(size(kMiB + 1) == 2 * kMiB);
  CHECK(size(2 * kMiB + 1) == 4 * kMiB);
  CHECK(size(SIZE_MAX) == SIZE_MAX);
  CHECK(CachingAllocator::largest_acceptable(512) == 512 + 4096);
  CHECK(CachingAllocator::largest_acceptable(8 * kMiB) == 10 * kMiB);
  CHECK(CachingAllocator::largest_acceptable(SIZE_MAX) == SIZE_MAX);
}

TEST_CASE("a released block serves the same stream at once and no other stream") {
  Fixture f(100 * kMiB);
  void* const first = f.allocator.allocate(3 * kMiB, f.a);
  f.allocator.release(first, f.a);
  CHECK(f.allocator.allocate(3 * kMiB - 5, f.a) == first);
  f.allocator.release(first, f.a);
  void* const other = f.allocator.allocate(3 * kMiB, f.b);
  CHECK(other != first);
  void* const unordered = f.allocator.allocate(3 * kMiB, nullptr);
  CHECK(unordered != first);
  CHECK(unordered != other);
  CHECK(f.ledger.allocations == 3);
  CHECK(f.ledger.waits == 0);
  // Its last use counts, not the stream it was asked for.
  f.allocator.release(other, f.a);
  CHECK(f.allocator.allocate(4 * kMiB, f.b) != other);
  CHECK(f.ledger.allocations == 4);
}

TEST_CASE("the smallest block that fits is taken, and none that wastes more than a quarter") {
  Fixture f(1000 * kMiB);
  void* const large = f.allocator.allocate(20 * kMiB, f.a);
  void* const middle = f.allocator.allocate(10 * kMiB, f.a);
  f.allocator.release(large, f.a);
  f.allocator.release(middle, f.a);
  CHECK(f.allocator.allocate(8 * kMiB, f.a) == middle);  // 2 MiB of waste
  CHECK(f.allocator.allocate(12 * kMiB, f.a) != large);  // 8 MiB would be
  CHECK(f.allocator.allocate(16 * kMiB, f.a) == large);  // 4 MiB: just a quarter
  CHECK(f.allocator.statistics().in_use == (10 + 12 + 20) * kMiB);
  void* const small = f.allocator.allocate(4608, f.a);
  f.allocator.release(small, f.a);
  CHECK(f.allocator.allocate(1, f.a) == small);  // 4 KiB of waste are allowed whatever the size
}

TEST_CASE("a block released without a stream is given out after one wait for the device") {
  Fixture f(100 * kMiB);
  void* const first = f.allocator.allocate(6 * kMiB, nullptr);
  void* const second = f.allocator.allocate(30 * kMiB, nullptr);
  f.allocator.release(first, nullptr);
  f.allocator.release(second, nullptr);
  // A request that none of them can serve does not wait.
  CHECK(f.allocator.allocate(2 * kMiB, f.a) != first);
  CHECK(f.ledger.waits == 0);
  CHECK(f.allocator.allocate(6 * kMiB, f.a) == first);
  CHECK(f.ledger.waits == 1);
  CHECK(f.allocator.allocate(30 * kMiB, f.b) == second);  // that wait was for this one, too
  CHECK(f.ledger.waits == 1);
  // Where it is impossible to wait, new memory is taken.
  f.allocator.release(first, nullptr);
  f.ledger.can_wait = false;
  CHECK(f.allocator.allocate(6 * kMiB, f.a) != first);
  f.ledger.can_wait = true;
  CHECK(f.allocator.allocate(6 * kMiB, f.a) == first);
  CHECK(f.allocator.statistics().waits == 2);
}

TEST_CASE("the blocks of a stream that is gone are anybody's after the device has finished") {
  Fixture f(100 * kMiB);
  void* const free = f.allocator.allocate(4 * kMiB, f.a);
  void* const used = f.allocator.allocate(8 * kMiB, f.a);
  f.allocator.release(free, f.a);
  f.allocator.forget_stream(f.a);
  CHECK(f.allocator.allocate(4 * kMiB, f.b) == free);  // the stream had finished
  CHECK(f.ledger.waits == 0);
  // A new stream with the same handle is not ordered after the old one's memory.
  f.allocator.release(used, f.a);
  CHECK(f.allocator.allocate(8 * kMiB, f.a) == used);
  CHECK(f.ledger.waits == 1);
  f.allocator.release(used, f.a);  // and now it belongs to the new one
  CHECK(f.allocator.allocate(8 * kMiB, f.a) == used);
  CHECK(f.ledger.waits == 1);
}

TEST_CASE("when the device has nothing left the cache is given back and the request tried once more") {
  Fixture f(20 * kMiB);
  void* const kept = f.allocator.allocate(4 * kMiB, f.b);
  f.allocator.release(f.allocator.allocate(8 * kMiB, f.a), f.a);
  f.allocator.release(f.allocator.allocate(6 * kMiB, nullptr), nullptr);
  f.ledger.waits_at_last_use = f.ledger.waits;
  void* const large = f.allocator.allocate(16 * kMiB, f.b);
  CHECK(large != nullptr);
  CHECK(f.ledger.releases == 2);
  CHECK_FALSE(f.ledger.released_without_wait);
  CHECK(f.ledger.used == 20 * kMiB);
  const CachingAllocator::Statistics s = f.allocator.statistics();
  CHECK(s.in_use == 20 * kMiB);
  CHECK(s.cached == 0);

  f.allocator.release(large, f.b);
  const std::string message =
      message_of(ErrorKind::kDevice, [&] { (void)f.allocator.allocate(18 * kMiB + 1, f.a); });
  CHECK(has(message, "test:0 has no memory left: 18874369 bytes (18.0 MiB) were asked for"));
  CHECK(has(message, "this process has 4194304 bytes (4.0 MiB) in use there"));
  CHECK(has(message, "had 16777216 bytes (16.0 MiB) cached; nothing else is known."));
  CHECK(has(message_of(ErrorKind::kDevice, [&] { (void)f.allocator.allocate(SIZE_MAX, f.a); }),
            "no memory left: 18446744073709551615 bytes"));
  // The failure changed nothing: what is in use stays in use, and the device still has room.
  CHECK(f.allocator.statistics().in_use == 4 * kMiB);
  CHECK(f.allocator.allocate(16 * kMiB, f.a) != nullptr);
  f.allocator.release(kept, f.b);
}

TEST_CASE("statistics count bytes in use and cached and the peak") {
  Fixture f(100 * kMiB);
  CHECK(f.allocator.allocate(0, f.a) == nullptr);
  f.allocator.release(nullptr, f.a);
  void* const x = f.allocator.allocate(100, f.a);
  void* const y = f.allocator.allocate(3 * kMiB, f.a);
  CHECK(f.allocator.statistics().in_use == 4 * kMiB + 512);
  CHECK(f.allocator.statistics().cached == 0);
  f.allocator.release(y, f.a);
  CHECK(f.allocator.statistics().in_use == 512);
  CHECK(f.allocator.statistics().cached == 4 * kMiB);
  CHECK(f.allocator.statistics().peak == 4 * kMiB + 512);
  (void)f.allocator.allocate(4 * kMiB, f.a);
  CHECK(f.allocator.statistics().peak == 4 * kMiB + 512);
  CHECK(f.allocator.statistics().source_allocations == 2);
  CHECK(f.allocator.statistics().reuses == 1);
  f.allocator.release(x, f.a);
  f.allocator.release_cached();
  CHECK(f.allocator.statistics().cached == 0);
  CHECK(f.allocator.statistics().in_use == 4 * kMiB);
  CHECK(f.ledger.live.size() == 1);
}

TEST_CASE("memory that is not in use cannot be released") {
  Fixture f(100 * kMiB);
  void* const block = f.allocator.allocate(1000, f.a);
  f.allocator.release(block, f.a);
  CHECK(has(message_of(ErrorKind::kInternal, [&] { f.allocator.release(block, f.a); }),
            "Memory of test:0 was released that is not in use"));
  int elsewhere = 0;
  CHECK(
      has(message_of(ErrorKind::kInternal, [&] { f.allocator.release(&elsewhere, nullptr); }), "not in use"));
  CHECK(f.allocator.statistics().cached == 1024);
}

TEST_CASE("a device that failed reports it, and its memory is not given out") {
  Ledger ledger;
  ledger.capacity = 10 * kMiB;
  {
    CachingAllocator allocator(std::make_unique<CountedMemory>(ledger));
    allocator.release(allocator.allocate(4 * kMiB, nullptr), nullptr);
    ledger.broken = true;
    CHECK(message_of(ErrorKind::kDevice, [&] { (void)allocator.allocate(4 * kMiB, nullptr); }) ==
          "the device failed");
    CHECK(message_of(ErrorKind::kDevice, [&] { allocator.release_cached(); }) == "the device failed");
    CHECK(allocator.statistics().cached == 4 * kMiB);
    CHECK(allocator.statistics().in_use == 0);
  }
  CHECK(ledger.releases == 0);  // the destructor kept quiet
}

TEST_CASE("the cache goes back to the device with its allocator") {
  Ledger ledger;
  ledger.capacity = 10 * kMiB;
  {
    CachingAllocator allocator(std::make_unique<CountedMemory>(ledger));
    allocator.release(allocator.allocate(4 * kMiB, nullptr), nullptr);
    allocator.release(allocator.allocate(2 * kMiB, &ledger), &ledger);
    CHECK(ledger.used == 6 * kMiB);
  }
  CHECK(ledger.used == 0);
}

TEST_CASE("threads share an allocator") {
  Fixture f(std::size_t{1} << 40);
  std::vector<std::thread> threads;
  int handles[4] = {};
  for (int& handle : handles) {
    threads.emplace_back([&f, &handle] {
      for (std::size_t i = 0; i < 500; ++i) {
        void* const stream = i % 3 == 0 ? nullptr : &handle;
        void* const x = f.allocator.allocate(1 + i * 997 % 5000, stream);
        void* const y = f.allocator.allocate(kMiB + i * 7919, stream);
        f.allocator.release(x, stream);
        f.allocator.release(y, stream);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const CachingAllocator::Statistics s = f.allocator.statistics();
  CHECK(s.in_use == 0);
  CHECK(s.cached == f.ledger.used);
  CHECK(s.reuses + s.source_allocations == 4 * 500 * 2);
  CHECK(s.source_allocations == static_cast<std::size_t>(f.ledger.allocations));
}
