// The shadow of every byte that kernels use, and the calls that the instrumentation makes.
#include <pthread.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "simt/simt_state.h"

extern "C" char __executable_start, end;  // the linker's: the program and its constants

namespace aikd::simt {
namespace {

constexpr std::size_t kArenaBytes = std::size_t{512} << 10;

// Who made an access, and when: comparable with another of the same launch.
struct Stamp {
  std::uint32_t launch = 0, block = 0;
  std::uint16_t thread = 0, barriers = 0, meetings = 0;
  bool atomic = false;
};
enum Allocated : std::uint8_t { kNot, kArray };
struct Cell {
  Stamp write, read;
  // There are other reads beside `read` in its interval: by other threads, of other warps, of other blocks.
  bool several = false, several_warps = false, several_blocks = false;
  bool initialised = false;
  Allocated allocated = kArray;
};

// A run of memory with one cell per `granule` bytes. Begins with 4; the first smaller access splits the
// cells.
struct Region {
  unsigned char* begin = nullptr;
  std::size_t bytes = 0;
  std::size_t granule = 4;
  bool shared = false;
  std::vector<Cell> cells;

  void split() {
    std::vector<Cell> fine(cells.size() * granule);
    for (std::size_t i = 0; i < fine.size(); ++i) fine[i] = cells[i / granule];
    cells = std::move(fine);
    granule = 1;
  }
};

std::vector<std::unique_ptr<Region>> regions;  // sorted by begin
Region* last_hit = nullptr;
Region arena;
std::vector<std::pair<std::size_t, std::size_t>> arrays;  // of the block, in the arena: offset and bytes
alignas(64) unsigned char arena_memory[kArenaBytes];
unsigned char *host_stack_begin = nullptr, *host_stack_end = nullptr;

Region* find(const unsigned char* address) {
  if (address >= arena_memory && address < arena_memory + kArenaBytes) return &arena;
  if (last_hit != nullptr && address >= last_hit->begin && address < last_hit->begin + last_hit->bytes)
    return last_hit;
  const auto after = std::upper_bound(regions.begin(), regions.end(), address,
                                      [](const unsigned char* a, const auto& r) { return a < r->begin; });
  if (after == regions.begin()) return nullptr;
  Region* const region = std::prev(after)->get();
  if (address >= region->begin + region->bytes) return nullptr;
  last_hit = region;
  return region;
}

Stamp stamp_of(const Fiber& f, bool atomic) {
  return {launch_number, block_number, static_cast<std::uint16_t>(f.linear), f.barriers, f.meetings, atomic};
}

// Whether a barrier, a meeting of the warp or program order stands between `before` and `now`.
bool ordered(const Stamp& before, const Stamp& now) {
  if (before.launch != now.launch) return true;
  if (before.block != now.block) return false;
  if (before.thread == now.thread || before.barriers != now.barriers) return true;
  return before.thread / 32 == now.thread / 32 && before.meetings != now.meetings;
}

// `cell.read` stands for all reads that a later write could race with: the last one, and flags for the
// others.
void remember_read(Cell& cell, const Stamp& now) {
  const Stamp before = cell.read;
  cell.read = now;
  if (before.launch != now.launch) {
    cell.several = cell.several_warps = cell.several_blocks = false;
    return;
  }
  cell.read.atomic = before.atomic && now.atomic;
  if (before.block != now.block) cell.several_blocks = true;
  if (cell.several_blocks) return;
  if (before.barriers != now.barriers) {
    cell.several = cell.several_warps = false;
    cell.read.atomic = now.atomic;
  } else if (before.thread / 32 != now.thread / 32) {
    cell.several = cell.several_warps = true;
  } else if (before.thread != now.thread && !cell.several_warps) {
    cell.several = before.meetings == now.meetings;
  }
}

// Whether all reads so far are ordered before `now`.
bool reads_before(const Cell& cell, const Stamp& now) {
  const Stamp& read = cell.read;
  if (read.launch != now.launch) return true;
  if (cell.several_blocks || read.block != now.block) return false;
  if (read.barriers != now.barriers) return true;
  if (cell.several_warps || read.thread / 32 != now.thread / 32) return false;
  return read.meetings != now.meetings || (!cell.several && read.thread == now.thread);
}

std::string who(const Stamp& s) {
  return "thread " + std::to_string(s.thread) + " of block " + std::to_string(s.block - 1);
}

// "byte 12 of shared array 1", arrays counted from 0 in the order of their definition (dynamic memory first,
// if any).
std::string name_byte(const Region& region, std::size_t offset) {
  if (!region.shared)
    return "byte " + std::to_string(offset) + " of an allocation of " + std::to_string(region.bytes);
  for (std::size_t i = 0; i < arrays.size(); ++i)
    if (offset >= arrays[i].first && offset < arrays[i].first + arrays[i].second)
      return "byte " + std::to_string(offset - arrays[i].first) + " of shared array " + std::to_string(i);
  return "byte " + std::to_string(offset) + " of shared memory";
}

void check_write(Cell& cell, const Stamp& now, const Region& region, std::size_t offset) {
  const auto race = [&](const Stamp& other, const char* did) {
    violate("races on " + name_byte(region, offset) + ": it writes what " + who(other) + " " + did +
            ", with no barrier between");
  };
  if (!ordered(cell.write, now) && !(cell.write.atomic && now.atomic)) race(cell.write, "wrote");
  if (!reads_before(cell, now) && !(cell.read.atomic && now.atomic)) race(cell.read, "read");
  cell.write = now;
  cell.initialised = true;
}

void check_read(Cell& cell, const Stamp& now, const Region& region, std::size_t offset) {
  if (!cell.initialised) violate("reads " + name_byte(region, offset) + ", which nobody wrote");
  if (!ordered(cell.write, now) && !(cell.write.atomic && now.atomic))
    violate("races on " + name_byte(region, offset) + ": it reads what " + who(cell.write) +
            " wrote, with no barrier between");
  remember_read(cell, now);
}

void check(const void* pointer, std::size_t bytes, Access access) {
  const auto* const address = static_cast<const unsigned char*>(pointer);
  const Fiber& f = *current;
  if (address >= f.stack && address < f.stack + kStackBytes) return;  // the thread's own variables
  Region* const region = find(address);
  const char* const verb = access == Access::kRead ? "reads " : "writes ";
  if (region == nullptr) {
    // Parameters of the kernel, which lie in the launching function, and constants of the program: to be
    // read.
    const bool parameter = address >= host_stack_begin && address < host_stack_end;
    const auto* const program = reinterpret_cast<const unsigned char*>(&__executable_start);
    const bool constant = address >= program && address < reinterpret_cast<const unsigned char*>(&end);
    if (access == Access::kRead && (parameter || constant)) return;
    violate(std::string(verb) + std::to_string(bytes) + " bytes outside all memory it was given");
  }
  const auto offset = static_cast<std::size_t>(address - region->begin);
  const char* const memory = region->shared ? "shared memory" : "an allocation";
  if (offset + bytes > region->bytes)
    violate(std::string(verb) + std::to_string(offset + bytes - region->bytes) + " bytes beyond the end of " +
            memory + " of " + std::to_string(region->bytes) + " bytes");
  if (region->granule == 4 && (offset % 4 != 0 || bytes % 4 != 0)) region->split();
  const Stamp now = stamp_of(f, access == Access::kAtomic);
  for (std::size_t i = offset; i < offset + bytes; i += region->granule) {
    if (i / region->granule >= region->cells.size())
      violate(std::string(verb) + "shared memory outside every array (byte " + std::to_string(i) + ")");
    Cell& cell = region->cells[i / region->granule];
    if (cell.allocated == kNot)
      violate(std::string(verb) + "shared memory outside every array (byte " + std::to_string(i) + ")");
    if (access != Access::kWrite) check_read(cell, now, *region, i);
    if (access != Access::kRead) check_write(cell, now, *region, i);
  }
}

}  // namespace

void register_global(void* begin, std::size_t bytes, bool initialised) {
  auto region = std::make_unique<Region>();
  region->begin = static_cast<unsigned char*>(begin);
  region->bytes = bytes;
  region->granule = bytes % 4 == 0 ? 4 : 1;
  Cell cell;
  cell.initialised = initialised;
  region->cells.assign(bytes / region->granule, cell);
  const auto at = std::upper_bound(regions.begin(), regions.end(), region->begin,
                                   [](const unsigned char* a, const auto& r) { return a < r->begin; });
  regions.insert(at, std::move(region));
}

void unregister_global(void* begin) {
  last_hit = nullptr;
  std::erase_if(regions, [&](const auto& r) { return r->begin == begin; });
}

void mark_initialised(void* begin, std::size_t bytes) {
  auto* const address = static_cast<unsigned char*>(begin);
  Region* const region = bytes == 0 ? nullptr : find(address);
  if (region == nullptr) return;
  const auto offset = static_cast<std::size_t>(address - region->begin);
  if (region->granule == 4 && (offset % 4 != 0 || bytes % 4 != 0)) region->split();
  for (std::size_t i = offset; i < std::min(offset + bytes, region->bytes); i += region->granule)
    region->cells[i / region->granule].initialised = true;
}

void start_block_shadow(std::size_t shared_bytes) {
  if (host_stack_begin == nullptr) {
    pthread_attr_t attributes;
    void* base = nullptr;
    std::size_t size = 0;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &base, &size);
    pthread_attr_destroy(&attributes);
    host_stack_begin = static_cast<unsigned char*>(base);
    host_stack_end = host_stack_begin + size;
    arena.begin = arena_memory;
    arena.bytes = kArenaBytes;
    arena.shared = true;
  }
  arena.cells.clear();
  arrays.clear();
  if (shared_bytes > 0) open_shared(0, shared_bytes);
}

