#include "kernels/gradients.h"

#include <functional>

#include "tests/kernels/kernel_test.h"
#include "tests/oracle/gradients.h"

namespace {

using namespace aikd;
using namespace aikd::test;
namespace cpu = kernels::cpu;
namespace oracle_of = oracle::gradient;
using oracle::Sums;
using oracle_of::Values;

constexpr float kInf = std::numeric_limits<float>::infinity();

struct Extent {
  std::int64_t rows, channels;
};
const std::vector<Extent> kExtents = {{1, 1},   {1, 13},  {13, 1},  {15, 17},    {17, 15},   {49, 49},
                                      {33, 16}, {31, 64}, {64, 33}, {12544, 13}, {12544, 1}, {15, 12544}};

Values wide(const std::vector<float>& x) {
  return {x.begin(), x.end()};
}
std::size_t size_of(std::int64_t count) {
  return static_cast<std::size_t>(count);
}

// How many values are not within `tolerance` of the magnitude of their terms.
int wrong(const std::vector<float>& got, const Sums& wanted, double tolerance) {
  int count = got.size() == wanted.value.size() ? 0 : 1;
  for (std::size_t i = 0; i < wanted.value.size(); ++i)
    if (!(std::fabs(static_cast<double>(got[i]) - wanted.value[i]) <= tolerance * wanted.magnitude[i]))
      ++count;
  return count;
}

// What `run` writes into one buffer per count, with one thread; checks that three threads write the same
// bits, and nothing is written outside.
using Outputs = std::vector<std::vector<float>>;
Outputs outputs(const std::vector<std::int64_t>& counts, std::size_t workspace,
                const std::function<void(const kernels::Context&, const std::vector<float*>&)>& run) {
  Outputs first;
  for (const int threads : {1, 3}) {
    Team team(threads, workspace);
    std::vector<Guarded> buffers;
    std::vector<float*> pointers;
    for (const std::int64_t count : counts) buffers.emplace_back(size_of(count), buffers.size());
    for (Guarded& buffer : buffers) pointers.push_back(buffer.data());
    run(team.context(), pointers);
    CHECK(team.guards_intact());
    Outputs now;
    for (const Guarded& buffer : buffers) {
      CHECK(buffer.guards_intact());
      now.push_back(buffer.values());
    }
    if (threads == 1) first = now;
    for (std::size_t i = 0; i < now.size(); ++i) CHECK(same_bits(first[i], now[i]));
  }
  return first;
}

std::vector<float> shifted(std::vector<float> x, float scale, float shift) {
  for (float& v : x) v = v * scale + shift;
  return x;
}

}  // namespace

TEST_CASE("gradients: column sums, also where float alone would lose digits") {
  for_each_isa([] {
    for (const auto [rows, channels] : kExtents) {
      CAPTURE(rows);
      CAPTURE(channels);
      const auto x = shifted(random_floats(rows * channels, 1), 1.0F, 3.0F);
      const Guarded in(x.size(), 3, x);
      const auto got = outputs({channels}, cpu::column_workspace_bytes(rows, channels),
                               [&](const kernels::Context& ctx, const std::vector<float*>& y) {
                                 cpu::column_sums(ctx, rows, channels, in.data(), y[0]);
                               });
      CHECK(wrong(got[0], oracle_of::column_sums(rows, channels, wide(x)), 2e-7) == 0);
    }
  });
}

TEST_CASE("gradients: statistics of a batch keep their digits when the mean is far from zero") {
  for_each_isa([] {
    for (const auto [rows, channels] : kExtents) {
      CAPTURE(rows);
      CAPTURE(channels);
      for (const float shift : {0.0F, 100.0F}) {
        const auto x = shifted(random_floats(rows * channels, 2), 1.0F, shift);
        const Guarded in(x.size(), 1, x);
        const auto got = outputs({channels, channels}, cpu::column_workspace_bytes(rows, channels),
                                 [&](const kernels::Context& ctx, const std::vector<float*>& y) {
                                   cpu::batch_statistics(ctx, rows, channels, in.data(), y[0], y[1]);
                                 });
        const auto wanted = oracle_of::statistics(rows, channels, wide(x));
        int off = 0;
        for (std::size_t c = 0; c < wanted.mean.size(); ++c) {
          const double mean = wanted.mean[c], var = wanted.var[c];
          if (!(std::fabs(static_cast<double>(got[0][c]) - mean) <=
                1e-7 * (std::fabs(mean) + std::sqrt(var))))
            ++off;
          if (!(std::fabs(static_cast<double>(got[1][c]) - var) <= 3e-7 * var)) ++off;
        }
        CHECK(off == 0);
      }
    }
  });
}

