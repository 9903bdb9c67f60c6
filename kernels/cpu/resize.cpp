#include "kernels/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/resize.cpp"
#include "kernels/cpu/targets.h"
//
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr int kFractionBits = 22;  // 32 - 8 for the pixel - 2 for the sum's head room
inline constexpr int kHalf = 1 << (kFractionBits - 1);

inline std::uint8_t to_byte(int sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

// One output row of the horizontal pass. Weights are non-negative and sum to 2^22 within rounding, so sums
// fit. A pixel is loaded as 4 bytes, of which the last is the next pixel's; `safe` counts the outputs from
// the left whose every tap can be loaded so without reading past the image's end.
void HorizontalRow(const std::uint8_t* HWY_RESTRICT x, std::uint8_t* HWY_RESTRICT y, int out_width, int safe,
                   const int* HWY_RESTRICT first, const int* HWY_RESTRICT count,
                   const int* HWY_RESTRICT weights, int taps) {
  const hn::CappedTag<std::int32_t, 4> d32;
  const hn::Rebind<std::uint8_t, decltype(d32)> d8;
  if (hn::Lanes(d32) != 4) safe = 0;  // the scalar target
  for (int i = 0; i < safe; ++i) {
    const std::uint8_t* in = x + static_cast<std::ptrdiff_t>(first[i]) * 3;
    const int* w = weights + static_cast<std::ptrdiff_t>(i) * taps;
    auto sum0 = hn::Set(d32, kHalf), sum1 = hn::Zero(d32);
    int k = 0;
    for (; k + 2 <= count[i]; k += 2) {
      sum0 = hn::Add(sum0, hn::Mul(hn::PromoteTo(d32, hn::LoadU(d8, in + 3 * k)), hn::Set(d32, w[k])));
      sum1 =
          hn::Add(sum1, hn::Mul(hn::PromoteTo(d32, hn::LoadU(d8, in + 3 * k + 3)), hn::Set(d32, w[k + 1])));
    }
    if (k < count[i])
      sum0 = hn::Add(sum0, hn::Mul(hn::PromoteTo(d32, hn::LoadU(d8, in + 3 * k)), hn::Set(d32, w[k])));
    alignas(16) std::uint8_t rgbx[4];
    hn::StoreU(hn::DemoteTo(d8, hn::ShiftRight<kFractionBits>(hn::Add(sum0, sum1))), d8, rgbx);
    std::memcpy(y + 3 * i, rgbx, 3);
  }
  for (int i = safe; i < out_width; ++i) {
    const std::uint8_t* in = x + static_cast<std::ptrdiff_t>(first[i]) * 3;
    const int* w = weights + static_cast<std::ptrdiff_t>(i) * taps;
    int r = kHalf, g = kHalf, b = kHalf;
    for (int k = 0; k < count[i]; ++k) {
      r += in[3 * k] * w[k];
      g += in[3 * k + 1] * w[k];
      b += in[3 * k + 2] * w[k];
    }
    y[3 * i] = to_byte(r);
    y[3 * i + 1] = to_byte(g);
    y[3 * i + 2] = to_byte(b);
  }
}

// One output row of the vertical pass: `count` input rows of `bytes` bytes from x, `bytes` apart.
void VerticalRow(const std::uint8_t* HWY_RESTRICT x, std::uint8_t* HWY_RESTRICT y, std::ptrdiff_t bytes,
                 int count, const int* HWY_RESTRICT weights) {
  const hn::ScalableTag<std::int32_t> d32;
  const hn::Rebind<std::uint8_t, decltype(d32)> d8;
  const auto lanes = static_cast<std::ptrdiff_t>(hn::Lanes(d32));
  std::ptrdiff_t i = 0;
  for (; i + lanes <= bytes; i += lanes) {
    auto sum = hn::Set(d32, kHalf);
    for (int k = 0; k < count; ++k)
      sum = hn::Add(sum,
                    hn::Mul(hn::PromoteTo(d32, hn::LoadU(d8, x + k * bytes + i)), hn::Set(d32, weights[k])));
    hn::StoreU(hn::DemoteTo(d8, hn::ShiftRight<kFractionBits>(sum)), d8, y + i);
  }
  for (; i < bytes; ++i) {
    int sum = kHalf;
    for (int k = 0; k < count; ++k) sum += x[k * bytes + i] * weights[k];
    y[i] = to_byte(sum);
  }
}

}  // namespace aikd::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aikd::kernels {
namespace cpu {
HWY_EXPORT(HorizontalRow);
HWY_EXPORT(VerticalRow);
}  // namespace cpu
namespace {

// The filter of one axis: output i = sum over k < count[i] of weights[i * taps + k] * x[first[i] + k].
struct Axis {
  int taps;
  int* first;
  int* count;
  int* weights;
};

double support_of(int in, int out) {
  return std::max(1.0, static_cast<double>(in) / static_cast<double>(out));
}

int taps_of(int in, int out) {
  return static_cast<int>(std::ceil(support_of(in, out))) * 2 + 1;
}

std::size_t axis_ints(int in, int out) {
  return in == out ? 0 : static_cast<std::size_t>(out) * (2 + static_cast<std::size_t>(taps_of(in, out)));
}

// In Pillow's order of operations (precompute_coeffs, normalize_coeffs_8bpc), which decides the last bit.
Axis make_axis(int in, int out, int* memory) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double support = support_of(in, out), inverse = 1.0 / support;
  Axis axis{taps_of(in, out), memory, memory + out, memory + 2 * static_cast<std::ptrdiff_t>(out)};
  const auto triangle = [&](int j, double center) {
    return std::max(0.0, 1.0 - std::abs((j - center + 0.5) * inverse));
  };
  for (int i = 0; i < out; ++i) {
    const double center = (i + 0.5) * scale;
    const int begin = std::max(0, static_cast<int>(center - support + 0.5));
    const int end = std::min(in, static_cast<int>(center + support + 0.5));
    double total = 0;
    for (int j = begin; j < end; ++j) total += triangle(j, center);
    axis.first[i] = begin;
    axis.count[i] = end - begin;
    int* const weights = axis.weights + static_cast<std::ptrdiff_t>(i) * axis.taps;
    for (int j = begin; j < end; ++j) {
      const double weight = total != 0.0 ? triangle(j, center) / total : triangle(j, center);
      weights[j - begin] = static_cast<int>(0.5 + weight * (1 << 22));
    }
  }
  return axis;
}

