// One-dimensional transforms of Winograd's F(m, 3), m = 4, 3 and 2, that share one transform of the filters;
// per target, included by kernels below foreach_target.
//
// F(4,3) has the points 0, 1, -1, 1/2, -2 and infinity. F(3,3) leaves out -2, and F(2,3) also 1/2: what is
// left over at the edge of an image (14 = 4 + 4 + 4 + 2, 7 = 4 + 3) is computed with fewer products, from the
// same filters. For that the division by N(a) = product over the other points b of (a - b), which depends on
// m and which one is free to put anywhere, stands in the transform of the inputs.
#include <hwy/highway.h>

#include "kernels/cpu/conv_tile-inl.h"

#ifndef AIKD_KERNELS_CPU_WINOGRAD_POINTS
#define AIKD_KERNELS_CPU_WINOGRAD_POINTS
namespace aikd::kernels::cpu {
// Outputs of a full tile along one axis, inputs they depend on, points of the filters.
inline constexpr int kWinogradOut = 4, kWinogradIn = 6, kWinogradPoints = kWinogradIn * kWinogradIn;
// Whether F(m, 3) has the point of this index (0: 0, 1: 1, 2: -1, 3: 1/2, 4: -2, 5: infinity).
constexpr bool winograd_has_point(int m, int point) {
  return m == 4 || (point != 4 && (m == 3 || point != 3));
}
}  // namespace aikd::kernels::cpu
#endif

#if defined(AIKD_KERNELS_CPU_WINOGRAD_TRANSFORMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AIKD_KERNELS_CPU_WINOGRAD_TRANSFORMS_INL_H_
#undef AIKD_KERNELS_CPU_WINOGRAD_TRANSFORMS_INL_H_
#else
#define AIKD_KERNELS_CPU_WINOGRAD_TRANSFORMS_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {

// u = G g: row a is 1, a, a^2; infinity takes the last.
HWY_INLINE void FilterRow(V g0, V g1, V g2, V (&u)[kWinogradIn]) {
  const D f;
  const V sum = hn::Add(g0, g2);
  u[0] = g0;
  u[1] = hn::Add(sum, g1);
  u[2] = hn::Sub(sum, g1);
  u[3] = hn::MulAdd(hn::Set(f, 0.25F), g2, hn::MulAdd(hn::Set(f, 0.5F), g1, g0));
  u[4] = hn::MulAdd(hn::Set(f, 4.0F), g2, hn::NegMulAdd(hn::Set(f, 2.0F), g1, g0));
  u[5] = g2;
}

