#include "tensor/dtype.h"

#include <array>

namespace aikd {
namespace {

struct Row {
  DType dtype;
  std::string_view name;
  std::size_t size;
  bool floating;
};
// In the order of the enumeration.
constexpr std::array<Row, 10> kRows{{{DType::kF64, "F64", 8, true},
                                     {DType::kF32, "F32", 4, true},
                                     {DType::kF16, "F16", 2, true},
                                     {DType::kBF16, "BF16", 2, true},
                                     {DType::kI64, "I64", 8, false},
                                     {DType::kI32, "I32", 4, false},
                                     {DType::kI16, "I16", 2, false},
                                     {DType::kI8, "I8", 1, false},
                                     {DType::kU8, "U8", 1, false},
                                     {DType::kBool, "BOOL", 1, false}}};

const Row& row(DType dtype) noexcept {
  return kRows[static_cast<std::size_t>(dtype)];
}

}  // namespace

std::size_t size_of(DType dtype) noexcept {
  return row(dtype).size;
}
std::string_view name_of(DType dtype) noexcept {
  return row(dtype).name;
}
bool is_floating(DType dtype) noexcept {
  return row(dtype).floating;
}

std::optional<DType> dtype_from_name(std::string_view name) noexcept {
  for (const Row& r : kRows) {
    if (r.name == name) return r.dtype;
  }
  return std::nullopt;
}

float to_float(Half h) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(h.bits & 0x8000U) << 16;
  std::uint32_t exponent = (h.bits >> 10) & 0x1fU;
  std::uint32_t mantissa = h.bits & 0x3ffU;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000U | (mantissa << 13));
  if (exponent == 0) {
    // Subnormal: mantissa * 2^-24, exact in binary32.
    const float value = static_cast<float>(mantissa) * 0x1p-24F;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
  }
  return std::bit_cast<float>(sign | ((exponent + 112U) << 23) | (mantissa << 13));
}

Half to_half(float f) noexcept {
  const auto u = std::bit_cast<std::uint32_t>(f);
  const auto sign = static_cast<std::uint16_t>((u >> 16) & 0x8000U);
  const std::uint32_t magnitude = u & 0x7fffffffU;
  const auto with_sign = [sign](std::uint32_t bits) { return Half{static_cast<std::uint16_t>(sign | bits)}; };
  if (magnitude > 0x7f800000U) return with_sign(0x7e00U | ((magnitude >> 13) & 0x3ffU));
  if (magnitude >= 0x477ff000U) return with_sign(0x7c00U);  // >= 65520 rounds to infinity
  if (magnitude < 0x38800000U) {
    // Subnormal result: adding 2^-1 * 2^-13 ... aligns the mantissa so that the FPU rounds to nearest even
    // for us.
    const float aligned = std::bit_cast<float>(magnitude) + 0.5F;
    return with_sign(std::bit_cast<std::uint32_t>(aligned) - 0x3f000000U);
  }
  const std::uint32_t odd = (magnitude >> 13) & 1U;
  return with_sign((magnitude - 0x38000000U + 0xfffU + odd) >> 13);
}

}  // namespace aikd
