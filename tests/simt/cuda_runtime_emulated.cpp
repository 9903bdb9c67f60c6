// tensor/cuda_runtime.h in the host emulator: one device, whose memory is the host's and which finishes
// everything before the call that issued it returns. Its memory is known to the emulator byte for byte (no
// rounding, no cache), so that kernels that leave it, or read what nobody wrote, are found.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "kernels/cuda/libraries.h"
#include "simt/simt.h"
#include "tensor/cuda_runtime.h"
#include "tensor/error.h"

namespace aikd::cuda {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kAlignment = 256;

struct Memory {
  std::mutex mutex;
  std::unordered_map<void*, std::size_t> used;
  std::size_t in_use = 0, peak = 0;
};
Memory& memory() {
  static auto& one = *new Memory;  // tensors in static variables may outlive any order of destruction
  return one;
}

void check_device(int device) {
  require(device == 0, ErrorKind::kDevice, "There is no device cuda:", device,
          ": the emulator has one, cuda:0.");
}

// The same demand as the real runtime makes.
void check_stream(const Stream& stream) {
  require(stream.handle() != nullptr, ErrorKind::kInternal, "A CUDA call was given a stream that is null.");
}

void* aligned(std::size_t bytes) {
  void* block = nullptr;
  // Not aligned_alloc: that wants a multiple of the alignment, and the end must be exact.
  require(posix_memalign(&block, kAlignment, bytes) == 0, ErrorKind::kDevice,
          "cuda:0 has no memory left: ", bytes, " bytes were asked for of the emulator.");
  return block;
}

}  // namespace

std::vector<DeviceProperties> devices(std::string*) {
  const auto bytes =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  return {{.index = 0,
           .name = "host emulator",
           .major = 9,
           .minor = 0,
           .memory_gib = bytes / (1024.0 * 1024 * 1024),
           .multiprocessors = 2,
           .l2_bytes = std::size_t{1} << 20}};
}

std::string runtime_description() {
  return "host emulator";
}

void make_current(int device) {
  check_device(device);
}
void wait_for_device(int device) {
  check_device(device);
}
std::unique_ptr<kernels::cuda::Libraries> make_libraries() {
  return nullptr;
}

Stream::Stream(int device) : device_(device) {
  check_device(device);
  handle_ = new char{};  // an address of its own
}
Stream::~Stream() {
  delete static_cast<char*>(handle_);
}
Stream::Stream(Stream&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), device_(other.device_) {}
Stream& Stream::operator=(Stream&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(device_, other.device_);
  return *this;
}
void Stream::synchronize() const {
  check_stream(*this);
}

namespace {

const Clock::time_point& recorded(void* event) {
  require(event != nullptr, ErrorKind::kInternal, "An event was waited for that was never recorded.");
  return *static_cast<const Clock::time_point*>(event);
}

}  // namespace

Event::~Event() {
  delete static_cast<Clock::time_point*>(handle_);
}
Event::Event(Event&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), device_(other.device_) {}
Event& Event::operator=(Event&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(device_, other.device_);
  return *this;
}
void Event::record(const Stream& stream) {
  check_stream(stream);
  if (handle_ == nullptr) handle_ = new Clock::time_point;
  *static_cast<Clock::time_point*>(handle_) = Clock::now();
}
void Event::synchronize() const {
  (void)recorded(handle_);
}
void Event::make_wait(const Stream& stream) const {
  check_stream(stream);
  (void)recorded(handle_);
}
double Event::milliseconds_since(const Event& start) const {
  return std::chrono::duration<double, std::milli>(recorded(handle_) - recorded(start.handle_)).count();
}

PinnedBuffer::PinnedBuffer(std::size_t bytes) : bytes_(bytes) {
  if (bytes != 0) data_ = aligned(bytes);
}
PinnedBuffer::~PinnedBuffer() {
  std::free(data_);
}
PinnedBuffer::PinnedBuffer(PinnedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
PinnedBuffer& PinnedBuffer::operator=(PinnedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void* allocate(std::size_t bytes, int device, void*) {
  check_device(device);
  if (bytes == 0) return nullptr;
  void* const block = aligned(bytes);
  std::memset(block, 0xff, bytes);  // NaN in every floating type, the same run after run
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  m.used[block] = bytes;
  m.in_use += bytes;
  m.peak = std::max(m.peak, m.in_use);
  simt::register_global(block, bytes, false);
  return block;
}
void release(void* block, int, void*) noexcept {
  if (block == nullptr) return;
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  const auto found = m.used.find(block);
  if (found == m.used.end()) std::terminate();  // as the real one: not in use
  m.in_use -= found->second;
  m.used.erase(found);
  simt::unregister_global(block);
  std::free(block);
}
MemoryUse memory_use(int device) {
  check_device(device);
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  return {.in_use = m.in_use, .cached = 0, .peak = m.peak};
}
void release_cached(int device) {
  check_device(device);
}

void copy_to_device(void* to, const void* from, std::size_t bytes, const Stream& stream) {
  if (bytes == 0) return;
  check_stream(stream);
  std::memcpy(to, from, bytes);
  simt::mark_initialised(to, bytes);
}
void copy_to_host(void* to, const void* from, std::size_t bytes, const Stream& stream) {
  if (bytes == 0) return;
  check_stream(stream);
  std::memcpy(to, from, bytes);
}
void copy_on_device(void* to, const void* from, std::size_t bytes, const Stream& stream) {
  copy_to_device(to, from, bytes, stream);  // also marks bytes that `from` itself never got
}
void fill_bytes(void* to, unsigned char value, std::size_t bytes, const Stream& stream) {
  if (bytes == 0) return;
  check_stream(stream);
  std::memset(to, value, bytes);
  simt::mark_initialised(to, bytes);
}

Graph Graph::capture(const Stream& stream, const std::function<void()>& work) {
  check_stream(stream);
  Graph graph;
  graph.handle_ = new std::function<void()>(work);
  graph.nodes_ = 1;
  return graph;
}
Graph::~Graph() {
  delete static_cast<std::function<void()>*>(handle_);
}
Graph::Graph(Graph&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), nodes_(std::exchange(other.nodes_, 0)) {}
Graph& Graph::operator=(Graph&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(nodes_, other.nodes_);
  return *this;
}
void Graph::launch(const Stream& stream) const {
  require(handle_ != nullptr, ErrorKind::kInternal, "A graph was launched that was never recorded.");
  check_stream(stream);
  (*static_cast<const std::function<void()>*>(handle_))();
}

}  // namespace aikd::cuda
