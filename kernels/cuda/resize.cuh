// Antialiased bilinear resize of many 8-bit images (kernels/resize.h): one pass along one axis,
//
//   y[i] = clamp((2^21 + sum_{k < count[i]} weights[k][i] x[first[i] + k]) >> 22, 0, 255)
//
// Two launches: the first makes what lies between for images of which both axes change; the second makes
// every result. All integers, so the result depends on nothing else. A block takes its share of one image's
// pixels of the pass: grid x = images * parts, 256 threads. Along rows a thread makes one pixel: per tap
// three bytes (neighbouring threads stand `scale` pixels apart, so a load touches up to `scale` cache lines,
// which stay in the first level for the next taps) and one weight (weights of one tap lie beside each other).
// Down columns it makes four bytes where rows are whole words. Bytes from memory: the source once, the
// picture in between written and read, 3 per result pixel.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/resize.h"

namespace aikd::kernels::cuda {

inline constexpr int kResizeThreads = 256;
inline constexpr int kResizeHalf = 1 << 21;

__device__ __forceinline__ std::uint8_t resize_byte(int sum) {
  const int value = sum >> 22;
  return static_cast<std::uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
}

// Which of the block's threads and parts this is.
struct ResizeShare {
  unsigned begin, step;
};

// x [rows][width][3] -> y [rows][out][3]
__device__ __forceinline__ void resize_rows(const ResizeShare& share, const std::int32_t* filter, int rows,
                                            int width, int out, const std::uint8_t* x, std::uint8_t* y) {
  const auto across = static_cast<unsigned>(out), total = static_cast<unsigned>(rows) * across;
  for (unsigned index = share.begin; index < total; index += share.step) {
    const unsigned row = index / across, i = index - row * across;
    const int first = filter[i], count = filter[across + i];
    const std::int32_t* const weights = filter + 2 * across + i;
    const std::uint8_t* const from = x + (static_cast<std::int64_t>(row) * width + first) * 3;
    int r = kResizeHalf, g = kResizeHalf, b = kResizeHalf;
#pragma unroll 4
    for (int k = 0; k < count; ++k) {
      const int weight = weights[static_cast<unsigned>(k) * across];
      r += from[3 * k] * weight;
      g += from[3 * k + 1] * weight;
      b += from[3 * k + 2] * weight;
    }
    std::uint8_t* const to = y + static_cast<std::int64_t>(index) * 3;
    to[0] = resize_byte(r);
    to[1] = resize_byte(g);
    to[2] = resize_byte(b);
  }
}

// x [...][bytes] -> y [out][bytes], kWidth bytes at a time. filter null: y = x.
template <int kWidth>
__device__ __forceinline__ void resize_columns(const ResizeShare& share, const std::int32_t* filter, int out,
                                               int bytes, const std::uint8_t* x, std::uint8_t* y) {
  const auto across = static_cast<unsigned>(bytes) / kWidth, total = static_cast<unsigned>(out) * across;
  const auto load = [](const std::uint8_t* from) {
    if constexpr (kWidth == 1) {
      return Vec<std::uint8_t, 1>{{*from}};
    } else {
      return load_vec<std::uint8_t, kWidth>(from);
    }
  };
  for (unsigned index = share.begin; index < total; index += share.step) {
    const unsigned row = index / across;
    const std::int64_t byte = static_cast<std::int64_t>(index - row * across) * kWidth;
    Vec<std::uint8_t, kWidth> result;
    if (filter == nullptr) {
      result = load(x + static_cast<std::int64_t>(row) * bytes + byte);
    } else {
      const auto rows = static_cast<unsigned>(out);
      const int first = filter[row], count = filter[rows + row];
      const std::uint8_t* from = x + static_cast<std::int64_t>(first) * bytes + byte;
      Vec<int, kWidth> sums;
#pragma unroll
      for (int e = 0; e < kWidth; ++e) sums.v[e] = kResizeHalf;
#pragma unroll 4
      for (int k = 0; k < count; ++k, from += bytes) {
        const int weight = filter[(2 + static_cast<unsigned>(k)) * rows + row];
        const Vec<std::uint8_t, kWidth> values = load(from);
#pragma unroll
        for (int e = 0; e < kWidth; ++e) sums.v[e] += values.v[e] * weight;
      }
#pragma unroll
      for (int e = 0; e < kWidth; ++e) result.v[e] = resize_byte(sums.v[e]);
    }
    std::uint8_t* const to = y + static_cast<std::int64_t>(row) * bytes + byte;
    if constexpr (kWidth == 1) {
      *to = result.v[0];
    } else {
      store_vec<std::uint8_t, kWidth>(to, result);
    }
  }
}

// `parts` blocks per image. kLast: the pass that makes y; else the first of two, and images with one are left
// out.
template <bool kLast>
__global__ void __launch_bounds__(kResizeThreads)
    resize_pass_kernel(const ResizeJob* jobs, unsigned parts, int out_width, int out_height,
                       std::uint8_t* workspace, std::uint8_t* y) {
  const unsigned image = blockIdx.x / parts;
  const ResizeJob& job = jobs[image];
  const std::int32_t *const x_filter = job.x_filter, *const y_filter = job.y_filter;
  const bool two = x_filter != nullptr && y_filter != nullptr, vertical_first = job.vertical_first != 0;
  if (!two && !kLast) return;
  const bool second = two && kLast;
  const int width = second && !vertical_first ? out_width : job.in_width;
  const int height = second && vertical_first ? out_height : job.in_height;
  const bool along_rows = two ? vertical_first == kLast : x_filter != nullptr;
  std::uint8_t* const between = workspace + job.between;
  const std::uint8_t* const from = second ? between : job.pixels;
  std::uint8_t* const to =
      kLast ? y + static_cast<std::int64_t>(image) * out_height * out_width * 3 : between;
  const ResizeShare share{.begin = (blockIdx.x - image * parts) * kResizeThreads + threadIdx.x,
                          .step = parts * kResizeThreads};
  if (along_rows) {
    resize_rows(share, x_filter, height, width, out_width, from, to);
    return;
  }
  const int bytes = width * 3;
  const auto is_word = [](const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer) % 4 == 0; };
  if (bytes % 4 == 0 && is_word(from) && is_word(to)) {
    resize_columns<4>(share, y_filter, out_height, bytes, from, to);
  } else {
    resize_columns<1>(share, y_filter, out_height, bytes, from, to);
  }
}

}  // namespace aikd::kernels::cuda
