// Column sums (and the gradient of a bias, which is one), norms of rows, and the mean.
#include "kernels/reduce.h"

#include <limits>

#include "kernels/bias.h"
#include "tests/cuda/pointwise_cases.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using kernels::Storage;
namespace cuda = kernels::cuda;

constexpr double kUlp = 0x1p-23;

}  // namespace

TEST_CASE("cuda reduce: column sums, the same bits at every address") {
  AIKD_NEEDS_DEVICE();
  for (const Storage storage : kStorages) {
    for (const Matrix& m : kMatrices) {
      CAPTURE(kernels::name_of(storage));
      CAPTURE(m.rows);
      CAPTURE(m.channels);
      const std::vector<float> x = rounded(storage, random_normal(m.size(), 1));
      const auto channels = static_cast<std::size_t>(m.channels);
      std::vector<double> expected(channels), magnitude(channels);
      for (std::size_t i = 0; i < x.size(); ++i) {
        expected[i % channels] += static_cast<double>(x[i]);
        magnitude[i % channels] += std::fabs(static_cast<double>(x[i]));
      }
      DeviceTeam team(std::max(cuda::sum_workspace_bytes(m.rows, m.channels),
                               cuda::bias_backward_workspace_bytes(m.rows, m.channels)));
      const Placed aligned(storage, x), shifted(storage, x, true);
      const DeviceArray<float> first(channels), second(channels), third(channels);
      cuda::sum(team.context(), storage, m.rows, m.channels, aligned.data(), first.data());
      cuda::sum(team.context(), storage, m.rows, m.channels, shifted.data(), second.data());
      cuda::bias_backward(team.context(), storage, m.rows, m.channels, aligned.data(), third.data());
      CHECK(first_wrong(first.download(), expected, [&](std::size_t c) { return 4 * kUlp * magnitude[c]; }) ==
            "");
      CHECK(same_bits(second.download(), first.download()));
      CHECK(same_bits(third.download(), first.download()));
      CHECK((first.guards_intact() && second.guards_intact() && third.guards_intact()));
      CHECK((aligned.intact() && shifted.intact() && team.guards_intact()));
    }
  }
}

TEST_CASE("cuda reduce: column sums of integers are exact, and zero without rows") {
  AIKD_NEEDS_DEVICE();
  for (const Matrix& m :
       {Matrix{12544, 3}, Matrix{6300, 17}, Matrix{12544, 16}, Matrix{40, 2056}, Matrix{0, 17}}) {
    CAPTURE(m.rows);
    CAPTURE(m.channels);
    const std::vector<float> x = random_integers(m.size(), 100, 2);
    std::vector<float> expected(static_cast<std::size_t>(m.channels), 0.0F);
    for (std::size_t i = 0; i < x.size(); ++i) expected[i % expected.size()] += x[i];
    for (const Storage storage : kStorages) {
      DeviceTeam team(cuda::sum_workspace_bytes(m.rows, m.channels));
      const Placed from(storage, x);
      const DeviceArray<float> y(expected.size());
      cuda::sum(team.context(), storage, m.rows, m.channels, from.data(), y.data());
      CHECK((y.download() == expected));
      CHECK((y.guards_intact() && team.guards_intact()));
    }
  }
}

TEST_CASE("cuda reduce: row norms") {
  AIKD_NEEDS_DEVICE();
  DeviceTeam team;
  for (const Storage storage : kStorages) {
    for (const Matrix& m : {Matrix{1, 1}, Matrix{3, 13}, Matrix{5, 128}, Matrix{64, 512}, Matrix{17, 513},
                            Matrix{2, 25088}, Matrix{4, 0}, Matrix{0, 5}}) {
      CAPTURE(kernels::name_of(storage));
      CAPTURE(m.channels);
      const std::vector<float> x = rounded(storage, random_normal(m.size(), 3));
      std::vector<double> expected(static_cast<std::size_t>(m.rows));
      for (std::int64_t i = 0; i < m.size(); ++i) {
        const double value = static_cast<double>(x[static_cast<std::size_t>(i)]);
        expected[static_cast<std::size_t>(i / m.channels)] += value * value;
      }
      for (double& value : expected) value = std::sqrt(value);
      const Placed aligned(storage, x), shifted(storage, x, true);
      const DeviceArray<float> first(expected.size()), second(expected.size());
      cuda::row_norms(team.context(), storage, m.rows, m.channels, aligned.data(), first.data());
      cuda::row_norms(team.context(), storage, m.rows, m.channels, shifted.data(), second.data());
      CHECK(first_wrong(first.download(), expected, [&](std::size_t i) { return 8 * kUlp * expected[i]; }) ==
            "");
      CHECK(same_bits(second.download(), first.download()));
      CHECK((first.guards_intact() && aligned.intact() && shifted.intact()));
    }
  }
}

TEST_CASE("cuda reduce: the mean of a vector, and NaN in it") {
  AIKD_NEEDS_DEVICE();
  DeviceTeam team;
  for (const std::int64_t count : {1, 13, 64, 1023, 1024, 1025, 12544}) {
    CAPTURE(count);
    std::vector<float> x = random_normal(count, 4);
    for (float& value : x) value += 1000;
    double sum = 0;
    for (const float value : x) sum += static_cast<double>(value);
    const double expected = sum / static_cast<double>(count);
    const DeviceArray<float> from(x), y(1), again(1);
    cuda::mean(team.context(), count, from.data(), y.data());
    cuda::mean(team.context(), count, from.data(), again.data());
    CHECK(first_wrong(y.download(), {expected}, [&](std::size_t) {
            return rounding(Storage::kF32, expected);  // added in double, rounded once
          }) == "");
    CHECK(same_bits(y.download(), again.download()));
    CHECK(y.guards_intact());
    x.back() = std::numeric_limits<float>::quiet_NaN();
    const DeviceArray<float> bad(x);
    cuda::mean(team.context(), count, bad.data(), y.data());
    CHECK(std::isnan(y.download()[0]));
  }
  const DeviceArray<float> kept(std::vector<float>{5.0F});
  cuda::mean(team.context(), 0, kept.data(), kept.data());
  CHECK(kept.download()[0] == 5.0F);
}
