#include "simt/simt.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>

#include "simt/fiber_switch.h"
#include "simt/simt_state.h"

namespace aikd::simt {

Fiber* current = nullptr;
bool inside = false;
std::uint32_t launch_number = 0, block_number = 0;

namespace {

// Two sets of slots for meetings of the whole warp, used in turn: a lane that has left a meeting may enter
// the next one while others still read the last. A third set is for meetings of some lanes, which end with a
// second meeting instead.
struct Warp {
  unsigned char slots[3][32][64];
};

const Launch* running = nullptr;
void* scheduler_stack_pointer = nullptr;
std::vector<Fiber> fibers;
std::vector<Warp> warps;
unsigned char* stacks = nullptr;
Index3 current_block{};
std::size_t static_shared = 0;  // of the running kernel, as far as seen
std::string violation;
bool violated = false;
unsigned schedule = 0;
std::vector<std::string> kernels;

std::string describe(const Index3& index) {
  return "(" + std::to_string(index.x) + "," + std::to_string(index.y) + "," + std::to_string(index.z) + ")";
}
std::string describe(const Place& place) {
  std::string file = place.file;
  return std::string(place.what) + " at " + file.substr(file.rfind('/') + 1) + ":" +
         std::to_string(place.line);
}
bool same_place(const Place& a, const Place& b) {
  return a.line == b.line && std::strcmp(a.file, b.file) == 0;
}

std::string base_name(const char* name) {
  std::string text = name;
  if (!text.empty() && text.front() == '(') text = text.substr(1);
  const std::size_t end = text.find_first_of("<) ");
  text = text.substr(0, end);
  const std::size_t scope = text.rfind(':');
  return scope == std::string::npos ? text : text.substr(scope + 1);
}

void to_scheduler() {
  switch_stack(&current->stack_pointer, scheduler_stack_pointer);
}

void fiber_main() {
  running->body(running->argument);
  if (!current->copies.empty())
    violate("leaves the kernel while asynchronous copies are under way (no cp_async_wait)");
  current->state = Fiber::State::kLeft;
  to_scheduler();
  std::abort();  // a fiber that has left is never resumed
}

void check_launch(const Launch& launch) {
  const std::size_t threads = static_cast<std::size_t>(launch.block.x) * launch.block.y * launch.block.z;
  const std::string name = "The launch of " + base_name(launch.name);
  if (threads == 0 || launch.grid.x == 0 || launch.grid.y == 0 || launch.grid.z == 0)
    throw Violation(name + " has an empty grid or block.");
  if (threads > kMaxThreads || launch.block.z > 64)
    throw Violation(name + " has " + std::to_string(threads) + " threads per block; a card takes 1024.");
  if (threads % 32 != 0)
    throw Violation(name + " has a block of " + std::to_string(threads) +
                    " threads, not a whole number of warps.");
  if (launch.grid.y > 65535 || launch.grid.z > 65535 || launch.grid.x > 2147483647U)
    throw Violation(name + " has a grid larger than 2147483647 x 65535 x 65535 blocks.");
  if (launch.shared_bytes > kMaxShared)
    throw Violation(name + " asks for " + std::to_string(launch.shared_bytes) +
                    " bytes of shared memory; sm_90 has " + std::to_string(kMaxShared) + ".");
}

// Releases whoever waits at the block barrier, when all do.
bool pass_barrier(std::size_t threads) {
  std::size_t waiting = 0, left = 0;
  const Fiber* first = nullptr;
  for (std::size_t i = 0; i < threads; ++i) {
    if (fibers[i].state == Fiber::State::kLeft) ++left;
    if (fibers[i].state != Fiber::State::kAtBarrier) continue;
    ++waiting;
    if (first == nullptr) first = &fibers[i];
    if (!same_place(first->place, fibers[i].place)) {
      violation = "divergent barrier: thread " + describe(first->index) + " waits in " +
                  describe(first->place) + ", thread " + describe(fibers[i].index) + " in " +
                  describe(fibers[i].place);
      violated = true;
      return false;
    }
  }
  if (waiting == 0) return false;
  if (waiting + left == threads && left > 0) {
    violation = "divergent barrier: thread " + describe(first->index) + " waits in " +
                describe(first->place) + ", but " + std::to_string(left) + " threads have left the kernel";
    violated = true;
    return false;
  }
  if (waiting < threads) return false;
  for (std::size_t i = 0; i < threads; ++i) {
    fibers[i].state = Fiber::State::kReady;
    ++fibers[i].barriers;
    fibers[i].meetings = 0;
  }
  return true;
}

// Releases the lanes of every meeting that is complete.
bool pass_meetings(std::size_t threads) {
  bool any = false;
  for (std::size_t warp = 0; warp < threads / 32; ++warp) {
    Fiber* const lanes = &fibers[warp * 32];
    for (unsigned l = 0; l < 32; ++l) {
      if (lanes[l].state != Fiber::State::kAtMeeting) continue;
      const unsigned mask = lanes[l].mask;
      bool complete = true;
      for (unsigned m = 0; m < 32 && complete; ++m) {
        if ((mask >> m & 1U) == 0) continue;
        const Fiber& other = lanes[m];
        if (other.state == Fiber::State::kAtMeeting && other.mask == mask) {
          if (!same_place(other.place, lanes[l].place)) {
            violation = "divergent warp: thread " + describe(lanes[l].index) + " is in " +
                        describe(lanes[l].place) + ", thread " + describe(other.index) + " in " +
                        describe(other.place);
            violated = true;
            return false;
          }
          continue;
        }
        complete = false;
        if (other.state == Fiber::State::kLeft) {
          violation = "divergent warp: thread " + describe(lanes[l].index) + " waits in " +
                      describe(lanes[l].place) + " for thread " + describe(other.index) +
                      ", which has left the kernel";
          violated = true;
          return false;
        }
      }
      if (!complete) continue;
      any = true;
      for (unsigned m = 0; m < 32; ++m) {
        if ((mask >> m & 1U) == 0) continue;
        lanes[m].state = Fiber::State::kReady;
        if (mask != 0xffffffffU) continue;
        lanes[m].parity ^= 1U;
        ++lanes[m].meetings;
      }
    }
  }
  return any;
}

void explain_standstill(std::size_t threads) {
  const Fiber* first = nullptr;
  for (std::size_t i = 0; i < threads; ++i) {
    const Fiber& f = fibers[i];
    if (f.state == Fiber::State::kLeft) continue;
    if (first == nullptr) {
      first = &f;
      continue;
    }
    if (f.state != first->state || !same_place(f.place, first->place)) {
      violation = "divergent barrier: thread " + describe(first->index) + " waits in " +
                  describe(first->place) + ", thread " + describe(f.index) + " in " + describe(f.place);
      violated = true;
      return;
    }
  }
  violation = "thread " + describe(first->index) + " waits for ever in " + describe(first->place);
  violated = true;
}

void run_block(const Launch& launch, const std::vector<std::size_t>& order) {
  const std::size_t threads = order.size();
  for (std::size_t i = 0; i < threads; ++i) {
    Fiber& f = fibers[i];
    unsigned char* const stack = f.stack;
    f = Fiber();
    f.stack = stack;
    f.linear = static_cast<unsigned>(i);
    f.index = {f.linear % launch.block.x, f.linear / launch.block.x % launch.block.y,
               f.linear / (launch.block.x * launch.block.y)};
    f.stack_pointer = prepare_stack(stack, kStackBytes, fiber_main);
  }
  static_shared = 0;
  start_block_shadow(launch.shared_bytes);
  for (;;) {
    bool ran = false;
    for (const std::size_t i : order) {
      if (fibers[i].state != Fiber::State::kReady) continue;
      ran = true;
      current = &fibers[i];
      switch_stack(&scheduler_stack_pointer, fibers[i].stack_pointer);
      current = nullptr;
      if (violated) return;
    }
    if (ran && std::any_of(order.begin(), order.end(),
                           [](std::size_t i) { return fibers[i].state == Fiber::State::kReady; }))
      continue;
    const bool released = pass_meetings(threads);
    if (violated) return;
    if (released) continue;
    if (pass_barrier(threads)) continue;
    if (violated) return;
    if (std::all_of(order.begin(), order.end(),
                    [](std::size_t i) { return fibers[i].state == Fiber::State::kLeft; }))
      return;
    explain_standstill(threads);
    return;
  }
}

std::vector<std::size_t> turns(std::size_t threads) {
  std::vector<std::size_t> order(threads);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (schedule == 1) std::reverse(order.begin(), order.end());
  if (schedule > 1) {
    std::uint64_t state = schedule;
    for (std::size_t i = threads; i > 1; --i) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      std::swap(order[i - 1], order[(state >> 33) % i]);
    }
  }
  return order;
}

}  // namespace

