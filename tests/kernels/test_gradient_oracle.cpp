// The yardstick of test_gradients.cpp, measured itself.
#include <functional>

#include "tests/kernels/kernel_test.h"
#include "tests/oracle/gradients.h"
#include "tests/oracle/pointwise.h"

namespace {

using namespace aikd;
using namespace aikd::test;
namespace oracle_of = oracle::gradient;
using oracle_of::Values;

Values wide(const std::vector<float>& x) {
  return {x.begin(), x.end()};
}

// sum of dy y as a function of one value changed by h, both ways.
double central(const std::function<double(double)>& loss, double h = 1e-5) {
  return (loss(h) - loss(-h)) / (2 * h);
}
double dot(const Values& a, const Values& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

TEST_CASE("gradients: the oracle's gradients are those of the functions") {
  const std::int64_t rows = 7, channels = 3;
  const Values x = wide(random_floats(rows * channels, 1)), dy = wide(random_floats(rows * channels, 2)),
               weight = wide(random_floats(channels, 3)), bias = wide(random_floats(channels, 4));
  const oracle_of::Statistics s = oracle_of::statistics(rows, channels, x);
  for (const bool batch : {true, false}) {
    const auto loss = [&](const Values& at, const Values& w, const Values& b) {
      return dot(dy, oracle_of::batch_norm(
                         channels, at, batch ? oracle_of::statistics(rows, channels, at) : s, w, b, 1e-3));
    };
    const auto g = oracle_of::batch_norm_gradient(rows, channels, x, dy, s, weight, 1e-3, batch);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double slope = central([&](double h) {
        Values moved = x;
        moved[i] += h;
        return loss(moved, weight, bias);
      });
      CHECK_FALSE(!(std::fabs(slope - g.dx.value[i]) <= 1e-7));
    }
    for (std::size_t c = 0; c < weight.size(); ++c) {
      const auto moved = [c](Values v, double h) {
        v[c] += h;
        return v;
      };
      const double by_weight = central([&](double h) { return loss(x, moved(weight, h), bias); }),
                   by_bias = central([&](double h) { return loss(x, weight, moved(bias, h)); });
      CHECK_FALSE(!(std::fabs(by_weight - g.dweight.value[c]) <= 1e-7));
      CHECK_FALSE(!(std::fabs(by_bias - g.dbias.value[c]) <= 1e-7));
    }
  }
  const auto prelu = oracle_of::prelu_gradient(rows, channels, x, weight, dy);
  for (std::size_t i = 0; i < x.size(); ++i) {  // no random value is within 1e-5 of 0 or of a bound
    const double slope = weight[i % 3];
    CHECK_FALSE(!(std::fabs(central([&](double h) { return dy[i] * oracle::prelu(x[i] + h, slope); }) -
                            prelu.dx[i]) <= 1e-8));
    CHECK_FALSE(!(std::fabs(central([&](double h) { return oracle::clamp(x[i] + h, -0.5, 0.7); }) -
                            oracle_of::clamp_slope(x[i], -0.5, 0.7)) <= 1e-8));
    CHECK_FALSE(
        !(std::fabs(central([&](double h) {
                      return static_cast<double>(oracle::gelu(static_cast<long double>(x[i] + h)));
                    }) -
                    static_cast<double>(oracle_of::gelu_slope(static_cast<long double>(x[i])))) <= 1e-8));
  }
  for (std::size_t c = 0; c < 3; ++c) {
    const double by_slope = central([&](double h) {
      double sum = 0;
      for (std::size_t i = c; i < x.size(); i += 3) sum += dy[i] * oracle::prelu(x[i], weight[c] + h);
      return sum;
    });
    CHECK_FALSE(!(std::fabs(by_slope - prelu.dslope.value[c]) <= 1e-8));
  }
  const std::int64_t in = 4, out = 2;
  const Values lx = wide(random_floats(rows * in, 5)), lw = wide(random_floats(out * in, 6)),
               ldy = wide(random_floats(rows * out, 7));
  const auto linear = oracle_of::linear_gradient(rows, in, out, lx, lw, ldy);
  const auto linear_loss = [&](const Values& a, const Values& b) {
    return dot(ldy, oracle::linear<double>(rows, in, out, a.data(), b.data(), nullptr).value);
  };
  const auto check = [&](const Values& wanted, const std::function<double(std::size_t, double)>& loss) {
    for (std::size_t i = 0; i < wanted.size(); ++i)
      CHECK_FALSE(!(std::fabs(central([&](double h) { return loss(i, h); }) - wanted[i]) <= 1e-8));
  };
  check(linear.dx.value, [&](std::size_t i, double h) {
    Values moved = lx;
    moved[i] += h;
    return linear_loss(moved, lw);
  });
  check(linear.dweight.value, [&](std::size_t i, double h) {
    Values moved = lw;
    moved[i] += h;
    return linear_loss(lx, moved);
  });
}
