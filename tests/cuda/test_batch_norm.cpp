// BatchNorm against the oracle: inference, statistics, training forward and backward, frozen statistics.
#include "kernels/batch_norm.h"

#include "tests/cuda/batch_norm_cases.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using kernels::Storage;
namespace cuda = kernels::cuda;

struct MeanVar {
  std::vector<float> mean, var;
};
MeanVar statistics(Storage storage, const Matrix& m, const Placed& x) {
  DeviceTeam team(cuda::batch_norm_statistics_workspace_bytes(m.rows, m.channels));
  const DeviceArray<float> mean(static_cast<std::size_t>(m.channels)),
      var(static_cast<std::size_t>(m.channels));
  cuda::batch_norm_statistics(team.context(), storage, m.rows, m.channels, x.data(), mean.data(), var.data());
  CHECK((mean.guards_intact() && var.guards_intact() && x.intact() && team.guards_intact()));
  return {mean.download(), var.download()};
}

// Within `relative` of the double result, variance and mean.
void check_statistics(Storage storage, const Matrix& m, const std::vector<float>& x, double relative) {
  CAPTURE(kernels::name_of(storage));
  CAPTURE(m.rows);
  CAPTURE(m.channels);
  const auto expected = oracle::statistics(m.rows, m.channels, x.data());
  const MeanVar got = statistics(storage, m, Placed(storage, x));
  // A mean near zero is as good as the deviation is large.
  CHECK(first_wrong(got.mean, expected.mean, [&](std::size_t c) {
          return relative * (std::fabs(expected.mean[c]) + std::sqrt(expected.var[c]));
        }) == "");
  CHECK(first_wrong(got.var, expected.var, [&](std::size_t c) { return relative * expected.var[c]; }) == "");
  const MeanVar shifted = statistics(storage, m, Placed(storage, x, true));
  CHECK((same_bits(shifted.mean, got.mean) && same_bits(shifted.var, got.var)));
}

}  // namespace

TEST_CASE("batch norm oracle: gradients by central differences") {
  const std::vector<double> dy = doubles(random_normal(7, 1));
  std::vector<double> x = doubles(random_normal(7, 2));
  oracle::ChannelNorm n{0.3, 1.7, 0.8, -0.4, 1e-2};
  for (const bool frozen : {true, false}) {
    const auto with_statistics = [&] {
      oracle::ChannelNorm norm = n;
      if (frozen) return norm;
      const auto s = oracle::statistics(7, 1, x.data());
      norm.mean = s.mean[0];
      norm.var = s.var[0];
      return norm;
    };
    const auto loss = [&] {
      const oracle::Column y = oracle::normalise(x, with_statistics());
      double sum = 0;
      for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
      return sum;
    };
    const auto g =
        frozen ? oracle::frozen_backward(x, dy, n) : oracle::train_backward(x, dy, with_statistics());
    for (std::size_t i = 0; i < x.size(); ++i)
      CHECK(central_difference(x, i, loss) == doctest::Approx(g.dx[i]).epsilon(1e-6));
    std::vector<double> parameters = {n.weight, n.bias};
    const auto of_parameters = [&] {
      n.weight = parameters[0];
      n.bias = parameters[1];
      return loss();
    };
    CHECK(central_difference(parameters, 0, of_parameters) == doctest::Approx(g.dweight).epsilon(1e-7));
    CHECK(central_difference(parameters, 1, of_parameters) == doctest::Approx(g.dbias).epsilon(1e-7));
    of_parameters();
  }
}

TEST_CASE("cuda batch norm: inference is one rounded multiply-add") {
  AIKD_NEEDS_DEVICE();
  DeviceTeam team;
  for (const Storage storage : kStorages) {
    for (const Matrix& m : kMatrices) {
      for (const bool shifted : {false, true}) {
        CAPTURE(kernels::name_of(storage));
        CAPTURE(m.channels);
        const std::vector<float> x = rounded(storage, random_normal(m.size(), 3)),
                                 scale = random_normal(m.channels, 4), shift = random_normal(m.channels, 5);
        std::vector<float> expected;
        for (std::size_t i = 0; i < x.size(); ++i)
          expected.push_back(
              rounded(storage, std::fma(x[i], scale[i % scale.size()], shift[i % shift.size()])));
        const Placed from(storage, x, shifted), y(storage, x.size(), shifted);
        const DeviceArray<float> a(scale), b(shift);
        cuda::batch_norm(team.context(), storage, m.rows, m.channels, from.data(), a.data(), b.data(),
                         y.data());
        CHECK(same_bits(y.download(), expected));
        cuda::batch_norm(team.context(), storage, m.rows, m.channels, from.data(), a.data(), b.data(),
                         from.data());
        CHECK(same_bits(from.download(), expected));
        CHECK((from.intact() && y.intact()));
      }
    }
  }
}

