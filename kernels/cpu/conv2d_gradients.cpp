// The blocked convolution as training needs it: on NHWC tensors, filters packed per call, and turned for the
// data gradient.
#include "kernels/conv2d_gradients.h"

#include <algorithm>

#include "kernels/blocked_conv.h"
#include "kernels/cpu/blocked_copy.h"
#include "kernels/cpu/targets.h"
#include "kernels/isa.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/conv2d_gradients.cpp"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// to[c * to_step + k] = from[k * from_step + c] for `rows` k and `columns` c, four by four.
void Transpose(std::int64_t rows, std::int64_t columns, const float* from, std::int64_t from_step, float* to,
               std::int64_t to_step) {
  std::int64_t k = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::FixedTag<float, 4> d;
  const hn::RepartitionToWide<decltype(d)> pairs;
  for (; k + 4 <= rows && columns % 4 == 0; k += 4) {
    const float* row = from + k * from_step;
    for (std::int64_t c = 0; c < columns; c += 4, row += 4) {
      const auto r0 = hn::LoadU(d, row), r1 = hn::LoadU(d, row + from_step),
                 r2 = hn::LoadU(d, row + 2 * from_step), r3 = hn::LoadU(d, row + 3 * from_step);
      const auto a = hn::BitCast(pairs, hn::InterleaveLower(d, r0, r1)),
                 b = hn::BitCast(pairs, hn::InterleaveLower(d, r2, r3)),
                 e = hn::BitCast(pairs, hn::InterleaveUpper(d, r0, r1)),
                 f = hn::BitCast(pairs, hn::InterleaveUpper(d, r2, r3));
      float* const out = to + c * to_step + k;
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, a, b)), d, out);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, a, b)), d, out + to_step);
      hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, e, f)), d, out + 2 * to_step);
      hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, e, f)), d, out + 3 * to_step);
    }
  }
#endif
  for (; k < rows; ++k)
    for (std::int64_t c = 0; c < columns; ++c) to[c * to_step + k] = from[k * from_step + c];
}

}  // namespace aikd::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aikd::kernels::cpu {
HWY_EXPORT(Transpose);

