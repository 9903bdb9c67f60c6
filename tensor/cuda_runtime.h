// What the library asks of a CUDA device: memory, copies, streams, events, graphs. No CUDA header is needed
// to include this. Three implementations, of which a program links one: tensor/cuda/cuda_runtime.cpp with
// cuda_memory.cpp (the real one), tensor/cuda/cuda_runtime_absent.cpp (builds without the toolkit: no
// devices, everything else is Error(kDevice)), and tests/simt/cuda_runtime_emulated.cpp (the host emulator of
// the kernels: one device, everything done at once).
//
// Every failure is Error(kDevice) with the runtime's own sentence in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/context.h"

namespace aikd::cuda {

struct DeviceProperties {
  int index = 0;
  std::string name;
  int major = 0, minor = 0;  // compute capability
  double memory_gib = 0;
  int multiprocessors = 0;
  std::size_t l2_bytes = 0;
};

// Never throws: without a driver or without CUDA in the build the list is empty and `why_empty` says why.
std::vector<DeviceProperties> devices(std::string* why_empty = nullptr);

// Versions for --build-info: "CUDA runtime 13.0, driver 13.0"; or "none".
std::string runtime_description();

// Launches of the calling thread go to this device from now on. Cheap when it is current already.
void make_current(int device);
// Waits until the device has finished everything that was issued to it, on any stream.
void wait_for_device(int device);
// cuDNN and cuBLASLt for the current device; null where the build has no CUDA, and in the emulator.
std::unique_ptr<kernels::cuda::Libraries> make_libraries();

// Work in order. Move-only. A default-made stream is null: the legacy default stream is never used by this
// library.
class Stream {
 public:
  Stream() = default;
  explicit Stream(int device);  // non-blocking; makes `device` current for the calling thread
  ~Stream();                    // waits for the work issued so far
  Stream(Stream&& other) noexcept;
  Stream& operator=(Stream&& other) noexcept;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void* handle() const noexcept { return handle_; }  // a cudaStream_t
  int device() const noexcept { return device_; }
  // Waits for everything issued so far, and reports what failed in it.
  void synchronize() const;

 private:
  void* handle_ = nullptr;
  int device_ = 0;
};

// A point in a stream, with a time. Made on the device of the stream when it is first recorded.
class Event {
 public:
  Event() = default;
  ~Event();
  Event(Event&& other) noexcept;
  Event& operator=(Event&& other) noexcept;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(const Stream& stream);
  // Of an event that was recorded; Error(kInternal) otherwise.
  void synchronize() const;                             // waits until the point is reached
  void make_wait(const Stream& stream) const;           // later work of `stream` waits for the point
  double milliseconds_since(const Event& start) const;  // both reached

 private:
  void* handle_ = nullptr;
  int device_ = 0;
};

// Page-locked host memory: copies from and to it run beside kernels. Falls back to ordinary memory in no
// case.
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  explicit PinnedBuffer(std::size_t bytes);
  ~PinnedBuffer();
  PinnedBuffer(PinnedBuffer&& other) noexcept;
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept;
  PinnedBuffer(const PinnedBuffer&) = delete;
  PinnedBuffer& operator=(const PinnedBuffer&) = delete;
  void* data() const noexcept { return data_; }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// Device memory, 256-byte aligned, from a cache (tensor/caching_allocator.h): released blocks are kept for
// the next request. Stream-ordered: a block released on `stream` may be given out again for the same stream
// at once, because work on one stream runs in order. A null stream: the memory is given out again only after
// the device has finished.
void* allocate(std::size_t bytes, int device, void* stream);
// Memory that is not in use (a second release) ends the process: the owner's bookkeeping is broken.
void release(void* memory, int device, void* stream) noexcept;
struct MemoryUse {
  std::size_t in_use = 0, cached = 0, peak = 0;  // bytes; cached: held but not in use
};
MemoryUse memory_use(int device);
void release_cached(int device);

// Copies of `bytes` bytes, ordered on `stream`. From and to pageable host memory they may return only when
// done; from and to pinned memory they return at once.
void copy_to_device(void* to, const void* from, std::size_t bytes, const Stream& stream);
void copy_to_host(void* to, const void* from, std::size_t bytes, const Stream& stream);
void copy_on_device(void* to, const void* from, std::size_t bytes, const Stream& stream);
void fill_bytes(void* to, unsigned char value, std::size_t bytes, const Stream& stream);

// A recorded sequence of launches, replayed with one.
class Graph {
 public:
  Graph() = default;
  // Runs `work` with `stream` in capture mode: what it launches is recorded, not run. `work` must not
  // allocate, synchronise or copy from pageable memory, and must have run once before (libraries load their
  // kernels on first use). The memory it names must stay where it is for as long as the graph is launched.
  // What `work` throws passes through, and leaves the stream usable.
  //
  // The emulator cannot record: it keeps `work` and calls it at each launch. So `work` holds launches and
  // copies only, no bookkeeping of its own, and what it refers to lives as long as the graph.
  static Graph capture(const Stream& stream, const std::function<void()>& work);
  ~Graph();
  Graph(Graph&& other) noexcept;
  Graph& operator=(Graph&& other) noexcept;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  explicit operator bool() const noexcept { return handle_ != nullptr; }
  void launch(const Stream& stream) const;
  std::size_t nodes() const noexcept { return nodes_; }  // launches and copies recorded; the emulator says 1

 private:
  void* handle_ = nullptr;
  std::size_t nodes_ = 0;
};

}  // namespace aikd::cuda
