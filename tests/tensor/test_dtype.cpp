#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tensor/dtype.h"
#include "tests/support/test.h"

using aikd::BFloat16;
using aikd::DType;
using aikd::Half;

namespace {

// Straight from the definition: (-1)^s 2^(e-15) (1 + m/1024), subnormals m 2^-24.
double half_by_definition(std::uint16_t bits) {
  const double sign = (bits & 0x8000U) != 0 ? -1.0 : 1.0;
  const int exponent = (bits >> 10) & 0x1f;
  const int mantissa = bits & 0x3ff;
  if (exponent == 0x1f) return mantissa == 0 ? sign * HUGE_VAL : std::numeric_limits<double>::quiet_NaN();
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

}  // namespace

TEST_CASE("every half converts to float as defined and back to itself") {
  for (std::uint32_t b = 0; b <= 0xffff; ++b) {
    const Half h{static_cast<std::uint16_t>(b)};
    const double expected = half_by_definition(h.bits);
    const float got = aikd::to_float(h);
    if (std::isnan(expected)) {
      REQUIRE(std::isnan(got));
      REQUIRE(std::isnan(aikd::to_float(aikd::to_half(got))));
      continue;
    }
    REQUIRE(static_cast<double>(got) == expected);
    REQUIRE(std::signbit(got) == std::signbit(expected));
    REQUIRE(aikd::to_half(got).bits == h.bits);
  }
}

TEST_CASE("float to half rounds to nearest with ties to even") {
  // Between two neighbouring halves lie the midpoint (goes to the even one) and its float neighbours.
  for (std::uint32_t b = 0; b < 0x7bff; ++b) {
    const float lo = aikd::to_float(Half{static_cast<std::uint16_t>(b)});
    const float hi = aikd::to_float(Half{static_cast<std::uint16_t>(b + 1)});
    const float middle = lo + (hi - lo) / 2;  // exact: 12 bits are enough
    REQUIRE(aikd::to_half(middle).bits == (b % 2 == 0 ? b : b + 1));
    REQUIRE(aikd::to_half(std::nextafter(middle, lo)).bits == b);
    REQUIRE(aikd::to_half(std::nextafter(middle, hi)).bits == b + 1);
    REQUIRE(aikd::to_half(-middle).bits == (0x8000U | (b % 2 == 0 ? b : b + 1)));
  }
  CHECK(aikd::to_half(65504.0F).bits == 0x7bff);
  CHECK(aikd::to_half(65519.996F).bits == 0x7bff);
  CHECK(aikd::to_half(65520.0F).bits == 0x7c00);
  CHECK(aikd::to_half(std::numeric_limits<float>::infinity()).bits == 0x7c00);
  CHECK(aikd::to_half(0x1p-25F).bits == 0);
  CHECK(aikd::to_half(std::nextafter(0x1p-25F, 1.0F)).bits == 1);
}

TEST_CASE("bfloat16 keeps the upper half and rounds to nearest even") {
  for (std::uint32_t b = 0; b <= 0xffff; ++b) {
    const BFloat16 v{static_cast<std::uint16_t>(b)};
    const float f = aikd::to_float(v);
    if (std::isnan(f)) {
      REQUIRE(std::isnan(aikd::to_float(aikd::to_bfloat16(f))));
      continue;
    }
    REQUIRE(aikd::to_bfloat16(f).bits == v.bits);
  }
  CHECK(aikd::to_bfloat16(std::bit_cast<float>(0x3f808000U)).bits == 0x3f80);  // tie, even below
  CHECK(aikd::to_bfloat16(std::bit_cast<float>(0x3f818000U)).bits == 0x3f82);  // tie, even above
  CHECK(aikd::to_bfloat16(std::bit_cast<float>(0x3f808001U)).bits == 0x3f81);
  CHECK(std::isnan(aikd::to_float(aikd::to_bfloat16(std::bit_cast<float>(0x7f800001U)))));
}

TEST_CASE("dtype names and sizes go both ways") {
  for (int i = 0; i <= static_cast<int>(DType::kBool); ++i) {
    const auto dtype = static_cast<DType>(i);
    CHECK(aikd::dtype_from_name(aikd::name_of(dtype)) == dtype);
    CHECK(aikd::size_of(dtype) >= 1);
  }
  CHECK(aikd::size_of(DType::kF64) == 8);
  CHECK(aikd::size_of(DType::kBF16) == 2);
  CHECK_FALSE(aikd::dtype_from_name("F8").has_value());
  CHECK_FALSE(aikd::dtype_from_name("f32").has_value());
}
