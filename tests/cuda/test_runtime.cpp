// tensor/cuda_runtime.h: memory, streams, events, graphs. No kernels: fills and copies show order and place.
// What only the real runtime does is in gpu/test_cuda_runtime.cpp.
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "tensor/context.h"
#include "tensor/cuda_runtime.h"
#include "tensor/error.h"
#include "tensor/random.h"
#include "tests/cuda/device_memory.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using cuda::Event;
using cuda::Graph;
using cuda::PinnedBuffer;
using cuda::Stream;

constexpr std::size_t kMiB = std::size_t{1} << 20;

std::vector<unsigned char> random_bytes(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<unsigned char> bytes(count);
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(random.below(256));
  return bytes;
}

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

// Bytes as host memory that is page-locked.
PinnedBuffer pinned(const std::vector<unsigned char>& bytes) {
  PinnedBuffer buffer(bytes.size());
  if (!bytes.empty()) std::memcpy(buffer.data(), bytes.data(), bytes.size());
  return buffer;
}
bool holds(const PinnedBuffer& buffer, const std::vector<unsigned char>& bytes) {
  return buffer.bytes() == bytes.size() &&
         (bytes.empty() || std::memcmp(buffer.data(), bytes.data(), bytes.size()) == 0);
}
bool all_are(const PinnedBuffer& buffer, unsigned char value) {
  const auto* const bytes = static_cast<const unsigned char*>(buffer.data());
  for (std::size_t i = 0; i < buffer.bytes(); ++i)
    if (bytes[i] != value) return false;
  return true;
}

}  // namespace

TEST_CASE("runtime: devices have the facts that choices are made by") {
  AIKD_NEEDS_DEVICE();
  const auto found = cuda::devices();
  REQUIRE_FALSE(found.empty());
  for (const auto& d : found) {
    CHECK_FALSE(d.name.empty());
    CHECK(d.major >= 1);
    CHECK_FALSE(!(d.memory_gib > 0));
    CHECK(d.multiprocessors > 0);
    CHECK(d.l2_bytes > 0);
  }
  CHECK(cuda::runtime_description() != "none");
  const Device automatic = Device::parse("auto");
  if (automatic.type == Device::Type::kCpu) AIKD_SKIP("every CUDA device here is too old");
  CHECK(Device::parse("cuda") == automatic);
  CHECK(Device::parse(automatic.to_string()) == automatic);
  CHECK(has(describe_choice("auto", automatic), "device " + automatic.to_string() + " ("));
  CHECK(has(message_of(ErrorKind::kDevice, [] { (void)Device::parse("cuda:63"); }), "CUDA device"));
  CHECK(message_of(ErrorKind::kDevice, [] { Stream stream(63); }) != "no error");
}

TEST_CASE("runtime: pinned copies to the device, on it and back keep every byte") {
  AIKD_NEEDS_DEVICE();
  const Stream stream(0);
  for (const std::size_t n : {std::size_t{0}, std::size_t{1}, std::size_t{13}, std::size_t{4097}, kMiB + 1}) {
    const auto bytes = random_bytes(n, n);
    const PinnedBuffer in = pinned(bytes);
    PinnedBuffer out = pinned(std::vector<unsigned char>(n, 0x5a));
    Buffer first(n, stream), second(n, stream);
    cuda::copy_to_device(first.mutable_data(), in.data(), n, stream);
    cuda::copy_on_device(second.mutable_data(), first.data(), n, stream);
    cuda::copy_to_host(out.data(), second.data(), n, stream);
    stream.synchronize();
    CHECK(holds(out, bytes));
  }
}

TEST_CASE("runtime: fills and partial copies write exactly their bytes") {
  AIKD_NEEDS_DEVICE();
  const Stream stream(0);
  constexpr std::size_t n = 1000;
  Buffer buffer(n, stream);
  auto* const at = static_cast<unsigned char*>(buffer.mutable_data());
  cuda::fill_bytes(at, 0xa5, n, stream);
  cuda::fill_bytes(at + 13, 0x17, 15, stream);
  const std::vector<unsigned char> middle = random_bytes(49, 1);
  cuda::copy_to_device(at + 101, middle.data(), middle.size(), stream);
  PinnedBuffer out(n);
  cuda::copy_to_host(out.data(), at, n, stream);
  stream.synchronize();
  std::vector<unsigned char> expected(n, 0xa5);
  std::fill_n(expected.begin() + 13, 15, static_cast<unsigned char>(0x17));
  std::copy(middle.begin(), middle.end(), expected.begin() + 101);
  CHECK(holds(out, expected));
}

TEST_CASE("runtime: a stream waits for an event of another") {
  AIKD_NEEDS_DEVICE();
  const std::size_t n = emulated() ? kMiB : 256 * kMiB;
  const Stream producer(0), consumer(0);
  CHECK(producer.handle() != consumer.handle());
  Buffer buffer(n, producer);
  PinnedBuffer out(4096);
  Event ready;
  for (unsigned char value = 17; value < 20; ++value) {
    // The last bytes are written last; the consumer, which would overtake the fills, reads them.
    for (int i = 0; i < 8; ++i)
      cuda::fill_bytes(buffer.mutable_data(), static_cast<unsigned char>(i), n, producer);
    cuda::fill_bytes(buffer.mutable_data(), value, n, producer);
    ready.record(producer);
    ready.make_wait(consumer);
    cuda::copy_to_host(out.data(), static_cast<const unsigned char*>(buffer.data()) + n - out.bytes(),
                       out.bytes(), consumer);
    consumer.synchronize();
    CHECK(all_are(out, value));
  }
  producer.synchronize();
}

