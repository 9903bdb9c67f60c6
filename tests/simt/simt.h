// An emulator of the CUDA execution model on the host: audit the kernels without a card.
//
// Every thread of a block is a fiber; a block's fibers take turns and stop at barriers and at warp-wide
// operations; blocks run one after the other. The files of kernels/cuda/ are compiled by the host's compiler
// with -fsanitize=thread, which puts a call before every access to memory. No sanitizer runtime is linked:
// those calls end here (simt_access.cpp), where every byte has a shadow that knows who wrote and read it
// last. A launch throws Violation at the first
//
//   * access outside the memory that kernels were given (allocations, shared arrays, parameters), or
//   misaligned;
//   * read of memory that nobody wrote;
//   * race: two accesses to a byte, one of them a write and not both atomic, by threads that no barrier (same
//   block) or
//     warp-wide operation (same warp) orders. Blocks of one launch are never ordered;
//   * divergent barrier: threads of a block wait at different places, or wait while others have left the
//   kernel; the
//     same for a warp-wide operation and the lanes of its mask;
//   * launch that no card would take (too many threads, too much shared memory, a block that is no whole
//   number of warps).
//
// What it cannot show: rounding of the card's own functions (expf, division), speed, memory consistency
// between blocks beyond the rule above, and faults of the compiler. A race is found from the order of
// barriers, not from luck: the schedule does not matter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace aikd::simt {

class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Extent3 {
  unsigned x = 1, y = 1, z = 1;
};

// Memory that kernels may use, as cudaMalloc would give it. Accesses are checked against exactly these bytes.
void register_global(void* begin, std::size_t bytes, bool initialised);
void unregister_global(void* begin);
// [begin, begin + bytes) was written by the host (a copy to the device).
void mark_initialised(void* begin, std::size_t bytes);

// Whether accesses are instrumented in this build (not under other sanitizers: then only values and barriers
// are checked).
bool checks_accesses() noexcept;

// The kernels launched since the process began, each once, in order of first launch; template arguments cut
// off.
const std::vector<std::string>& launched_kernels();

// Runs one launch to its end. `body` calls the kernel.
struct Launch {
  const char* name = "";
  Extent3 grid, block;
  std::size_t shared_bytes = 0;
  void (*body)(void*) = nullptr;
  void* argument = nullptr;
};
void run(const Launch& launch);

// Between runs: in which order a block's threads take turns. 0: ascending; 1: descending; n > 1: a
// permutation of seed n.
void set_schedule(unsigned schedule) noexcept;

// ---- For device_emulated.h: what device code calls. ----
struct Place {  // of a barrier or a warp-wide operation, and of its kind
  const char* file;
  int line;
  const char* what;
};
struct Index3 {
  unsigned x, y, z;
};
Index3 thread_index() noexcept;
Index3 block_index() noexcept;
Extent3 block_extent() noexcept;
Extent3 grid_extent() noexcept;
unsigned lane() noexcept;

void barrier(const Place& place);
// All lanes of `mask` (which must hold the caller's) meet; each gives `bytes` (at most 64) and gets all 32
// slots, valid until its next meeting. Slots of lanes outside the mask are undefined.
const unsigned char (*meet(unsigned mask, const void* value, std::size_t bytes, const Place& place))[64];
// The same for all threads of the block: how many gave true.
int barrier_count(bool predicate, const Place& place);

// Shared arrays: the same sequence of calls in every thread gives the same arrays.
void* shared_array(std::size_t bytes);
void* dynamic_shared();

// An access made by the emulator itself on behalf of the thread: checks, and then the caller may touch the
// memory.
enum class Access { kRead, kWrite, kAtomic };
void check_access(const void* address, std::size_t bytes, Access access, std::size_t alignment);

// Asynchronous copies: performed when waited for, not before.
void async_copy_16(void* shared, const void* global, bool valid);
void async_commit();
void async_wait(int pending);

[[noreturn]] void violate(const std::string& sentence);

}  // namespace aikd::simt