bool vertical_first(const ResizeDims& dims) {
  const long long shrink_x = static_cast<long long>(dims.in_width) - dims.out_width;
  const long long shrink_y = static_cast<long long>(dims.in_height) - dims.out_height;
  return dims.order == ResizeOrder::kPillow13 && shrink_y > 0 && shrink_y > 2 * shrink_x;
}

// x [rows][in_width][3] -> y [rows][out_width][3]
void horizontal_pass(const Context& ctx, const ResizeDims& dims, int rows, int* memory, const std::uint8_t* x,
                     std::uint8_t* y) {
  const Axis axis = make_axis(dims.in_width, dims.out_width, memory);
  int safe = dims.out_width;  // in the last row only; elsewhere the next row follows
  while (safe > 0 && axis.first[safe - 1] + axis.count[safe - 1] >= dims.in_width) --safe;
  const std::ptrdiff_t in_stride = static_cast<std::ptrdiff_t>(dims.in_width) * 3;
  const std::ptrdiff_t out_stride = static_cast<std::ptrdiff_t>(dims.out_width) * 3;
  parallel_for(ctx, rows, [&](std::ptrdiff_t row, int) {
    HWY_DYNAMIC_DISPATCH(cpu::HorizontalRow)
    (x + row * in_stride, y + row * out_stride, dims.out_width, row + 1 < rows ? dims.out_width : safe,
     axis.first, axis.count, axis.weights, axis.taps);
  });
}

// x [in_height][width][3] -> y [out_height][width][3]
void vertical_pass(const Context& ctx, const ResizeDims& dims, int width, int* memory, const std::uint8_t* x,
                   std::uint8_t* y) {
  const Axis axis = make_axis(dims.in_height, dims.out_height, memory);
  const std::ptrdiff_t stride = static_cast<std::ptrdiff_t>(width) * 3;
  parallel_for(ctx, dims.out_height, [&](std::ptrdiff_t row, int) {
    HWY_DYNAMIC_DISPATCH(cpu::VerticalRow)
    (x + axis.first[row] * stride, y + row * stride, stride, axis.count[row], axis.weights + row * axis.taps);
  });
}

}  // namespace

std::size_t resize_workspace_bytes(const ResizeDims& dims) noexcept {
  const std::size_t ints =
      axis_ints(dims.in_width, dims.out_width) + axis_ints(dims.in_height, dims.out_height);
  const bool both = dims.in_width != dims.out_width && dims.in_height != dims.out_height;
  const int width = vertical_first(dims) ? dims.in_width : dims.out_width;
  const int height = vertical_first(dims) ? dims.out_height : dims.in_height;
  return ints * sizeof(int) +
         (both ? static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3 : 0);
}

void resize_bilinear(const Context& ctx, const ResizeDims& dims, const std::uint8_t* x,
                     std::uint8_t* y) noexcept {
  select_isa_once();
  const bool horizontal = dims.in_width != dims.out_width, vertical = dims.in_height != dims.out_height;
  if (!horizontal && !vertical) {
    std::memcpy(y, x,
                static_cast<std::size_t>(dims.out_width) * static_cast<std::size_t>(dims.out_height) * 3);
    return;
  }
  int* const x_memory = static_cast<int*>(ctx.workspace);
  int* const y_memory = x_memory + axis_ints(dims.in_width, dims.out_width);
  auto* const between =
      reinterpret_cast<std::uint8_t*>(y_memory + axis_ints(dims.in_height, dims.out_height));
  if (!vertical) {
    horizontal_pass(ctx, dims, dims.in_height, x_memory, x, y);
  } else if (!horizontal) {
    vertical_pass(ctx, dims, dims.in_width, y_memory, x, y);
  } else if (vertical_first(dims)) {
    vertical_pass(ctx, dims, dims.in_width, y_memory, x, between);
    horizontal_pass(ctx, dims, dims.out_height, x_memory, between, y);
  } else {
    horizontal_pass(ctx, dims, dims.in_height, x_memory, x, between);
    vertical_pass(ctx, dims, dims.out_width, y_memory, between, y);
  }
}

}  // namespace aikd::kernels
#endif  // HWY_ONCE
