// What the emulator's own files share: the running thread, and its clocks.
#pragma once

#include <cstdint>
#include <vector>

#include "simt/simt.h"

namespace aikd::simt {

struct AsyncCopy {
  void* to;
  const void* from;
  bool valid;
  int group;
};

// One thread of the running block.
struct Fiber {
  void* stack_pointer = nullptr;
  unsigned char* stack = nullptr;  // kStackBytes
  Index3 index{};
  unsigned linear = 0;
  enum class State : std::uint8_t { kReady, kAtBarrier, kAtMeeting, kLeft } state = State::kReady;
  Place place{};                             // where it waits
  unsigned mask = 0;                         // of the meeting it waits in
  std::uint16_t barriers = 0;                // block barriers passed
  std::uint16_t meetings = 0;                // full-warp meetings passed since the last barrier
  unsigned parity = 0;                       // which set of slots its next meeting of the whole warp uses
  unsigned char copy_of_slots[32][64] = {};  // of its last meeting of some lanes
  std::size_t shared_cursor = 0;
  bool predicate = false;
  int group = 0;  // asynchronous copies: the open group
  std::vector<AsyncCopy> copies;
};

inline constexpr std::size_t kStackBytes = std::size_t{256} << 10;
inline constexpr std::size_t kMaxThreads = 1024;
inline constexpr std::size_t kMaxShared = std::size_t{227} << 10;  // per block, sm_90
inline constexpr std::size_t kMaxStaticShared = std::size_t{48} << 10;

extern Fiber* current;  // null outside kernels
// The emulator itself runs: its accesses are not the kernel's. (Inline functions of the standard library may
// be linked from an instrumented file.)
extern bool inside;
extern std::uint32_t launch_number, block_number;

// simt_access.cpp
void start_block_shadow(std::size_t shared_bytes);
unsigned char* shared_arena();
void open_shared(std::size_t offset, std::size_t bytes);  // these bytes of the arena are an array

}  // namespace aikd::simt