TEST_CASE("runtime: events measure the time between them") {
  AIKD_NEEDS_DEVICE();
  const std::size_t n = emulated() ? kMiB : 256 * kMiB;
  const Stream stream(0);
  Buffer buffer(n, stream);
  Event first, second, third;
  first.record(stream);
  second.record(stream);
  for (int i = 0; i < 10; ++i) cuda::fill_bytes(buffer.mutable_data(), 1, n, stream);
  third.record(stream);
  third.synchronize();
  CHECK_FALSE(!(second.milliseconds_since(first) >= 0));
  CHECK_FALSE(!(third.milliseconds_since(second) > 0));
  CHECK_FALSE(!(third.milliseconds_since(first) >= third.milliseconds_since(second)));
  const Event moved = std::move(third);
  moved.synchronize();
  CHECK(has(message_of(ErrorKind::kInternal, [] { Event().synchronize(); }), "never recorded"));
  CHECK(has(message_of(ErrorKind::kInternal, [&] { Event().make_wait(stream); }), "never recorded"));
}

TEST_CASE("runtime: a stream that is null is refused") {
  AIKD_NEEDS_DEVICE();
  const Stream none;
  Buffer buffer(16, Device::cuda(0));
  const auto refused = [](auto&& f) {
    return has(message_of(ErrorKind::kInternal, f), "a stream that is null");
  };
  CHECK(refused([&] { cuda::fill_bytes(buffer.mutable_data(), 0, 16, none); }));
  CHECK(refused([&] { none.synchronize(); }));
  CHECK(refused([&] { Event().record(none); }));
  CHECK(refused([&] { (void)Graph::capture(none, [] {}); }));
}

TEST_CASE("runtime: a recorded graph runs when launched, on what is there then") {
  AIKD_NEEDS_DEVICE();
  constexpr std::size_t n = 12544;
  const Stream stream(0);
  Buffer a(n, Device::cuda(0)), b(n, Device::cuda(0));
  PinnedBuffer in(n), out = pinned(std::vector<unsigned char>(n, 0x77));
  cuda::fill_bytes(b.mutable_data(), 0x66, n, stream);
  Graph graph = Graph::capture(stream, [&] {
    cuda::copy_to_device(a.mutable_data(), in.data(), n, stream);
    cuda::copy_on_device(b.mutable_data(), a.data(), n, stream);
    cuda::fill_bytes(b.mutable_data(), 0x99, 13, stream);
    cuda::copy_to_host(out.data(), b.data(), n, stream);
  });
  stream.synchronize();
  CHECK(all_are(out, 0x77));  // recorded, not run
  CHECK(bool(graph));
  CHECK(graph.nodes() == (emulated() ? 1 : 4));

  Graph moved = std::move(graph);
  CHECK_FALSE(bool(graph));  // NOLINT(bugprone-use-after-move): what a moved graph is, is the question
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    auto bytes = random_bytes(n, seed);
    std::memcpy(in.data(), bytes.data(), n);
    moved.launch(stream);
    stream.synchronize();
    std::fill_n(bytes.begin(), 13, static_cast<unsigned char>(0x99));
    CHECK(holds(out, bytes));
  }
  const Stream other(0);
  std::memset(in.data(), 0x42, n);
  moved.launch(other);
  other.synchronize();
  CHECK(static_cast<const unsigned char*>(out.data())[n - 1] == 0x42);
  CHECK(has(message_of(ErrorKind::kInternal, [&] { Graph().launch(stream); }), "never recorded"));
}

TEST_CASE("runtime: device memory is aligned, counted and given back") {
  AIKD_NEEDS_DEVICE();
  const Stream stream(0);
  cuda::release_cached(0);
  const cuda::MemoryUse before = cuda::memory_use(0);
  {
    std::vector<Buffer> buffers;
    for (const std::size_t n :
         {std::size_t{1}, std::size_t{13}, std::size_t{511}, std::size_t{513}, kMiB + 1}) {
      buffers.emplace_back(n, stream);
      CHECK(reinterpret_cast<std::uintptr_t>(buffers.back().data()) % Buffer::kCudaAlignment == 0);
    }
    CHECK(cuda::memory_use(0).in_use >= before.in_use + 1 + 13 + 511 + 513 + kMiB + 1);
  }
  CHECK(Buffer(0, stream).data() == nullptr);
  CHECK(cuda::memory_use(0).in_use == before.in_use);
  CHECK(cuda::memory_use(0).peak >= before.in_use + kMiB);
  cuda::release_cached(0);
  CHECK(cuda::memory_use(0).cached == 0);
  const std::string message =
      message_of(ErrorKind::kDevice, [&] { Buffer buffer(std::size_t{1} << 50, Device::cuda(0)); });
  CHECK(has(message, "cuda:0 has no memory left: 1125899906842624 bytes"));
  CHECK(cuda::memory_use(0).in_use == before.in_use);
}

TEST_CASE("runtime: stream-ordered memory holds the right values however it is passed on") {
  AIKD_NEEDS_DEVICE();
  const std::size_t n = emulated() ? 64 * 1024 : 32 * kMiB;
  const Stream stream(0);
  std::vector<PinnedBuffer> out;
  for (unsigned char i = 0; i < 20; ++i) {
    Buffer buffer(n, stream);  // most likely the memory of the round before, whose work is still under way
    cuda::fill_bytes(buffer.mutable_data(), i, n, stream);
    out.emplace_back(1024);
    cuda::copy_to_host(out.back().data(), static_cast<const unsigned char*>(buffer.data()) + n - 1024, 1024,
                       stream);
  }
  stream.synchronize();
  for (unsigned char i = 0; i < 20; ++i) CHECK(all_are(out[i], i));
}
