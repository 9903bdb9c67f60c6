// What the CUDA runtime does and the emulator's does not: it records graphs by running what launches, and
// keeps a cache.
#include <cstddef>
#include <stdexcept>

#include "tensor/buffer.h"
#include "tensor/cuda_runtime.h"
#include "tensor/error.h"
#include "tests/cuda/device_memory.h"

namespace {

using namespace aikd;
using cuda::Graph;
using cuda::PinnedBuffer;
using cuda::Stream;

constexpr std::size_t kMiB = std::size_t{1} << 20;

}  // namespace

TEST_CASE("gpu runtime: an exception while recording passes through and the stream goes on") {
  AIKD_NEEDS_DEVICE();
  const Stream stream(0);
  Buffer buffer(16, stream);
  CHECK_THROWS_AS((void)Graph::capture(stream,
                                       [&] {
                                         cuda::fill_bytes(buffer.mutable_data(), 1, 16, stream);
                                         throw std::logic_error("not today");
                                       }),
                  std::logic_error);
  // What may not be recorded is an error of the device, after which the stream is usable, too.
  CHECK_THROWS_WITH_AS((void)Graph::capture(stream, [&] { stream.synchronize(); }),
                       doctest::Contains("CUDA failed at"), Error);
  PinnedBuffer out(16);
  cuda::fill_bytes(buffer.mutable_data(), 0x21, 16, stream);
  cuda::copy_to_host(out.data(), buffer.data(), 16, stream);
  stream.synchronize();
  for (int i = 0; i < 16; ++i) CHECK(static_cast<const unsigned char*>(out.data())[i] == 0x21);
}

TEST_CASE("gpu runtime: memory let go is used again on its stream, elsewhere after a wait") {
  AIKD_NEEDS_DEVICE();
  cuda::release_cached(0);
  constexpr std::size_t n = 6 * kMiB;
  const Stream stream(0), other(0);
  const auto place_of = [&](const Stream& on) {
    const Buffer buffer(n, on);
    return buffer.data();
  };
  const void* const first = place_of(stream);
  CHECK(place_of(stream) == first);
  CHECK(place_of(other) != first);
  const void* unordered = nullptr;
  {
    const Buffer buffer(n, Device::cuda(0));
    unordered = buffer.data();
    CHECK(unordered != first);
  }
  CHECK(Buffer(n, Device::cuda(0)).data() == unordered);
  {
    Buffer outlives;
    const void* place = nullptr;
    {
      const Stream brief(0);
      outlives = Buffer(10 * kMiB, brief);
      place = outlives.data();
    }
    outlives = Buffer();
    CHECK(Buffer(10 * kMiB, Device::cuda(0)).data() == place);
  }
  cuda::release_cached(0);
}