unsigned char* shared_arena() {
  return arena_memory;
}

void open_shared(std::size_t offset, std::size_t bytes) {
  if (offset + bytes > kArenaBytes) violate("uses more shared memory than there is");
  if (arena.granule == 4 && bytes % 4 != 0) arena.split();
  arrays.emplace_back(offset, bytes);
  const std::size_t cells = (offset + bytes + arena.granule - 1) / arena.granule;
  Cell none;
  none.allocated = kNot;
  if (arena.cells.size() < cells) arena.cells.resize(cells, none);
  std::memset(arena_memory + offset, 0xff, bytes);  // NaN, should a check be missing
  for (std::size_t i = offset; i < offset + bytes; i += arena.granule)
    arena.cells[i / arena.granule].allocated = kArray;
}

void check_access(const void* address, std::size_t bytes, Access access, std::size_t alignment) {
  const bool outermost = !inside;
  inside = true;
  if (reinterpret_cast<std::uintptr_t>(address) % alignment != 0)
    violate("accesses " + std::to_string(bytes) + " bytes at an address that is not a multiple of " +
            std::to_string(alignment));
  if (current != nullptr) check(address, bytes, access);
  if (outermost) inside = false;
}

void raw_copy(void* to, const void* from, std::size_t bytes) noexcept {
  std::memcpy(to, from, bytes);
}