TEST_CASE("cuda batch norm: statistics") {
  AIKD_NEEDS_DEVICE();
  for (const Storage storage : kStorages) {
    for (const Matrix& m : kMatrices) {
      std::vector<float> x = random_normal(m.size(), 6);
      check_statistics(storage, m, rounded(storage, x), 5e-7);
      for (float& value : x) value += 100;  // mean / deviation = 100
      check_statistics(storage, m, rounded(storage, x), 5e-7);
    }
  }
}

// 64 images of 112 x 112 pixels.
TEST_CASE("cuda batch norm: statistics of 802,816 rows far from zero are within 1e-6 of double") {
  AIKD_NEEDS_DEVICE();
  const Matrix m{64 * 112 * 112, emulated() ? 1 : 64};
  std::vector<float> x = random_normal(m.size(), 7);
  for (float& value : x) value = 3 * value + 300;
  check_statistics(Storage::kF32, m, x, 1e-6);
  for (std::size_t i = 0; i < static_cast<std::size_t>(m.channels); ++i)
    x[i] = 0;  // the first row is no guide
  check_statistics(Storage::kF32, m, x, 1e-6);
}

TEST_CASE("cuda batch norm: the variance of a constant is exactly zero") {
  AIKD_NEEDS_DEVICE();
  for (const Storage storage : kStorages) {
    for (const Matrix& m : {Matrix{1, 16}, Matrix{5000, 16}, Matrix{777, 5}}) {
      const MeanVar got = statistics(
          storage, m, Placed(storage, std::vector<float>(static_cast<std::size_t>(m.size()), -7.5F)));
      CHECK((got.mean == std::vector<float>(static_cast<std::size_t>(m.channels), -7.5F)));
      CHECK((got.var == std::vector<float>(static_cast<std::size_t>(m.channels), 0.0F)));
    }
  }
}

TEST_CASE("cuda batch norm: NaN spoils its channel and no other") {
  AIKD_NEEDS_DEVICE();
  const Matrix m{1000, 8};
  std::vector<float> x = random_normal(m.size(), 8);
  x[500 * 8 + 3] = std::nanf("");
  const MeanVar got = statistics(Storage::kF32, m, Placed(Storage::kF32, x));
  for (std::size_t c = 0; c < 8; ++c) {
    CHECK(std::isnan(got.mean[c]) == (c == 3));
    CHECK(std::isnan(got.var[c]) == (c == 3));
  }
}

TEST_CASE("cuda batch norm: running statistics take the unbiased variance") {
  AIKD_NEEDS_DEVICE();
  DeviceTeam team;
  for (const std::int64_t channels : {1, 13, 300}) {
    for (const std::int64_t rows : {2, 49, 12544}) {
      const std::vector<float> mean = random_normal(channels, 9), before_mean = random_normal(channels, 11);
      std::vector<float> var = random_normal(channels, 10), before_var = random_normal(channels, 12);
      std::vector<double> expected_mean, expected_var;
      for (std::size_t c = 0; c < var.size(); ++c) {
        var[c] *= var[c];
        before_var[c] *= before_var[c];
        const double n = static_cast<double>(rows), unbiased = static_cast<double>(var[c]) * n / (n - 1);
        expected_mean.push_back(0.9 * static_cast<double>(before_mean[c]) +
                                0.1 * static_cast<double>(mean[c]));
        expected_var.push_back(0.9 * static_cast<double>(before_var[c]) + 0.1 * unbiased);
      }
      const DeviceArray<float> m(mean), v(var), running_mean(before_mean), running_var(before_var);
      cuda::batch_norm_update_running(team.context(), channels, m.data(), v.data(), rows, 0.1F,
                                      running_mean.data(), running_var.data());
      CHECK(first_wrong(running_mean.download(), expected_mean, [&](std::size_t c) {
              return 4 * kUlp *
                     (std::fabs(static_cast<double>(before_mean[c])) +
                      std::fabs(static_cast<double>(mean[c])));
            }) == "");
      CHECK(first_wrong(running_var.download(), expected_var,
                        [&](std::size_t c) { return 4 * kUlp * expected_var[c]; }) == "");
      CHECK((running_mean.guards_intact() && running_var.guards_intact()));
    }
  }
}

