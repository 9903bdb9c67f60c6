// Fragment layouts of the tensor cores: what every matrix kernel stands on.
#include "kernels/cuda/gemm_fragments.h"
#include "tests/cuda/device_memory.h"

namespace {

using namespace aikd::test;
using aikd::kernels::Storage;

}  // namespace

TEST_CASE("mma: a product of fragments is the product of the matrices") {
  AIKD_NEEDS_DEVICE();
  for (const Storage storage : kStorages) {
    CAPTURE(static_cast<int>(storage));
    const std::size_t depth = storage == Storage::kF32 ? 8 : 16;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      const std::vector<float> a = random_integers(static_cast<std::int64_t>(16 * depth), 8, seed);
      const std::vector<float> b = random_integers(static_cast<std::int64_t>(depth * 8), 8, seed + 10);
      const std::vector<float> before = random_integers(16 * 8, 100, seed + 20);
      std::vector<float> expected = before;
      for (std::size_t i = 0; i < 16; ++i)
        for (std::size_t j = 0; j < 8; ++j)
          for (std::size_t k = 0; k < depth; ++k) expected[i * 8 + j] += a[i * depth + k] * b[k * 8 + j];

      const DeviceFloats device_a(storage, a), device_b(storage, b);
      const DeviceArray<float> d(before);
      DeviceTeam team;
      if (!aikd::kernels::cuda::add_fragment_product(team.context(), storage, device_a.data(),
                                                     device_b.data(), d.data()))
        AIKD_SKIP(std::string("this card has no tensor cores for ") + name_of(storage));
      CHECK(d.download() == expected);
      CHECK(d.guards_intact());
    }
  }
}

TEST_CASE("mma: TF32 rounds its operands to ten bits of mantissa, half away from zero") {
  AIKD_NEEDS_DEVICE();
  std::vector<float> a(16 * 8, 0.0F), b(8 * 8, 0.0F);
  // Row i of the product is a[i][0]: representable, half an ulp of TF32 above it, a little less than half,
  // and negative.
  const float values[] = {1.0F, 1.0F + 0x1p-11F, 1.0F + 0x1p-11F - 0x1p-23F, -1.0F - 0x1p-11F};
  const float rounded_values[] = {1.0F, 1.0F + 0x1p-10F, 1.0F, -1.0F - 0x1p-10F};
  for (std::size_t i = 0; i < 4; ++i) a[i * 8] = values[i];
  b[0] = 1.0F;
  const DeviceFloats device_a(Storage::kF32, a), device_b(Storage::kF32, b);
  const DeviceArray<float> d(std::vector<float>(16 * 8, 0.0F));
  DeviceTeam team;
  if (!aikd::kernels::cuda::add_fragment_product(team.context(), Storage::kF32, device_a.data(),
                                                 device_b.data(), d.data()))
    AIKD_SKIP("this card has no TF32");
  const std::vector<float> result = d.download();
  for (std::size_t i = 0; i < 4; ++i) CHECK(result[i * 8] == rounded_values[i]);
}