TEST_CASE("gradients: batch_norm, with statistics of the batch and with given ones") {
  for_each_isa([] {
    for (const auto [rows, channels] : kExtents) {
      CAPTURE(rows);
      CAPTURE(channels);
      for (const int kind : {0, 1, 2, 3}) {
        const bool batch = kind % 2 == 0, affine = kind < 2;
        const float shift = kind == 2 ? 100.0F : 0.5F;
        const auto x = shifted(random_floats(rows * channels, 1), 1.0F, shift),
                   dy = shifted(random_floats(rows * channels, 2), 1.0F, 0.3F),
                   weight = random_floats(channels, 3);
        const Guarded gx(x.size(), 1, x), gdy(dy.size(), 2, dy), gw(weight.size(), 3, weight);
        // The statistics in float, as the kernel gets them.
        const oracle_of::Statistics exact = oracle_of::statistics(rows, channels, wide(x));
        const std::vector<float> mean(exact.mean.begin(), exact.mean.end()),
            var(exact.var.begin(), exact.var.end());
        cpu::BatchNormGradientArguments a{.x = gx.data(),
                                          .dy = gdy.data(),
                                          .mean = mean.data(),
                                          .var = var.data(),
                                          .weight = affine ? gw.data() : nullptr,
                                          .eps = 1e-3F,
                                          .batch = batch};
        const std::size_t workspace = cpu::column_workspace_bytes(rows, channels);
        const auto got = outputs({rows * channels, channels, channels}, workspace,
                                 [&](const kernels::Context& ctx, const std::vector<float*>& y) {
                                   a.dx = y[0];
                                   a.dweight = y[1];
                                   a.dbias = y[2];
                                   cpu::batch_norm_gradient(ctx, rows, channels, a);
                                 });
        const auto wanted = oracle_of::batch_norm_gradient(
            rows, channels, wide(x), wide(dy), {wide(mean), wide(var)},
            affine ? wide(weight) : Values(weight.size(), 1.0), static_cast<double>(1e-3F), batch);
        CHECK(wrong(got[0], wanted.dx, 5e-7) == 0);
        CHECK(wrong(got[1], wanted.dweight, 5e-7) == 0);
        CHECK(wrong(got[2], wanted.dbias, 5e-7) == 0);
        // In place, and without dx.
        Team team(2, workspace);
        Guarded both(dy.size(), 1, dy), dw(size_of(channels)), db(size_of(channels));
        a.dy = a.dx = both.data();
        a.dweight = dw.data();
        a.dbias = db.data();
        cpu::batch_norm_gradient(team.context(), rows, channels, a);
        CHECK(same_bits(both.values(), got[0]));
        a.dy = gdy.data();
        a.dx = nullptr;
        cpu::batch_norm_gradient(team.context(), rows, channels, a);
        CHECK((same_bits(dw.values(), got[1]) && same_bits(db.values(), got[2])));
      }
    }
  });
}

TEST_CASE("gradients: prelu, at zero and minus zero too") {
  for_each_isa([] {
    for (const auto [rows, channels] : kExtents) {
      CAPTURE(rows);
      CAPTURE(channels);
      auto x = random_floats(rows * channels, 1);
      for (std::size_t i = 0; i < x.size(); i += 5) x[i] = i % 2 == 0 ? 0.0F : -0.0F;
      const auto dy = random_floats(rows * channels, 2), slope = random_floats(channels, 3);
      const Guarded gx(x.size(), 1, x), gdy(dy.size(), 2, dy), gs(slope.size(), 1, slope);
      const std::size_t workspace = cpu::column_workspace_bytes(rows, channels);
      const auto got =
          outputs({rows * channels, channels}, workspace,
                  [&](const kernels::Context& ctx, const std::vector<float*>& y) {
                    cpu::prelu_gradient(ctx, rows, channels, gx.data(), gs.data(), gdy.data(), y[0], y[1]);
                  });
      const auto wanted = oracle_of::prelu_gradient(rows, channels, wide(x), wide(slope), wide(dy));
      int off = 0;
      for (std::size_t i = 0; i < wanted.dx.size(); ++i)
        if (!(got[0][i] == static_cast<float>(wanted.dx[i]))) ++off;
      CHECK(off == 0);
      CHECK(wrong(got[1], wanted.dslope, 4e-7) == 0);
      Team team(2, workspace);
      Guarded both(dy.size(), 3, dy), ds(slope.size());
      cpu::prelu_gradient(team.context(), rows, channels, gx.data(), gs.data(), both.data(), both.data(),
                          ds.data());
      CHECK((same_bits(both.values(), got[0]) && same_bits(ds.values(), got[1])));
    }
  });
}

TEST_CASE("gradients: clamp stops at its bounds and beyond, and lets NaN's gradient pass") {
  for_each_isa([] {
    for (const std::int64_t count : {1, 13, 15, 17, 49, 12544}) {
      CAPTURE(count);
      auto x = shifted(random_floats(count, 1), 4.0F, 3.0F);
      const std::vector<float> special = {0.0F, -0.0F, 6.0F, kNaN, kInf, -kInf, 1e-45F, 5.9999995F};
      for (std::size_t i = 0; i < x.size(); i += 3) x[i] = special[i / 3 % special.size()];
      const auto dy = random_floats(count, 2);
      const Guarded gx(x.size(), 1, x), gdy(dy.size(), 2, dy);
      for (const float hi : {6.0F, kInf}) {
        const auto got = outputs({count}, 0, [&](const kernels::Context& ctx, const std::vector<float*>& y) {
          cpu::clamp_gradient(ctx, count, gx.data(), 0.0F, hi, gdy.data(), y[0]);
        });
        int off = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
          const double slope =
              oracle_of::clamp_slope(static_cast<double>(x[i]), 0.0, static_cast<double>(hi));
          if (!(got[0][i] == (slope == 1.0 ? dy[i] : 0.0F))) ++off;
        }
        CHECK(off == 0);
      }
    }
  });
}