TEST_CASE("cuda batch norm: training forward and backward, frozen backward") {
  AIKD_NEEDS_DEVICE();
  for (const Storage storage : kStorages) {
    for (const Matrix& m : kGradientMatrices) {
      for (const bool affine : {true, false}) {
        CAPTURE(kernels::name_of(storage));
        CAPTURE(m.rows);
        CAPTURE(m.channels);
        CAPTURE(affine);
        const NormCase data(storage, m, affine);
        const NormExpected forward = data.forward();
        DeviceTeam team(cuda::batch_norm_backward_workspace_bytes(m.rows, m.channels));
        const NormOnDevice p(data);
        for (const bool shifted : {false, true}) {
          const Placed x(storage, data.x, shifted), y(storage, data.x.size(), shifted);
          cuda::batch_norm_train_forward(team.context(), storage, m.rows, m.channels, p.mean.data(),
                                         p.var.data(), p.weight(), p.bias(), kEps, x.data(), y.data());
          CHECK(forward.wrong_value(storage, y.download()) == "");
          const std::vector<float> got = y.download();
          cuda::batch_norm_train_forward(team.context(), storage, m.rows, m.channels, p.mean.data(),
                                         p.var.data(), p.weight(), p.bias(), kEps, x.data(), x.data());
          CHECK(same_bits(x.download(), got));
          CHECK((x.intact() && y.intact()));
        }
        for (const bool frozen : {false, true}) {
          CAPTURE(frozen);
          const NormExpected expected = data.backward(frozen);
          const auto run = frozen ? cuda::batch_norm_eval_backward : cuda::batch_norm_train_backward;
          std::vector<float> first_dx, first_dweight, first_dbias;
          for (const int turn : {0, 1, 2}) {  // odd addresses; dx = dy
            const bool shifted = turn == 1;
            const Placed x(storage, data.x, shifted), dy(storage, data.dy, shifted),
                dx(storage, data.x.size(), shifted);
            const DeviceArray<float> dweight(data.mean.size()), dbias(data.mean.size());
            const Placed& to = turn == 2 ? dy : dx;
            run(team.context(), storage, m.rows, m.channels, x.data(), p.mean.data(), p.var.data(),
                p.weight(), kEps, dy.data(), to.data(), dweight.data(), dbias.data());
            if (turn == 0) {
              first_dx = to.download();
              first_dweight = dweight.download();
              first_dbias = dbias.download();
            }
            CHECK(same_bits(to.download(), first_dx));
            CHECK(same_bits(dweight.download(), first_dweight));
            CHECK(same_bits(dbias.download(), first_dbias));
            CHECK((x.intact() && dy.intact() && dx.intact() && dweight.guards_intact() &&
                   dbias.guards_intact() && team.guards_intact()));
          }
          CHECK(expected.wrong_value(storage, first_dx) == "");
          CHECK(expected.wrong_weight(first_dweight) == "");
          CHECK(expected.wrong_bias(first_dbias) == "");
          // What is not wanted is not needed either.
          const Placed x(storage, data.x), dy(storage, data.dy), dx(storage, data.x.size());
          const DeviceArray<float> dweight(data.mean.size());
          run(team.context(), storage, m.rows, m.channels, frozen ? nullptr : x.data(), p.mean.data(),
              p.var.data(), p.weight(), kEps, dy.data(), dx.data(), nullptr, nullptr);
          CHECK(same_bits(dx.download(), first_dx));
          run(team.context(), storage, m.rows, m.channels, x.data(), p.mean.data(), p.var.data(), p.weight(),
              kEps, dy.data(), nullptr, dweight.data(), nullptr);
          CHECK(same_bits(dweight.download(), first_dweight));
        }
      }
    }
  }
}
