// Losses of training against their definitions in double.
#include "tests/oracle/loss.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/loss.h"
#include "tests/cuda/device_memory.h"

namespace {

using namespace aikd;
using namespace aikd::test;

std::vector<double> row_of(const std::vector<float>& values, std::size_t row, std::size_t columns) {
  const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row * columns);
  return {begin, begin + static_cast<std::ptrdiff_t>(columns)};
}

// Rows of all kinds: independent, nearly parallel (1 - cos about 1e-8 and 1e-11), of other length, opposite,
// equal, zero.
struct Embeddings {
  std::size_t rows, columns;
  std::vector<float> a, b;
};
Embeddings make_embeddings(std::size_t rows, std::size_t columns) {
  const auto count = static_cast<std::int64_t>(rows * columns);
  Embeddings e{rows, columns, random_normal(count, 1), random_normal(count, 2)};
  for (std::size_t i = 0; i < e.a.size(); ++i) {
    switch (i / columns % 7) {
      case 1:
        e.b[i] = e.a[i] + 1e-4F * e.b[i];
        break;
      case 2:
        e.b[i] = 3.0F * e.a[i] + 1e-5F * e.b[i];
        break;
      case 3:
        e.b[i] = -0.01F * e.a[i];
        break;
      case 4:
        e.b[i] = e.a[i];
        break;
      case 5:
        e.b[i] = 0.0F;
        break;
      case 6:
        e.a[i] = 0.0F;
        break;
      default:
        break;
    }
  }
  return e;
}

constexpr std::array<std::size_t, 2> kSizes[] = {{1, 1},   {7, 1},    {8, 13},  {14, 17},
                                                 {9, 512}, {15, 513}, {1, 4000}};

// In an allocation that begins `offset` elements earlier.
std::vector<float> shifted(const std::vector<float>& values, std::size_t offset) {
  std::vector<float> all(offset, -7.0F);
  all.insert(all.end(), values.begin(), values.end());
  return all;
}

}  // namespace

TEST_CASE("cosine embedding loss: all digits, also of nearly parallel vectors") {
  AIKD_NEEDS_DEVICE();
  for (const auto& [rows, columns] : kSizes) {
    CAPTURE(rows);
    CAPTURE(columns);
    const Embeddings e = make_embeddings(rows, columns);
    const auto run = [&, r = rows, c = columns](std::size_t offset) {
      const DeviceArray<float> a(shifted(e.a, offset)), b(shifted(e.b, offset)), per_row(r),
          loss(std::size_t{1});
      DeviceTeam team;
      kernels::cuda::cosine_embedding_loss(team.context(), static_cast<std::int64_t>(r),
                                           static_cast<std::int64_t>(c), a.data() + offset, b.data() + offset,
                                           per_row.data(), loss.data());
      CHECK(per_row.guards_intact());
      CHECK(loss.guards_intact());
      std::vector<float> got = per_row.download();
      got.push_back(loss.download()[0]);
      return got;
    };
    const std::vector<float> got = run(0);
    double mean = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      CAPTURE(i);
      const double exact = oracle::cosine_distance(row_of(e.a, i, columns), row_of(e.b, i, columns));
      mean += exact / static_cast<double>(rows);
      // One rounding to fp32, and the double arithmetic of the sums.
      CHECK(!(std::abs(static_cast<double>(got[i]) - exact) > 0x1.01p-24 * exact + 2e-15));
      if (i % 7 == 1 && columns > 1) CHECK(exact < 1e-7);
    }
    CHECK(!(std::abs(static_cast<double>(got[rows]) - mean) > 0x1.02p-23 * mean + 2e-15));
    CHECK(same_bits(got, run(0)));
    CHECK(same_bits(got, run(1)));  // without vectors the order of the sums is the same
  }
}