TEST_CASE("gradients: gelu within a unit of the last place of its terms") {
  std::vector<float> x = {0.0F, -0.0F, 1e-30F, -1e-30F, 40.0F, -40.0F, 3e38F, -3e38F, 1e-45F, kInf, -kInf};
  for (int i = -14000; i <= 14000; ++i) x.push_back(static_cast<float>(i) * 1e-3F);
  const auto dy = random_floats(static_cast<std::int64_t>(x.size()), 2);
  const Guarded gx(x.size(), 1, x), gdy(dy.size(), 2, dy);
  const auto count = static_cast<std::int64_t>(x.size());
  const auto got = outputs({count}, 0, [&](const kernels::Context& ctx, const std::vector<float*>& y) {
    cpu::gelu_gradient(ctx, count, gx.data(), gdy.data(), y[0]);
  });
  int off = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto v = static_cast<long double>(x[i]);
    const long double slope = std::isinf(x[i]) ? (x[i] > 0 ? 1.0L : 0.0L) : oracle_of::gelu_slope(v);
    const double wanted = static_cast<double>(slope) * static_cast<double>(dy[i]);
    if (!(std::fabs(static_cast<double>(got[0][i]) - wanted) <= 6.1e-8 * std::fabs(wanted) + 1e-14)) ++off;
  }
  CHECK(off == 0);
  Guarded nan(1, 0, {kNaN}), one(1, 0, {1.0F});
  cpu::gelu_gradient(Team().context(), 1, nan.data(), one.data(), one.data());
  CHECK(std::isnan(one[0]));
}

TEST_CASE("gradients: linear, by data and by weight") {
  struct Size {
    std::int64_t rows, in, out;
  };
  const std::vector<Size> sizes = {{1, 1, 1},     {1, 13, 15},  {3, 17, 13},   {15, 49, 1},  {8, 2049, 9},
                                   {2, 515, 130}, {49, 15, 17}, {1, 12544, 3}, {5, 1, 12544}};
  for_each_isa([&] {
    for (const auto [rows, in, out] : sizes) {
      CAPTURE(rows);
      CAPTURE(in);
      CAPTURE(out);
      const auto x = random_floats(rows * in, 1), weight = random_floats(out * in, 2),
                 dy = random_floats(rows * out, 3);
      const Guarded gx(x.size(), 1, x), gw(weight.size(), 2, weight), gdy(dy.size(), 3, dy);
      const auto got =
          outputs({rows * in, out * in}, 0, [&](const kernels::Context& ctx, const std::vector<float*>& y) {
            cpu::linear_data_gradient(ctx, rows, in, out, gdy.data(), gw.data(), y[0]);
            cpu::linear_weight_gradient(ctx, rows, in, out, gdy.data(), gx.data(), y[1]);
          });
      const auto wanted = oracle_of::linear_gradient(rows, in, out, wide(x), wide(weight), wide(dy));
      // One chain of `out` (of `rows`) roundings.
      CHECK(wrong(got[0], wanted.dx, out > 1000 ? 3e-6 : 5e-7) == 0);
      CHECK(wrong(got[1], wanted.dweight, 5e-7) == 0);
    }
  });
}

TEST_CASE("gradients: linear of small integers is exact") {
  for_each_isa([] {
    const std::int64_t rows = 7, in = 531, out = 21;
    const auto x = random_integers(rows * in, 5, 1), weight = random_integers(out * in, 5, 2),
               dy = random_integers(rows * out, 5, 3);
    Guarded dx(x.size()), dw(weight.size());
    Team team(2);
    cpu::linear_data_gradient(team.context(), rows, in, out, dy.data(), weight.data(), dx.data());
    cpu::linear_weight_gradient(team.context(), rows, in, out, dy.data(), x.data(), dw.data());
    const auto wanted = oracle_of::linear_gradient(rows, in, out, wide(x), wide(weight), wide(dy));
    CHECK(wide(dx.values()) == wanted.dx.value);
    CHECK(wide(dw.values()) == wanted.dweight.value);
  });
}

TEST_CASE("gradients: accumulate adds at every length") {
  for_each_isa([] {
    for (const std::int64_t count : {0, 1, 13, 15, 17, 49, 12544}) {
      const auto x = random_floats(count, 1), y = random_floats(count, 2);
      Guarded sum(y.size(), 1, y);
      Team team(3);
      cpu::accumulate(team.context(), count, x.data(), sum.data());
      CHECK(sum.guards_intact());
      int off = 0;
      for (std::size_t i = 0; i < x.size(); ++i)
        if (!(sum[i] == x[i] + y[i])) ++off;
      CHECK(off == 0);
    }
  });
}