// d <- B^T d: row a holds the coefficients of the product over the other points b of (x - b), divided by
// N(a). Reads d[0, kM + 2), writes the points that F(kM, 3) has.
//   m = 4: [1 -3/2 -2 3/2 1 0] [0 -1/3 1/6 5/6 1/3 0] [0 -1/3 5/6 -1/6 -1/3 0] [0 32/15 16/15 -32/15 -16/15
//   0]
//          [0 1/30 -1/15 -1/30 1/15 0] [0 1 -3/2 -2 3/2 1]
//   m = 3: [1 -2 -1 2 0] [0 -1/2 1/2 1 0] [0 -1/6 1/2 -1/3 0] [0 8/3 0 -8/3 0] . [0 1/2 -1 -1/2 1]
//   m = 2: [1 0 -1 0] [0 1/2 1/2 0] [0 -1/2 1/2 0] . . [0 -1 0 1]
template <int kM>
HWY_INLINE void InputRow(V (&d)[kWinogradIn]) {
  const D f;
  const auto constant = [f](double value) { return hn::Set(f, static_cast<float>(value)); };
  const V half = constant(0.5), two = constant(2), three_halves = constant(1.5);
  if constexpr (kM == 4) {
    const V third = constant(1.0 / 3), sixth = constant(1.0 / 6), five_sixths = constant(5.0 / 6);
    const V even = hn::Sub(d[4], d[2]), odd = hn::Sub(d[3], d[1]);
    const V r0 = hn::MulAdd(three_halves, odd, hn::NegMulAdd(two, d[2], hn::Add(d[0], d[4])));
    const V r1 = hn::MulAdd(third, hn::Sub(d[4], d[1]), hn::MulAdd(five_sixths, d[3], hn::Mul(sixth, d[2])));
    const V r2 =
        hn::NegMulAdd(third, hn::Add(d[4], d[1]), hn::NegMulAdd(sixth, d[3], hn::Mul(five_sixths, d[2])));
    const V r5 = hn::MulAdd(three_halves, even, hn::NegMulAdd(two, d[3], hn::Add(d[1], d[5])));
    d[0] = r0, d[1] = r1, d[2] = r2, d[5] = r5;
    d[3] = hn::NegMulAdd(constant(32.0 / 15), odd, hn::Mul(constant(-16.0 / 15), even));
    d[4] = hn::NegMulAdd(constant(1.0 / 30), odd, hn::Mul(constant(1.0 / 15), even));
  } else if constexpr (kM == 3) {
    const V odd = hn::Sub(d[3], d[1]);
    const V r0 = hn::MulAdd(two, odd, hn::Sub(d[0], d[2]));
    const V r1 = hn::MulAdd(half, hn::Sub(d[2], d[1]), d[3]);
    const V r2 =
        hn::NegMulAdd(constant(1.0 / 3), d[3], hn::NegMulAdd(constant(1.0 / 6), d[1], hn::Mul(half, d[2])));
    d[5] = hn::NegMulAdd(half, odd, hn::Sub(d[4], d[2]));
    d[0] = r0, d[1] = r1, d[2] = r2;
    d[3] = hn::Mul(constant(-8.0 / 3), odd);
  } else {
    static_assert(kM == 2);
    const V r0 = hn::Sub(d[0], d[2]), r5 = hn::Sub(d[3], d[1]);
    const V r1 = hn::Mul(half, hn::Add(d[1], d[2])), r2 = hn::Mul(half, hn::Sub(d[2], d[1]));
    d[0] = r0, d[1] = r1, d[2] = r2, d[5] = r5;
  }
}

// y = A^T m, row i the i-th powers of the points; infinity counts in the last row alone.
//   m = 4: [1 1 1 1 1 0] [0 1 -1 1/2 -2 0] [0 1 1 1/4 4 0] [0 1 -1 1/8 -8 1]
template <int kM>
HWY_INLINE void OutputRow(const V (&m)[kWinogradIn], V (&y)[kWinogradOut]) {
  const D f;
  const V sum = hn::Add(m[1], m[2]), difference = hn::Sub(m[1], m[2]);
  const V half = hn::Set(f, 0.5F), quarter = hn::Set(f, 0.25F);
  if constexpr (kM == 4) {
    y[0] = hn::Add(hn::Add(m[0], sum), hn::Add(m[3], m[4]));
    y[1] = hn::MulAdd(half, m[3], hn::NegMulAdd(hn::Set(f, 2.0F), m[4], difference));
    y[2] = hn::MulAdd(quarter, m[3], hn::MulAdd(hn::Set(f, 4.0F), m[4], sum));
    y[3] = hn::Add(hn::MulAdd(hn::Set(f, 0.125F), m[3], hn::NegMulAdd(hn::Set(f, 8.0F), m[4], difference)),
                   m[5]);
  } else if constexpr (kM == 3) {
    y[0] = hn::Add(hn::Add(m[0], sum), m[3]);
    y[1] = hn::MulAdd(half, m[3], difference);
    y[2] = hn::Add(hn::MulAdd(quarter, m[3], sum), m[5]);
  } else {
    static_assert(kM == 2);
    y[0] = hn::Add(m[0], sum);
    y[1] = hn::Add(difference, m[5]);
  }
}

}  // namespace aikd::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
