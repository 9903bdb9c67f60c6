// A cache in front of a slow allocator of device memory. Knows nothing of CUDA: what it needs of the device
// is the interface MemorySource, so that its rules are tested on any machine.
//
// cudaMalloc takes some 0.1 ms and cudaFree waits for the whole device; a training step asks for memory
// hundreds of times, always for the same sizes. Hence released blocks are kept for the next request of nearly
// their size:
//
//   * Requests are rounded up to a multiple of 512 bytes up to 1 MiB and of 2 MiB above, so that nearly equal
//   requests
//     become equal and a block is never cut.
//   * The smallest free block that fits is taken if it is at most a quarter (or 4 KiB) larger than the
//   rounded request.
//   * Blocks are kept by the stream they were released on. Work on one stream runs in order, so the next user
//   of that
//     stream may have the block at once, although the device has not reached the point of the release yet.
//     Other streams never get it before the device has finished.
//   * Blocks released without a stream wait: they are given out again, to any stream, after the device has
//   finished once.
//     A request that only such a block can serve makes that wait.
//   * When the device has nothing left, the whole cache is given back and the request tried once more.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace aikd {

// The device behind a CachingAllocator. Called under its lock.
class MemorySource {
 public:
  virtual ~MemorySource() = default;
  // Null when there is not so much memory left; throws Error(kDevice) for any other failure.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  // Returns when everything issued to the device has finished; throws Error(kDevice) when something in it
  // failed. False when it is not possible to wait now (a graph is being recorded): the device may still be at
  // work.
  virtual bool wait() = 0;
  // For messages: "cuda:0"; and what the device itself says, "1.2 of 79.6 GiB are free on the device", or
  // nothing.
  virtual std::string name() const = 0;
  virtual std::string remaining() const { return {}; }
};

class CachingAllocator {
 public:
  explicit CachingAllocator(std::unique_ptr<MemorySource> source);
  // Gives the cached blocks back. Blocks still in use are left alone: their owners outlive the device.
  ~CachingAllocator();
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;

  // At least `bytes` bytes for work on `stream` (null: for any). Null for 0 bytes. Throws Error(kDevice) when
  // there is no memory left.
  void* allocate(std::size_t bytes, void* stream);
  // `stream`: the one that the last work on the block is ordered on; null: not known. A null `memory` is
  // ignored; Error(kInternal) for memory that is not in use here, as on a second release.
  void release(void* memory, void* stream);
  // To be called when `stream` has finished and is about to be destroyed: a later stream may have the same
  // handle. Its free blocks become anybody's; those in use wait for the device when they are released.
  void forget_stream(void* stream);
  // Gives all free blocks back to the device, after waiting for it.
  void release_cached();

  struct Statistics {
    std::size_t in_use = 0;  // bytes of blocks given out, as rounded
    std::size_t cached = 0;  // bytes of blocks held and not in use
    std::size_t peak = 0;    // the largest in_use so far
    std::size_t source_allocations = 0, reuses = 0, waits = 0;
  };
  Statistics statistics() const;

  // The size of the block made for a request, and the size of the largest block that may serve it.
  static std::size_t block_bytes(std::size_t bytes) noexcept;
  static std::size_t largest_acceptable(std::size_t block_bytes) noexcept;

 private:
  using FreeBlocks = std::multimap<std::size_t, void*>;  // by size
  struct UsedBlock {
    std::size_t bytes = 0;
    void* stream = nullptr;
    bool stream_gone = false;
  };
  struct Block {
    void* memory = nullptr;
    std::size_t bytes = 0;
  };

  static Block take(FreeBlocks& blocks, std::size_t bytes);
  Block take_cached(std::size_t bytes, void* stream);
  bool wait_for_device();
  void give_back_everything();
  [[noreturn]] void fail_without_memory(std::size_t bytes, std::size_t cached) const;

  std::unique_ptr<MemorySource> source_;
  mutable std::mutex mutex_;
  std::unordered_map<void*, UsedBlock> used_;
  std::unordered_map<void*, FreeBlocks> by_stream_;
  FreeBlocks idle_;     // the device has finished with these: for any stream
  FreeBlocks waiting_;  // released without a stream since the last wait
  Statistics statistics_;
};

}  // namespace aikd
