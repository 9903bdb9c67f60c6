// add.h, bias.h and fill.h: each element is one rounded fp32 operation, so most comparisons are exact.
#include "kernels/add.h"
#include "kernels/bias.h"
#include "kernels/fill.h"
#include "tests/cuda/pointwise_cases.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using kernels::Storage;
namespace cuda = kernels::cuda;

constexpr std::int64_t kCounts[] = {0, 1, 13, 15, 16, 17, 49, 1000, 12544};

// More than the grid has threads, several times over: the loops of all threads run more than once.
constexpr std::int64_t kLarge = 8 * 132 * 256 * 4 + 12345;

template <class Run, class Value>
void check_all(Run&& run, Value&& value) {
  for (const Storage storage : kStorages) {
    for (const std::int64_t count : kCounts) {
      for (const bool shifted : {false, true}) {
        CAPTURE(kernels::name_of(storage));
        CAPTURE(count);
        CAPTURE(shifted);
        const std::vector<float> a = rounded(storage, random_normal(count, 1)),
                                 b = rounded(storage, random_normal(count, 2));
        std::vector<float> expected;
        for (std::size_t i = 0; i < a.size(); ++i) expected.push_back(rounded(storage, value(a[i], b[i])));
        run(storage, count, shifted, a, b, expected);
      }
    }
  }
}

}  // namespace

TEST_CASE("cuda pointwise: add, accumulate and scale are the rounded fp32 results") {
  AIKD_NEEDS_DEVICE();
  DeviceTeam team;
  const auto sum = [](float a, float b) { return a + b; };
  check_all(
      [&](Storage storage, std::int64_t count, bool shifted, const std::vector<float>& a,
          const std::vector<float>& b, const std::vector<float>& expected) {
        const Placed x(storage, a, shifted), z(storage, b), y(storage, a.size(), shifted);
        cuda::add(team.context(), storage, count, x.data(), z.data(), y.data());
        CHECK(same_bits(y.download(), expected));
        cuda::add(team.context(), storage, count, x.data(), z.data(), z.data());  // y is b
        CHECK(same_bits(z.download(), expected));
        const Placed total(storage, b, shifted);
        cuda::accumulate(team.context(), storage, count, x.data(), total.data());
        CHECK(same_bits(total.download(), expected));
        CHECK((x.intact() && y.intact() && z.intact() && total.intact()));
      },
      sum);
  check_all(
      [&](Storage storage, std::int64_t count, bool shifted, const std::vector<float>& a,
          const std::vector<float>&, const std::vector<float>& expected) {
        const Placed x(storage, a, shifted), y(storage, a.size(), shifted);
        cuda::scale(team.context(), storage, count, -0.3F, x.data(), y.data());
        CHECK(same_bits(y.download(), expected));
        cuda::scale(team.context(), storage, count, -0.3F, x.data(), x.data());
        CHECK(same_bits(x.download(), expected));
        CHECK((x.intact() && y.intact()));
      },
      [](float a, float) { return -0.3F * a; });
}

TEST_CASE("cuda pointwise: accumulate doubles x when y is x") {
  AIKD_NEEDS_DEVICE();
  const Placed x(Storage::kF32, random_integers(100, 50, 3));
  const std::vector<float> before = x.download();
  cuda::accumulate(DeviceTeam().context(), Storage::kF32, 100, x.data(), x.data());
  const std::vector<float> after = x.download();
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(after[i] == 2 * before[i]);
}

TEST_CASE("cuda pointwise: more elements than a grid has threads") {
  AIKD_NEEDS_DEVICE();
  DeviceTeam team;
  const std::vector<float> a = random_integers(kLarge, 1000, 4);
  const Placed x(Storage::kF32, a, true), y(Storage::kF32, a.size(), true);
  cuda::scale(team.context(), Storage::kF32, kLarge, 2.0F, x.data(), y.data());
  std::vector<float> expected = a;
  for (float& value : expected) value *= 2;
  CHECK(same_bits(y.download(), expected));
  CHECK((x.intact() && y.intact()));
}