namespace {

// Where the taps (t, u) of a convolution come from: tap (first_r + t step, first_s + u step) of the given
// filters, which have `columns` taps per row and `taps` in all.
struct TapMap {
  std::int64_t first_r = 0, first_s = 0, step = 1, columns = 1, taps = 1;
  std::int64_t at(std::int64_t t, std::int64_t u) const {
    return (first_r + t * step) * columns + first_s + u * step;
  }
};

// The filters of `conv` packed as pack_filters() does, by all threads. weight: [conv k][taps][conv c], or,
// `turned`, [conv c][taps][conv k].
void pack(const Context& ctx, const BlockedConv& conv, const TapMap& map, const float* weight, bool turned,
          float* packed) {
  const Conv2dDims& m = conv.dims;
  const std::int64_t taps = m.r * m.s, per_block = conv.block * taps * m.c, c_blocks = blocks_of(m.c);
  const std::int64_t k_blocks = (padded_channels(m.k) + conv.block - 1) / conv.block;
  const auto transpose = HWY_DYNAMIC_DISPATCH(Transpose);
  parallel_for(ctx, k_blocks * c_blocks, [&](std::ptrdiff_t task, int) {
    const std::int64_t k0 = task / c_blocks * conv.block, c0 = task % c_blocks * kBlock;
    const std::int64_t channels = std::min(kBlock, m.c - c0);
    const std::int64_t outputs = std::clamp<std::int64_t>(m.k - k0, 0, conv.block);
    float* to = packed + k0 / conv.block * per_block + c0 * taps * conv.block;
    for (std::int64_t tap = 0; tap < taps; ++tap, to += channels * conv.block) {
      const std::int64_t source = map.at(tap / m.s, tap % m.s);
      if (outputs < conv.block) std::fill_n(to, channels * conv.block, 0.0F);
      if (!turned) {
        transpose(outputs, channels, weight + (k0 * map.taps + source) * m.c + c0, map.taps * m.c, to,
                  conv.block);
        continue;
      }
      for (std::int64_t c = 0; c < channels; ++c)
        std::copy_n(weight + ((c0 + c) * map.taps + source) * m.k + k0, outputs, to + c * conv.block);
    }
  });
}

// One convolution by the blocked kernel: dims of the convolution itself (n, h, w, ...), and how its pixels
// meet those of the NHWC tensors.
struct Job {
  Conv2dDims dims;
  PixelMap in, out;
  TapMap taps;
  bool turned = false;
};

std::size_t job_floats(const Conv2dDims& dims) {
  const BlockedConv conv = prepare_blocked_conv(dims);
  return blocked_floats(dims.n, dims.h * dims.w, dims.c) +
         blocked_floats(dims.n, dims.p() * dims.q(), dims.k) +
         piece_floats(static_cast<std::int64_t>(packed_filter_floats(conv))) +
         piece_floats(padded_parameters(dims.k));
}

void run_job(const Context& ctx, const Job& job, const float* x, const float* weight, const float* bias,
             float* y) {
  const Conv2dDims& dims = job.dims;
  const BlockedConv conv = prepare_blocked_conv(dims);
  Pieces pieces(ctx);
  float* const in = pieces.take(blocked_floats(dims.n, dims.h * dims.w, dims.c));
  float* const out = pieces.take(blocked_floats(dims.n, dims.p() * dims.q(), dims.k));
  float* const packed = pieces.take(piece_floats(static_cast<std::int64_t>(packed_filter_floats(conv))));
  float* const biases = pieces.take(piece_floats(padded_parameters(dims.k)));
  to_blocked(ctx, dims.n, dims.c, job.in, x, in);
  pack(ctx, conv, job.taps, weight, job.turned, packed);
  std::fill_n(biases, padded_parameters(dims.k), 0.0F);
  if (bias != nullptr) std::copy_n(bias, dims.k, biases);
  blocked_conv(ctx, conv, dims.n, in, packed, biases, 1, Epilogue(), out);
  from_blocked(ctx, dims.n, dims.k, job.out, out, y);
}

Job forward_job(const Conv2dDims& dims) {
  return {.dims = dims,
          .in = same_pixels(dims.h, dims.w),
          .out = same_pixels(dims.p(), dims.q()),
          .taps = {.columns = dims.s, .taps = dims.r * dims.s}};
}

// Along one side, the pixels first, first + stride, ... of dx: `count` of them, which meet the taps
// first_tap, first_tap + stride, ... (`taps` of them). Pixel i and tap t meet the output i + last - t.
struct Class {
  std::int64_t count, taps, first_tap, last;
};
Class class_of(std::int64_t first, std::int64_t size, std::int64_t filter, std::int64_t stride,
               std::int64_t pad) {
  const std::int64_t tap = (first + pad) % stride;
  return {.count = first < size ? (size - first + stride - 1) / stride : 0,
          .taps = tap < filter ? (filter - tap + stride - 1) / stride : 0,
          .first_tap = tap,
          .last = (first + pad - tap) / stride};
}

// The gradient of pixels (first_h + i stride, first_w + j stride) as a convolution of dy, its border of zeros
// made by the copy, with the turned taps of their class. k of its dims is 0 where there is nothing to sum.
Job data_job(const Conv2dDims& dims, std::int64_t first_h, std::int64_t first_w) {
  const Class a = class_of(first_h, dims.h, dims.r, dims.stride, dims.pad),
              b = class_of(first_w, dims.w, dims.s, dims.stride, dims.pad);
  Job job;
  job.dims = {.n = dims.n,
              .h = a.count + a.taps - 1,
              .w = b.count + b.taps - 1,
              .c = dims.k,
              .k = a.count * b.count * a.taps * b.taps == 0 ? 0 : dims.c,
              .r = a.taps,
              .s = b.taps};
  job.in = {.h = job.dims.h,
            .w = job.dims.w,
            .other_h = dims.p(),
            .other_w = dims.q(),
            .first_y = a.last - (a.taps - 1),
            .first_x = b.last - (b.taps - 1)};
  job.out = {.h = a.count,
             .w = b.count,
             .other_h = dims.h,
             .other_w = dims.w,
             .first_y = first_h,
             .first_x = first_w,
             .step = dims.stride};
  job.taps = {.first_r = a.first_tap + (a.taps - 1) * dims.stride,
              .first_s = b.first_tap + (b.taps - 1) * dims.stride,
              .step = -dims.stride,
              .columns = dims.s,
              .taps = dims.r * dims.s};
  job.turned = true;
  // With a stride of 1 and a square filter the blocked convolution knows the border: it skips it.
  if (dims.stride == 1 && dims.r == dims.s && dims.pad < dims.r) {
    job.dims.h = dims.p();
    job.dims.w = dims.q();
    job.dims.pad = dims.r - 1 - dims.pad;
    job.in = same_pixels(dims.p(), dims.q());
  }
  return job;
}

template <class Visit>
void for_each_class(const Conv2dDims& dims, const Visit& visit) {
  for (std::int64_t h = 0; h < std::min(dims.stride, dims.h); ++h)
    for (std::int64_t w = 0; w < std::min(dims.stride, dims.w); ++w) visit(data_job(dims, h, w));
}

}  // namespace

std::size_t conv2d_train_workspace_bytes(const Conv2dDims& dims) {
  return job_floats(dims) * sizeof(float);
}

void conv2d_train(const Context& ctx, const Conv2dDims& dims, const float* x, const float* weight,
                  const float* bias, float* y) {
  run_job(ctx, forward_job(dims), x, weight, bias, y);
}

std::size_t conv2d_data_gradient_workspace_bytes(const Conv2dDims& dims) {
  std::size_t floats = 0;
  for_each_class(dims, [&](const Job& job) {
    if (job.dims.k > 0) floats = std::max(floats, job_floats(job.dims));
  });
  return floats * sizeof(float);
}

void conv2d_data_gradient(const Context& ctx, const Conv2dDims& dims, const float* dy, const float* weight,
                          float* dx) {
  bool all = true;
  for_each_class(dims, [&](const Job& job) { all = all && job.dims.k > 0; });
  if (!all) {  // pixels that no output saw
    const std::int64_t row = dims.w * dims.c;
    parallel_for(ctx, dims.n * dims.h, [&](std::ptrdiff_t i, int) { std::fill_n(dx + i * row, row, 0.0F); });
  }
  for_each_class(dims, [&](const Job& job) {
    if (job.dims.k > 0) run_job(ctx, job, dy, weight, nullptr, dx);
  });
}

}  // namespace aikd::kernels::cpu
#endif
