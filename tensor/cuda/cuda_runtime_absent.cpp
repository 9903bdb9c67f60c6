// Stands in for the CUDA runtime in builds without the toolkit.
#include "kernels/cuda/libraries.h"
#include "tensor/cuda_runtime.h"
#include "tensor/error.h"

namespace aikd::cuda {
namespace {

constexpr const char* kWhy = "this program was built without CUDA";

[[noreturn]] void absent() {
  fail(ErrorKind::kDevice, "There is no CUDA device: ", kWhy, ".");
}

}  // namespace

std::vector<DeviceProperties> devices(std::string* why_empty) {
  if (why_empty != nullptr) *why_empty = kWhy;
  return {};
}

std::string runtime_description() {
  return "none";
}

void make_current(int) {
  absent();
}
void wait_for_device(int) {
  absent();
}
std::unique_ptr<kernels::cuda::Libraries> make_libraries() {
  return nullptr;
}

// No stream, event, pinned memory or graph can be made here, so moving and destroying them is nothing.
Stream::Stream(int device) : device_(device) {
  absent();
}
Stream::~Stream() = default;
Stream::Stream(Stream&&) noexcept {}
Stream& Stream::operator=(Stream&&) noexcept = default;
void Stream::synchronize() const {
  absent();
}

Event::~Event() = default;
Event::Event(Event&&) noexcept {}
Event& Event::operator=(Event&&) noexcept = default;
void Event::record(const Stream&) {
  absent();
}
void Event::synchronize() const {
  absent();
}
void Event::make_wait(const Stream&) const {
  absent();
}
double Event::milliseconds_since(const Event&) const {
  absent();
}

PinnedBuffer::PinnedBuffer(std::size_t) {
  absent();
}
PinnedBuffer::~PinnedBuffer() = default;
PinnedBuffer::PinnedBuffer(PinnedBuffer&&) noexcept {}
PinnedBuffer& PinnedBuffer::operator=(PinnedBuffer&&) noexcept = default;

void* allocate(std::size_t, int, void*) {
  absent();
}
void release(void*, int, void*) noexcept {}
MemoryUse memory_use(int) {
  return {};
}
void release_cached(int) {}

void copy_to_device(void*, const void*, std::size_t, const Stream&) {
  absent();
}
void copy_to_host(void*, const void*, std::size_t, const Stream&) {
  absent();
}
void copy_on_device(void*, const void*, std::size_t, const Stream&) {
  absent();
}
void fill_bytes(void*, unsigned char, std::size_t, const Stream&) {
  absent();
}

Graph Graph::capture(const Stream&, const std::function<void()>&) {
  absent();
}
Graph::~Graph() = default;
Graph::Graph(Graph&&) noexcept {}
Graph& Graph::operator=(Graph&&) noexcept = default;
void Graph::launch(const Stream&) const {
  absent();
}

}  // namespace aikd::cuda
