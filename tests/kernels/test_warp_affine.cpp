#include "kernels/warp_affine.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/thread_pool.h"
#include "tests/oracle/test_images.h"
#include "tests/oracle/warp_affine.h"
#include "tests/support/test.h"

using namespace aikd;

namespace {

std::vector<std::uint8_t> run_warp(int iw, int ih, int ow, int oh, const double matrix[6],
                                   const std::vector<std::uint8_t>& x,
                                   kernels::Executor* executor = nullptr) {
  constexpr std::size_t kGuard = 64;
  constexpr std::uint8_t kMark = 0xA5;
  const std::size_t bytes = static_cast<std::size_t>(ow) * static_cast<std::size_t>(oh) * 3;
  std::vector<std::uint8_t> y(bytes + 2 * kGuard, kMark);
  const std::vector<std::uint8_t> exact(x.begin(),
                                        x.end());  // a read past its end is seen by AddressSanitizer
  kernels::Context context;
  context.executor = executor;
  kernels::warp_affine(context, {iw, ih, ow, oh}, matrix, exact.data(), y.data() + kGuard);
  const auto is_mark = [](std::uint8_t b) { return b == kMark; };
  CHECK(std::all_of(y.begin(), y.begin() + kGuard, is_mark));
  CHECK(std::all_of(y.end() - kGuard, y.end(), is_mark));
  return {y.begin() + kGuard, y.end() - kGuard};
}

}  // namespace

TEST_CASE("warp_affine is byte for byte that of OpenCV") {
  const nlohmann::json golden = test::read_golden("warp_affine.json");
  REQUIRE(golden["cases"].size() >= 50);
  for (const auto& c : golden["cases"]) {
    double matrix[6];
    for (std::size_t i = 0; i < 6; ++i) matrix[i] = c["matrix"][i];
    const int iw = c["in"][0], ih = c["in"][1];
    test::check_golden_bytes(
        c, run_warp(iw, ih, c["out"][0], c["out"][1], matrix, test::make_pixels(c["seed"], iw, ih)));
  }
}

TEST_CASE("warp_affine agrees with the definition") {
  // A ramp of 2 and 3 levels per pixel: a source position off by 1/64 + 2/1024 per axis moves the value by
  // 0.09.
  std::vector<std::uint8_t> x;
  for (int v = 0; v < 40; ++v)
    for (int u = 0; u < 50; ++u)
      for (int c = 0; c < 3; ++c) x.push_back(static_cast<std::uint8_t>(2 * u + 3 * v + c));
  const double matrix[6] = {0.8, -0.31, 9.5, 0.31, 0.8, -4.25};
  const auto y = run_warp(50, 40, 30, 30, matrix, x);
  const auto exact = oracle::warp_affine(x, 50, 40, matrix, 30, 30);
  int compared = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const auto u = static_cast<int>(i / 3 % 30), v = static_cast<int>(i / 90);
    const double du = u - matrix[2], dv = v - matrix[5], d = 0.8 * 0.8 + 0.31 * 0.31;
    const double sx = (0.8 * du + 0.31 * dv) / d, sy = (0.8 * dv - 0.31 * du) / d;
    // At the border, where the picture falls to 0, a small step of position is a large one of value.
    if (sx < 0.1 || sy < 0.1 || sx > 48.9 || sy > 38.9) continue;
    ++compared;
    CHECK_MESSAGE(!(std::abs(y[i] - exact[i]) > 0.5 + 5 * (1.0 / 64 + 2.0 / 1024)), "byte ", i);
  }
  CHECK(compared > 1500);
}

TEST_CASE("warp_affine by the identity copies and fills with zeros") {
  const auto x = test::make_pixels(9, 7, 5);
  const double identity[6] = {1, 0, 0, 0, 1, 0};
  CHECK(run_warp(7, 5, 7, 5, identity, x) == x);
  const double shift[6] = {1, 0, 2, 0, 1, 1};
  const auto y = run_warp(7, 5, 9, 6, shift, x);
  for (std::size_t v = 0; v < 6; ++v)
    for (std::size_t u = 0; u < 9; ++u)
      for (std::size_t c = 0; c < 3; ++c)
        REQUIRE(y[(v * 9 + u) * 3 + c] == (u < 2 || v < 1 ? 0 : x[((v - 1) * 7 + u - 2) * 3 + c]));
}

TEST_CASE("warp_affine survives meaningless matrices") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const auto x = test::make_pixels(9, 40, 40);
  const double matrices[][6] = {{0, 0, 0, 0, 0, 0},          {1, 1, 0, 1, 1, 0},
                                {nan, 0, 0, 0, 1, 0},        {inf, 0, 0, 0, 1, 0},
                                {1, 0, 1e300, 0, 1, -1e300}, {1e-300, 0, 0, 0, 1e-300, 0},
                                {1e-9, 0, 5, 0, 1e-9, 5},    {1, 0, 3e6, 0, 1, 3e6},
                                {1e300, 0, 0, 0, 1e300, 0},  {1e-5, 1e-5, 0, 0, 1, 1e9}};
  for (const auto& matrix : matrices) CHECK(run_warp(40, 40, 112, 112, matrix, x).size() == 112 * 112 * 3);
  // Everything maps to one source pixel: the inverse of a singular matrix is taken as 0, as OpenCV does.
  const auto y = run_warp(40, 40, 5, 5, matrices[0], x);
  for (std::size_t i = 0; i < y.size(); ++i) REQUIRE(y[i] == x[i % 3]);
}

TEST_CASE("warp_affine does not depend on the number of threads") {
  ThreadPool pool(3);
  const auto x = test::make_pixels(6, 120, 131);
  const double matrix[6] = {0.9, 0.2, -3, -0.2, 0.9, 8};
  CHECK(run_warp(120, 131, 112, 112, matrix, x, &pool) == run_warp(120, 131, 112, 112, matrix, x));
}