bool checks_accesses() noexcept {
#if defined(AIKD_SIMT_INSTRUMENTED)
  return true;
#else
  return false;
#endif
}

}  // namespace aikd::simt

// What -fsanitize=thread calls. Only accesses matter here.
extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit(void) {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
#define AIKD_HOOK(name, bytes, kind, aligned)                                                    \
  void name(void* address) {                                                                     \
    if (aikd::simt::current != nullptr && !aikd::simt::inside)                                   \
      aikd::simt::check_access(address, bytes, aikd::simt::Access::kind, (aligned) ? bytes : 1); \
  }
AIKD_HOOK(__tsan_read1, 1, kRead, true)
AIKD_HOOK(__tsan_read2, 2, kRead, true)
AIKD_HOOK(__tsan_read4, 4, kRead, true)
AIKD_HOOK(__tsan_read8, 8, kRead, true)
AIKD_HOOK(__tsan_read16, 16, kRead, true)
AIKD_HOOK(__tsan_write1, 1, kWrite, true)
AIKD_HOOK(__tsan_write2, 2, kWrite, true)
AIKD_HOOK(__tsan_write4, 4, kWrite, true)
AIKD_HOOK(__tsan_write8, 8, kWrite, true)
AIKD_HOOK(__tsan_write16, 16, kWrite, true)
AIKD_HOOK(__tsan_unaligned_read2, 2, kRead, false)
AIKD_HOOK(__tsan_unaligned_read4, 4, kRead, false)
AIKD_HOOK(__tsan_unaligned_read8, 8, kRead, false)
AIKD_HOOK(__tsan_unaligned_read16, 16, kRead, false)
AIKD_HOOK(__tsan_unaligned_write2, 2, kWrite, false)
AIKD_HOOK(__tsan_unaligned_write4, 4, kWrite, false)
AIKD_HOOK(__tsan_unaligned_write8, 8, kWrite, false)
AIKD_HOOK(__tsan_unaligned_write16, 16, kWrite, false)
#undef AIKD_HOOK
void __tsan_read_range(void* address, std::size_t bytes) {
  if (aikd::simt::current != nullptr && !aikd::simt::inside)
    aikd::simt::check_access(address, bytes, aikd::simt::Access::kRead, 1);
}
void __tsan_write_range(void* address, std::size_t bytes) {
  if (aikd::simt::current != nullptr && !aikd::simt::inside)
    aikd::simt::check_access(address, bytes, aikd::simt::Access::kWrite, 1);
}
}