TEST_CASE("cosine embedding loss: gradient") {
  AIKD_NEEDS_DEVICE();
  constexpr float kUpstream = -2.75F;
  for (const auto& [rows, columns] : kSizes) {
    CAPTURE(rows);
    CAPTURE(columns);
    const Embeddings e = make_embeddings(rows, columns);
    const auto run = [&, r = rows, c = columns](std::size_t offset) {
      const DeviceArray<float> a(shifted(e.a, offset)), b(shifted(e.b, offset));
      const DeviceArray<float> db(shifted(std::vector<float>(r * c, std::nanf("")), offset));
      DeviceTeam team;
      kernels::cuda::cosine_embedding_loss_backward(team.context(), static_cast<std::int64_t>(r),
                                                    static_cast<std::int64_t>(c), a.data() + offset,
                                                    b.data() + offset, kUpstream, db.data() + offset);
      CHECK(db.guards_intact());
      std::vector<float> got = db.download();
      got.erase(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(offset));
      return got;
    };
    const std::vector<float> got = run(0);
    for (std::size_t i = 0; i < rows; ++i) {
      const std::vector<double> b = row_of(e.b, i, columns);
      const auto exact = oracle::cosine_distance_gradient(row_of(e.a, i, columns), b);
      double length = oracle::kCosineEpsilon;
      for (const double v : b) length += v * v;
      const double factor = static_cast<double>(kUpstream) / static_cast<double>(rows);
      std::size_t wrong = 0;
      for (std::size_t j = 0; j < columns; ++j) {
        const double expected = factor * exact[j];
        const double error = std::abs(static_cast<double>(got[i * columns + j]) - expected);
        if (!(error <= 0x1.01p-24 * std::abs(expected) + 4e-15 * std::abs(factor) / std::sqrt(length)))
          ++wrong;
      }
      CAPTURE(i);
      CHECK(wrong == 0);
    }
    CHECK(same_bits(got, run(0)));
    CHECK(same_bits(got, run(1)));
  }
}

TEST_CASE("loss oracle: gradients are the slopes of the losses") {
  const auto normals = random_normal(26, 5);
  const std::vector<double> a(normals.begin(), normals.begin() + 13), b(normals.begin() + 13, normals.end());
  const auto gradient = oracle::cosine_distance_gradient(a, b);
  for (std::size_t i = 0; i < b.size(); ++i) {
    std::vector<double> up = b, down = b;
    up[i] += 1e-5;
    down[i] -= 1e-5;
    const double slope = (oracle::cosine_distance(a, up) - oracle::cosine_distance(a, down)) / 2e-5;
    CHECK(!(std::abs(slope - gradient[i]) > 1e-9));
  }
  for (const double beta : {0.0, 0.5, 2.0})
    for (const double d : {-3.0, -0.6, -0.2, 0.1, 0.4, 5.0}) {
      const double slope = (oracle::smooth_l1(d + 1e-6, beta) - oracle::smooth_l1(d - 1e-6, beta)) / 2e-6;
      CHECK(!(std::abs(slope - oracle::smooth_l1_slope(d, beta)) > 1e-9));
    }
}

