// Change of storage, and of the order of an image's elements. An NHWC image is flattened in the order h, w, c
// as it lies: nothing to do.
#pragma once

#include <cstdint>

#include "kernels/context.h"
#include "kernels/storage.h"

namespace aikd::kernels::cuda {

// y[i] = x[i], x in storage `from`, y in storage `to` (rounded to nearest, ties to even; beyond the range of
// fp16: infinite). Assigns y [count], which does not overlap x. No alignment needed.
void cast(const Context& ctx, Storage from, Storage to, std::int64_t count, const void* x, void* y);

// y[i,j] = j < x_channels ? x[i,j] : 0 for j < y_channels: channels that only pad are added or cut off, and
// the storage changes as in cast. Assigns y [rows,y_channels], which does not overlap x. No alignment needed.
// Element by element: for the three channels of an image and for filters, not for the inside of a network.
void fit_channels(const Context& ctx, Storage from, Storage to, std::int64_t rows, std::int64_t x_channels,
                  const void* x, std::int64_t y_channels, void* y);

// x [n,c,h,w] -> y [n,h,w,c], and back. Bits are moved, not changed. Assigns y, which does not overlap x. No
// alignment needed. Each element is read and written once.
void nchw_to_nhwc(const Context& ctx, Storage storage, std::int64_t n, std::int64_t c, std::int64_t h,
                  std::int64_t w, const void* x, void* y);
void nhwc_to_nchw(const Context& ctx, Storage storage, std::int64_t n, std::int64_t c, std::int64_t h,
                  std::int64_t w, const void* x, void* y);

}  // namespace aikd::kernels::cuda
