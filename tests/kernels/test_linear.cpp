#include "kernels/linear.h"

#include "tests/kernels/kernel_test.h"
#include "tests/oracle/conv2d.h"

namespace {

using namespace aikd;
using namespace aikd::test;

struct Size {
  std::int64_t rows, in, out;
};
const std::vector<Size> kSizes = {{1, 1, 1},    {2, 15, 17},  {1, 512, 1},   {7, 513, 33},
                                  {13, 49, 16}, {5, 1030, 5}, {9, 128, 100}, {1, 12544, 3}};

struct Case {
  std::vector<float> x, weight, bias;
};

Case make_case(const Size& s, bool integers) {
  if (integers)
    return {random_integers(s.rows * s.in, 8, 1), random_integers(s.out * s.in, 8, 2),
            random_integers(s.out, 8, 3)};
  return {random_floats(s.rows * s.in, 1), random_floats(s.out * s.in, 2), random_floats(s.out, 3)};
}

std::vector<float> run(const Size& s, const Case& c, bool packed, int threads) {
  Team team(threads);
  const kernels::LinearDims dims{.rows = s.rows, .in = s.in, .out = s.out};
  if (!packed) {
    Guarded x(c.x.size(), 1, c.x), w(c.weight.size(), 2, c.weight), b(c.bias.size(), 3, c.bias);
    Guarded y(static_cast<std::size_t>(s.rows * s.out), 5);
    kernels::cpu::linear(team.context(), dims, x.data(), w.data(), b.data(), y.data());
    CHECK(y.guards_intact());
    return y.values();
  }
  // Rows further apart than they are long, as in a plan.
  const std::int64_t x_stride = s.in + 11, y_stride = kernels::cpu::linear_padded_outputs(s.out) + 32;
  Guarded x(static_cast<std::size_t>(s.rows * x_stride));
  for (std::int64_t i = 0; i < s.rows * s.in; ++i)
    x.data()[i / s.in * x_stride + i % s.in] = c.x[static_cast<std::size_t>(i)];
  Guarded w(kernels::cpu::packed_linear_floats(s.in, s.out)), y(static_cast<std::size_t>(s.rows * y_stride));
  kernels::cpu::pack_linear(s.in, s.out, c.weight.data(), w.data());
  CHECK(w.guards_intact());
  std::vector<float> padded_bias(static_cast<std::size_t>(kernels::cpu::linear_padded_outputs(s.out)), 0.0F);
  std::copy(c.bias.begin(), c.bias.end(), padded_bias.begin());
  Guarded b(padded_bias.size(), 0, padded_bias);
  kernels::cpu::packed_linear(team.context(), dims, x.data(), x_stride, w.data(), b.data(), y.data(),
                              y_stride);
  CHECK(y.guards_intact());
  std::vector<float> out;
  for (std::int64_t i = 0; i < s.rows; ++i) {
    for (std::int64_t o = 0; o < y_stride; ++o) {
      const float v = y[static_cast<std::size_t>(i * y_stride + o)];
      if (o < s.out) {
        out.push_back(v);
      } else if (o < kernels::cpu::linear_padded_outputs(s.out)) {
        CHECK(v == 0.0F);
      } else {
        CHECK(std::isnan(v));  // beyond the blocks nothing is written
      }
    }
  }
  return out;
}

void check_all(bool packed) {
  for_each_isa([&] {
    for (const Size& s : kSizes) {
      CAPTURE(s.in);
      for (const bool integers : {false, true}) {
        const Case c = make_case(s, integers);
        const oracle::Sums sums =
            oracle::linear(s.rows, s.in, s.out, c.x.data(), c.weight.data(), c.bias.data());
        const std::vector<float> y = run(s, c, packed, 2);
        int wrong = 0;
        for (std::size_t i = 0; i < y.size(); ++i) {
          const double tolerance = integers ? 0.0 : 1e-6 * sums.magnitude[i];
          if (!(std::fabs(static_cast<double>(y[i]) - sums.value[i]) <= tolerance)) ++wrong;
        }
        CHECK(wrong == 0);
      }
    }
  });
}

}  // namespace

TEST_CASE("linear equals the oracle at all sizes and is exact on integers") {
  check_all(false);
}

TEST_CASE("packed_linear equals the oracle at all sizes and is exact on integers") {
  check_all(true);
}

TEST_CASE("linear and packed_linear give the same bits with any threads and any batch") {
  for_each_isa([] {
    const Size s{13, 700, 45};
    const Case c = make_case(s, false);
    for (const bool packed : {false, true}) {
      const std::vector<float> y = run(s, c, packed, 1);
      CHECK(same_bits(y, run(s, c, packed, 3)));
      for (std::int64_t i = 0; i < s.rows; ++i) {
        Case one = c;
        one.x.assign(c.x.begin() + i * s.in, c.x.begin() + (i + 1) * s.in);
        const std::vector<float> row(y.begin() + i * s.out, y.begin() + (i + 1) * s.out);
        CHECK(same_bits(row, run({1, s.in, s.out}, one, packed, 2)));
      }
    }
  });
}

TEST_CASE("linear of no rows writes nothing") {
  Guarded x(1), w(4, 0, {1, 2, 3, 4}), y(2);
  Team team;
  kernels::cpu::linear(team.context(), {.rows = 0, .in = 2, .out = 2}, x.data(), w.data(), nullptr, y.data());
  CHECK(std::isnan(y[0]));
  CHECK(std::isnan(y[1]));
}
