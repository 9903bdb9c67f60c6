// The parts of device_emulated.h that are no templates: 16-bit numbers and tensor-core products.
#include "kernels/cuda/device.cuh"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "simt/simt.h"

namespace aikd::kernels::cuda {

float to_float(Half16 x) {
  const unsigned sign = (x.bits & 0x8000U) << 16, exponent = x.bits >> 10 & 31U, mantissa = x.bits & 1023U;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000U | mantissa << 13);
  if (exponent == 0) {
    const float value = std::ldexp(static_cast<float>(mantissa), -24);
    return sign != 0 ? -value : value;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

Half16 to_half_bits(float x) {
  const unsigned u = std::bit_cast<unsigned>(x), sign = u >> 16 & 0x8000U;
  const float magnitude = std::fabs(x);
  if (std::isnan(x)) return {static_cast<std::uint16_t>(0x7fffU)};
  if (magnitude >= 65520.0F) return {static_cast<std::uint16_t>(sign | 0x7c00U)};
  if (magnitude < 0x1p-14F) {  // subnormal: a whole number of 2^-24, ties to even by nearbyint
    return {static_cast<std::uint16_t>(sign | static_cast<unsigned>(std::nearbyint(magnitude * 0x1p24F)))};
  }
  const unsigned m = u & 0x7fffffffU;
  return {static_cast<std::uint16_t>(sign | (((m + 0xfffU + (m >> 13 & 1U)) >> 13) - (112U << 10)))};
}

BFloat16 to_bfloat16_bits(float x) {
  const unsigned u = std::bit_cast<unsigned>(x);
  if (std::isnan(x)) return {0x7fffU};
  return {static_cast<std::uint16_t>((u + 0x7fffU + (u >> 16 & 1U)) >> 16)};
}

unsigned to_tf32(float x) {
  const unsigned u = std::bit_cast<unsigned>(x);
  if (!std::isfinite(x)) return u;
  return (u + 0x1000U) & ~0x1fffU;
}

namespace {

struct Fragments {
  unsigned a[4], b[2];
};

// d += A B for a 16 x k times k x 8 product whose elements a_at, b_at find in the lanes' fragments.
template <class A, class B>
void multiply(float (&d)[4], int k_extent, const A& a_at, const B& b_at) {
  const int l = static_cast<int>(simt::lane()), g = l / 4, t = l % 4;
  for (int i = 0; i < 4; ++i) {
    const int row = g + (i / 2) * 8, column = 2 * t + i % 2;
    float sum = d[i];
    for (int k = 0; k < k_extent; ++k) sum += a_at(row, k) * b_at(k, column);
    d[i] = sum;
  }
}

Fragments fragments_of(const unsigned char (*slots)[64], int lane) {
  Fragments f;
  std::memcpy(&f, slots[lane], sizeof f);
  return f;
}

}  // namespace

void mma_16816(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], bool half,
               const simt::Place& place) {
  Fragments own;
  std::copy(a, a + 4, own.a);
  std::copy(b, b + 2, own.b);
  const auto slots = simt::meet(0xffffffffU, &own, sizeof own, place);
  const auto value = [&](unsigned word, int upper) {
    const auto bits = static_cast<std::uint16_t>(upper != 0 ? word >> 16 : word & 0xffffU);
    return half ? to_float(Half16{bits}) : to_float(BFloat16{bits});
  };
  multiply(
      d, 16,
      [&](int row, int k) {
        const Fragments f = fragments_of(slots, (row % 8) * 4 + (k % 8) / 2);
        return value(f.a[row / 8 + 2 * (k / 8)], k % 2);
      },
      [&](int k, int column) {
        const Fragments f = fragments_of(slots, column * 4 + (k % 8) / 2);
        return value(f.b[k / 8], k % 2);
      });
}

void mma_1688_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], const simt::Place& place) {
  Fragments own;
  std::copy(a, a + 4, own.a);
  std::copy(b, b + 2, own.b);
  const auto slots = simt::meet(0xffffffffU, &own, sizeof own, place);
  const auto value = [](unsigned word) { return std::bit_cast<float>(word & ~0x1fffU); };
  multiply(
      d, 8,
      [&](int row, int k) {
        return value(fragments_of(slots, (row % 8) * 4 + k % 4).a[row / 8 + 2 * (k / 4)]);
      },
      [&](int k, int column) { return value(fragments_of(slots, column * 4 + k % 4).b[k / 4]); });
}

}  // namespace aikd::kernels::cuda
