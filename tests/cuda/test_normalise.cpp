// Pixels to numbers: the table's own bits.
#include "kernels/normalise.h"
#include "tests/cuda/device_memory.h"
#include "tests/oracle/test_images.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using kernels::NormaliseTable;
using kernels::Storage;

}  // namespace

TEST_CASE("normalise on the device: the table's values, rounded once") {
  AIKD_NEEDS_DEVICE();
  std::vector<float> values;
  for (int i = 0; i < 3 * 256; ++i)
    values.push_back(static_cast<float>(i % 256) / 127.5F - 1.0F + 0.001F * static_cast<float>(i / 256));
  const DeviceArray<float> device_values(values);
  for (const Storage storage : kStorages) {
    // 2 x 256 vectors make a round; the last size has several.
    for (const std::size_t pixels : {1U, 13U, 49U, 5000U}) {
      const std::vector<std::uint8_t> bytes = make_pixels(6, static_cast<int>(pixels), 1);
      const DeviceArray<std::uint8_t> x(bytes);
      for (const std::size_t y_pixel : {3U, 4U, 5U, 8U, 16U}) {
        CAPTURE(static_cast<int>(storage));
        CAPTURE(pixels);
        CAPTURE(y_pixel);
        const NormaliseTable order{.values = device_values.data(), .source = {2, 1, 0}};
        std::vector<float> expected(pixels * y_pixel);
        const NormaliseTable host{.values = values.data(), .source = {2, 1, 0}};
        kernels::cpu::normalise({}, host, static_cast<std::int64_t>(pixels), bytes.data(), expected.data(),
                                static_cast<std::int64_t>(y_pixel));
        for (std::size_t i = 0; i < pixels; ++i)
          for (std::size_t c = 0; c < y_pixel; ++c)
            REQUIRE(expected[i * y_pixel + c] == (c < 3 ? values[c * 256 + bytes[3 * i + 2 - c]] : 0.0F));
        expected = rounded(storage, expected);
        for (const std::size_t offset : {0U, 1U}) {  // in elements: 1 leaves no room for vectors
          const DeviceFloats y(storage, std::vector<float>(pixels * y_pixel + offset, -7.0F));
          DeviceTeam team;
          kernels::cuda::normalise(team.context(), storage, order, static_cast<std::int64_t>(pixels),
                                   x.data(), static_cast<std::int64_t>(y_pixel),
                                   static_cast<char*>(y.data()) + offset * kernels::bytes_of(storage));
          CHECK(y.guards_intact());
          CHECK(x.guards_intact());
          std::vector<float> got = y.download();
          if (offset > 0) CHECK(got.front() == -7.0F);
          got.erase(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(offset));
          CHECK(same_bits(got, expected));
        }
      }
    }
  }
}

TEST_CASE("normalise on the device: no pixels, no launch") {
  AIKD_NEEDS_DEVICE();
  const DeviceFloats y(Storage::kF32, std::vector<float>(4, 3.0F));
  DeviceTeam team;
  kernels::cuda::normalise(team.context(), Storage::kF32, {.values = nullptr, .source = {0, 1, 2}}, 0,
                           nullptr, 4, y.data());
  CHECK(y.download() == std::vector<float>(4, 3.0F));
}