TEST_CASE("cuda pointwise: add_bias adds the value of the channel") {
  AIKD_NEEDS_DEVICE();
  DeviceTeam team;
  for (const Storage storage : kStorages) {
    for (const Matrix& m : kMatrices) {
      for (const bool shifted : {false, true}) {
        CAPTURE(kernels::name_of(storage));
        CAPTURE(m.rows);
        CAPTURE(m.channels);
        const std::vector<float> x = rounded(storage, random_normal(m.size(), 5)),
                                 bias = random_normal(m.channels, 6);
        std::vector<float> expected;
        for (std::size_t i = 0; i < x.size(); ++i)
          expected.push_back(rounded(storage, x[i] + bias[i % bias.size()]));
        const Placed from(storage, x, shifted), y(storage, x.size(), shifted);
        const DeviceArray<float> b(bias);
        const Placed odd(Storage::kF32, bias, true);  // parameters that allow no vectors
        cuda::add_bias(team.context(), storage, m.rows, m.channels, from.data(), b.data(), y.data());
        CHECK(same_bits(y.download(), expected));
        cuda::add_bias(team.context(), storage, m.rows, m.channels, from.data(),
                       static_cast<const float*>(odd.data()), from.data());
        CHECK(same_bits(from.download(), expected));
        CHECK((from.intact() && y.intact()));
      }
    }
  }
}

// Rows wider than the ordinary grid has threads: the grid grows, so that a thread stays in its channel.
TEST_CASE("cuda pointwise: add_bias with very wide rows, and with very many") {
  AIKD_NEEDS_DEVICE();
  DeviceTeam team;
  for (const Matrix& m : {Matrix{2, 8 * 132 * 256 + 77}, Matrix{30001, 37}}) {
    const std::vector<float> x = random_integers(m.size(), 100, 7),
                             bias = random_integers(m.channels, 100, 8);
    std::vector<float> expected;
    for (std::size_t i = 0; i < x.size(); ++i) expected.push_back(x[i] + bias[i % bias.size()]);
    const Placed from(Storage::kF32, x), y(Storage::kF32, x.size());
    const DeviceArray<float> b(bias);
    cuda::add_bias(team.context(), Storage::kF32, m.rows, m.channels, from.data(), b.data(), y.data());
    CHECK(same_bits(y.download(), expected));
    CHECK(y.intact());
  }
}

TEST_CASE("cuda pointwise: fill writes the rounded value, and nothing else") {
  AIKD_NEEDS_DEVICE();
  DeviceTeam team;
  for (const Storage storage : kStorages) {
    for (const std::int64_t count : kCounts) {
      for (const bool shifted : {false, true}) {
        const Placed y(storage, static_cast<std::size_t>(count), shifted);
        cuda::fill(team.context(), storage, count, 0.1F, y.data());
        CHECK(same_bits(y.download(),
                        std::vector<float>(static_cast<std::size_t>(count), rounded(storage, 0.1F))));
        CHECK(y.intact());
      }
    }
  }
  const Placed y(Storage::kF32, kLarge, true);
  cuda::fill(team.context(), Storage::kF32, kLarge, -3.0F, y.data());
  CHECK(same_bits(y.download(), std::vector<float>(kLarge, -3.0F)));
}

TEST_CASE("cuda pointwise: copy moves bytes at any address") {
  AIKD_NEEDS_DEVICE();
  DeviceTeam team;
  std::vector<std::int64_t> counts(std::begin(kCounts), std::end(kCounts));
  counts.push_back(kLarge);
  for (const std::int64_t count : counts) {
    for (const std::size_t offset : {std::size_t{0}, std::size_t{1}}) {
      CAPTURE(count);
      CAPTURE(offset);
      const auto size = static_cast<std::size_t>(count);
      std::vector<unsigned char> bytes(size + offset);
      for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(i * 37 + i / 256);
      const DeviceArray<unsigned char> x(bytes), y(bytes.size());
      cuda::copy(team.context(), size, x.data() + offset, y.data() + offset);
      std::vector<unsigned char> expected = bytes;
      if (offset > 0) expected[0] = 0xff;  // as it was
      CHECK((y.download() == expected));
      CHECK(y.guards_intact());
    }
  }
}