TEST_CASE("L1 and smooth L1 loss, and their gradients") {
  AIKD_NEEDS_DEVICE();
  constexpr float kUpstream = 1.375F;
  for (const std::size_t count : {1U, 13U, 64U, 16384U, 16385U, 50001U}) {
    // Multiples of 1/1024, so that d is exact; some are 0, and some exactly beta.
    std::vector<float> x = random_normal(static_cast<std::int64_t>(count), 3),
                       target = random_normal(static_cast<std::int64_t>(count), 4);
    for (std::size_t i = 0; i < count; ++i) {
      x[i] = std::nearbyint(x[i] * 1024.0F) / 1024.0F;
      target[i] = i % 5 == 3   ? x[i]
                  : i % 7 == 2 ? x[i] + 0.5F
                               : std::nearbyint(target[i] * 1024.0F) / 1024.0F;
      if (i % 10 == 8) {
        x[i] = 0.0F;
        target[i] = -0.0F;
      }
    }
    const DeviceArray<float> device_x(x), device_target(target);
    for (const float beta : {-1.0F, 0.0F, 0.5F, 3.0F}) {  // -1: by the names of L1
      CAPTURE(count);
      CAPTURE(beta);
      const double b = std::max(0.0, static_cast<double>(beta)), n = static_cast<double>(count);
      const auto run = [&] {
        const DeviceArray<float> loss(std::size_t{1}), dx(count);
        DeviceTeam team(kernels::cuda::mean_loss_workspace_bytes(static_cast<std::int64_t>(count)));
        const auto size = static_cast<std::int64_t>(count);
        if (beta < 0.0F) {
          kernels::cuda::l1_loss(team.context(), size, device_x.data(), device_target.data(), loss.data());
          kernels::cuda::l1_loss_backward(team.context(), size, device_x.data(), device_target.data(),
                                          kUpstream, dx.data());
        } else {
          kernels::cuda::smooth_l1_loss(team.context(), size, beta, device_x.data(), device_target.data(),
                                        loss.data());
          kernels::cuda::smooth_l1_loss_backward(team.context(), size, beta, device_x.data(),
                                                 device_target.data(), kUpstream, dx.data());
        }
        CHECK(loss.guards_intact());
        CHECK(dx.guards_intact());
        CHECK(team.guards_intact());
        std::vector<float> got = dx.download();
        got.push_back(loss.download()[0]);
        return got;
      };
      const std::vector<float> got = run();
      double mean = 0;
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < count; ++i) {
        const double d = static_cast<double>(x[i]) - static_cast<double>(target[i]);
        mean += oracle::smooth_l1(d, b) / n;
        const double slope = static_cast<double>(kUpstream) / n * oracle::smooth_l1_slope(d, b);
        if (!(std::abs(static_cast<double>(got[i]) - slope) <= 3 * 0x1p-24 * std::abs(slope)))
          ++wrong;  // 3 roundings
      }
      CHECK(wrong == 0);
      CHECK(!(std::abs(static_cast<double>(got[count]) - mean) > 4 * 0x1p-24 * mean));
      CHECK(same_bits(got, run()));
    }
  }
}

TEST_CASE("losses: NaN is not lost, nothing gives NaN or nothing") {
  AIKD_NEEDS_DEVICE();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const DeviceArray<float> x(std::vector<float>{1, nan, 3}), y(std::vector<float>{1, 2, 4}),
      out(std::size_t{3}), loss(std::size_t{1});
  DeviceTeam team;
  kernels::cuda::l1_loss(team.context(), 3, x.data(), y.data(), loss.data());
  CHECK(std::isnan(loss.download()[0]));
  kernels::cuda::l1_loss_backward(team.context(), 3, x.data(), y.data(), 3.0F, out.data());
  CHECK(out.download()[0] == 0.0F);
  CHECK(std::isnan(out.download()[1]));
  CHECK(out.download()[2] == -1.0F);
  kernels::cuda::cosine_embedding_loss(team.context(), 1, 3, x.data(), y.data(), out.data(), loss.data());
  CHECK(std::isnan(loss.download()[0]));

  const DeviceArray<float> empty(std::vector<float>{5.0F});
  kernels::cuda::l1_loss(team.context(), 0, nullptr, nullptr, empty.data());
  CHECK(std::isnan(empty.download()[0]));
  const DeviceArray<float> none(std::vector<float>{5.0F});
  kernels::cuda::cosine_embedding_loss(team.context(), 0, 512, nullptr, nullptr, nullptr, none.data());
  CHECK(std::isnan(none.download()[0]));
  kernels::cuda::cosine_embedding_loss_backward(team.context(), 0, 512, nullptr, nullptr, 1.0F, nullptr);
  kernels::cuda::smooth_l1_loss_backward(team.context(), 0, 0.5F, nullptr, nullptr, 1.0F, nullptr);
}