Index3 thread_index() noexcept {
  return current->index;
}
Index3 block_index() noexcept {
  return current_block;
}
Extent3 block_extent() noexcept {
  return running->block;
}
Extent3 grid_extent() noexcept {
  return running->grid;
}
unsigned lane() noexcept {
  return current->linear % 32;
}

void set_schedule(unsigned s) noexcept {
  schedule = s;
}
const std::vector<std::string>& launched_kernels() {
  return kernels;
}

void violate(const std::string& sentence) {
  if (current == nullptr) throw Violation(sentence);
  inside = true;
  if (!violated) violation = "thread " + describe(current->index) + " " + sentence;
  violated = true;
  to_scheduler();
  std::abort();
}

void run(const Launch& launch) {
  if (running != nullptr) throw Violation("A kernel launched a kernel.");
  check_launch(launch);
  const std::string name = base_name(launch.name);
  if (std::find(kernels.begin(), kernels.end(), name) == kernels.end()) kernels.push_back(name);
  const std::size_t threads = static_cast<std::size_t>(launch.block.x) * launch.block.y * launch.block.z;
  if (stacks == nullptr) {
    void* const memory = mmap(nullptr, kStackBytes * kMaxThreads, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    stacks = static_cast<unsigned char*>(memory);
    fibers.resize(kMaxThreads);
    for (std::size_t i = 0; i < kMaxThreads; ++i) fibers[i].stack = stacks + i * kStackBytes;
    warps.resize(kMaxThreads / 32);
  }
  const std::vector<std::size_t> order = turns(threads);
  running = &launch;
  violated = false;
  violation.clear();
  inside = false;
  ++launch_number;
  block_number = 0;
  for (unsigned z = 0; z < launch.grid.z && !violated; ++z)
    for (unsigned y = 0; y < launch.grid.y && !violated; ++y)
      for (unsigned x = 0; x < launch.grid.x && !violated; ++x) {
        current_block = {x, y, z};
        ++block_number;
        run_block(launch, order);
      }
  running = nullptr;
  if (violated) throw Violation(name + ", block " + describe(current_block) + ": " + violation + ".");
}

void barrier(const Place& place) {
  current->state = Fiber::State::kAtBarrier;
  current->place = place;
  to_scheduler();
}

int barrier_count(bool predicate, const Place& place) {
  current->predicate = predicate;
  barrier(place);
  int count = 0;
  const std::size_t threads =
      static_cast<std::size_t>(running->block.x) * running->block.y * running->block.z;
  for (std::size_t i = 0; i < threads; ++i) count += fibers[i].predicate ? 1 : 0;
  barrier(place);  // nobody gives its next predicate before all have counted
  return count;
}

const unsigned char (*meet(unsigned mask, const void* value, std::size_t bytes, const Place& place))[64] {
  const unsigned l = lane();
  if ((mask >> l & 1U) == 0) violate("is not in the mask of its own " + describe(place));
  if (bytes > 64) violate("gives more than 64 bytes to a warp-wide operation");
  const bool whole = mask == 0xffffffffU;
  auto& slots = warps[current->linear / 32].slots[whole ? current->parity : 2];
  if (bytes > 0) std::memcpy(slots[l], value, bytes);
  const auto wait = [&] {
    current->state = Fiber::State::kAtMeeting;
    current->place = place;
    current->mask = mask;
    to_scheduler();
  };
  wait();
  if (whole) return slots;
  std::memcpy(current->copy_of_slots, slots, sizeof slots);
  wait();
  return current->copy_of_slots;
}

void* shared_array(std::size_t bytes) {
  constexpr std::size_t kGap = 64;  // no array touches the next: running over the end is seen
  const std::size_t dynamic = (running->shared_bytes + 15) / 16 * 16 + kGap;
  const std::size_t offset = dynamic + current->shared_cursor;
  current->shared_cursor += (bytes + 15) / 16 * 16 + kGap;
  if (current->shared_cursor > static_shared) {
    static_shared = current->shared_cursor;
    if (static_shared > kMaxStaticShared + 64 * kGap)
      violate("uses more than 48 KiB of static shared memory");
    open_shared(offset, bytes);
  }
  return shared_arena() + offset;
}

void* dynamic_shared() {
  return shared_arena();
}

void async_copy_16(void* shared, const void* global, bool valid) {
  if (valid) check_access(global, 16, Access::kRead, 16);
  current->copies.push_back({shared, global, valid, current->group});
}
void async_commit() {
  ++current->group;
}
void async_wait(int pending) {
  auto& copies = current->copies;
  const int up_to = current->group - pending;
  for (const AsyncCopy& copy : copies) {
    if (copy.group >= up_to) continue;
    check_access(copy.to, 16, Access::kWrite, 16);
    if (copy.valid) {
      std::memcpy(copy.to, copy.from, 16);
    } else {
      std::memset(copy.to, 0, 16);
    }
  }
  std::erase_if(copies, [&](const AsyncCopy& copy) { return copy.group < up_to; });
}

}  // namespace aikd::simt
