#include "kernels/blocked_conv.h"

#include <algorithm>

#include "kernels/cpu/targets.h"
#include "kernels/isa.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/blocked_conv.cpp"
#include <hwy/foreach_target.h>
//
#include "kernels/cpu/conv_tile-inl.h"
#include "kernels/cpu/epilogue-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
// Tile sizes that are compiled, largest first.
std::int64_t LargestTile(std::int64_t at_most) {
  for (const int size : {14, 7, 6, 4, 3, 2}) {
    if (size <= kLargestTile && size <= at_most) return size;
  }
  return 1;
}

struct TileJob {
  const Conv2dDims* dims;
  const float* image;   // of this image
  const float* packed;  // of this block of output channels
  std::int64_t row;     // p * stride - pad, of the input
  std::int64_t r0, r1;  // taps whose row is inside
  ConvTile tile;
};

// kT pixels of one row; kStep is the stride (any for a tile of one pixel). bias: of each pixel. out: pixels
// are 16 floats apart; block_step: from the first vector of output channels to the second.
template <std::size_t kT, int kStep>
HWY_NOINLINE void Tile(const TileJob& job, const float* const* bias, const Epilogue& epilogue,
                       const float* slope, const float* residual, std::int64_t block_step, float* out) {
  // block_step == 0: there is no second vector of outputs.
  const D d;
  const std::size_t lanes = hn::Lanes(d);
  const Conv2dDims& dims = *job.dims;
  V acc[kT][2];
  AIKD_UNROLL
  for (std::size_t i = 0; i < kT; ++i) {
    acc[i][0] = hn::Load(d, bias[i]);
    acc[i][1] = hn::Load(d, bias[i] + lanes);
  }
  const std::int64_t column = job.tile.q * dims.stride - dims.pad;
  const std::int64_t vector = 2 * static_cast<std::int64_t>(lanes);
  const float* block_weights = job.packed;
  for (std::int64_t c0 = 0; c0 < dims.c; c0 += kBlock) {
    const std::int64_t channels = std::min(kBlock, dims.c - c0);
    const float* w = block_weights + job.r0 * dims.s * channels * vector;
    for (std::int64_t r = job.r0; r < job.r1; ++r) {
      const float* line = job.image + (c0 * dims.h + (job.row + r) * kBlock) * dims.w;
      for (std::int64_t s = 0; s < dims.s; ++s, w += channels * vector) {
        if (s < job.tile.left) {
          if constexpr (kT > 1) Tap<kStep, 1, kT - 1>(line + (column + kStep + s) * kBlock, w, channels, acc);
        } else if (s >= job.tile.right) {
          if constexpr (kT > 1) Tap<kStep, 0, kT - 1>(line + (column + s) * kBlock, w, channels, acc);
        } else {
          Tap<kStep, 0, kT>(line + (column + s) * kBlock, w, channels, acc);
        }
      }
    }
    block_weights += dims.r * dims.s * channels * vector;
  }
  AIKD_UNROLL
  for (std::size_t i = 0; i < kT; ++i) {
    float* y = out + i * static_cast<std::size_t>(kBlock);
    const float* extra = Offset(residual, static_cast<std::int64_t>(i) * kBlock);
    hn::Store(ApplyEpilogue(d, epilogue, slope, extra, acc[i][0]), d, y);
    if (block_step == 0) continue;
    const float* slope1 = Offset(slope, static_cast<std::int64_t>(lanes));
    hn::Store(ApplyEpilogue(d, epilogue, slope1, Offset(extra, block_step), acc[i][1]), d, y + block_step);
  }
}

template <int kStep>
void RunTile(const TileJob& job, const float* const* bias, const Epilogue& epilogue, const float* slope,
             const float* residual, std::int64_t block_step, float* out) {
  switch (job.tile.size) {
    case 14:
      if constexpr (kLargestTile >= 14)
        return Tile<14, kStep>(job, bias, epilogue, slope, residual, block_step, out);
      return;
    case 7:
      if constexpr (kLargestTile >= 7)
        return Tile<7, kStep>(job, bias, epilogue, slope, residual, block_step, out);
      return;
    case 6:
      return Tile<6, kStep>(job, bias, epilogue, slope, residual, block_step, out);
    case 4:
      return Tile<4, kStep>(job, bias, epilogue, slope, residual, block_step, out);
    case 3:
      return Tile<3, kStep>(job, bias, epilogue, slope, residual, block_step, out);
    case 2:
      return Tile<2, kStep>(job, bias, epilogue, slope, residual, block_step, out);
    default:
      return Tile<1, 1>(job, bias, epilogue, slope, residual, block_step, out);
  }
}

// Rows [p0, p1) of one image for one block of output channels.
struct RowsJob {
  const BlockedConv* conv;
  const float* image;
  const float* packed;
  const float* bias;  // of the first output channel of the block
  std::int64_t bias_classes;
  const Epilogue* epilogue;
  const float* slope;
  const float* residual;  // like out
  std::int64_t block_step;
  std::int64_t p0, p1;
  float* out;  // of the first output channel of the block, row 0
};

void ConvRows(const RowsJob& job) {
  const Conv2dDims& dims = job.conv->dims;
  const std::int64_t Q = dims.q(), class_step = padded_parameters(dims.k);
  for (std::int64_t p = job.p0; p < job.p1; ++p) {
    TileJob tile{&dims, job.image, job.packed, p * dims.stride - dims.pad, 0, dims.r, {}};
    tile.r0 = std::max<std::int64_t>(0, -tile.row);
    tile.r1 = std::min(dims.r, dims.h - tile.row);
    const std::int64_t row_class = tile.r0 > 0 ? 0 : tile.r1 < dims.r ? 2 : 1;
    for (const ConvTile& columns : job.conv->tiles) {
      tile.tile = columns;
      const float* bias[kLargestTile];
      for (std::int64_t i = 0; i < columns.size; ++i) {
        std::int64_t column_class = 1;
        if (i == 0 && columns.left > 0) column_class = 0;
        if (i == columns.size - 1 && columns.right < dims.s) column_class = 2;
        bias[i] = job.bias + (job.bias_classes == 1 ? 0 : 3 * row_class + column_class) * class_step;
      }
      const std::int64_t offset = (p * Q + columns.q) * kBlock;
      const auto run = dims.stride == 2 ? &RunTile<2> : &RunTile<1>;
      run(tile, bias, *job.epilogue, job.slope, Offset(job.residual, offset), job.block_step,
          job.out + offset);
    }
  }
}

void BlockedConvolution(const Context& ctx, const BlockedConv& conv, std::int64_t n, const float* x,
                        const float* packed, const float* bias, std::int64_t bias_classes,
                        const Epilogue& epilogue, float* y) {
  const Conv2dDims& dims = conv.dims;
  const std::int64_t P = dims.p(), Q = dims.q(), lanes = static_cast<std::int64_t>(hn::Lanes(D()));
  const std::int64_t padded_k = padded_channels(dims.k),
                     in_floats = padded_channels(dims.c) * dims.h * dims.w;
  const std::int64_t k_blocks = (padded_k + conv.block - 1) / conv.block;
  const std::int64_t filter_floats = conv.block * dims.r * dims.s * dims.c;
  // Where blocks of filters times images do not divide among the threads, their rows do, nearly. Filters are
  // outermost, so that a thread keeps one block of them in its cache.
  const std::int64_t pieces = k_blocks * n % ctx.threads() == 0 ? 1 : P;
  // From one vector of 16 lanes to the next is the next block of channels; shorter vectors stay inside a
  // block.
  const std::int64_t block_step = lanes == kBlock ? P * Q * kBlock : lanes;
  parallel_for(ctx, k_blocks * n * pieces, [&](std::ptrdiff_t task, int) {
    const std::int64_t piece = task % pieces, image = task / pieces % n, kb = task / pieces / n;
    const std::int64_t k0 = kb * conv.block;
    const std::int64_t offset = image * padded_k * P * Q + k0 / kBlock * P * Q * kBlock + k0 % kBlock;
    ConvRows({&conv, x + image * in_floats, packed + kb * filter_floats, bias + k0, bias_classes, &epilogue,
              Offset(epilogue.slope, k0), Offset(epilogue.residual, offset),
              k0 + lanes < padded_k ? block_step : 0, P * piece / pieces, P * (piece + 1) / pieces,
              y + offset});
  });
}

}  // namespace aikd::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aikd::kernels {

bool border_classes_suffice(const Conv2dDims& dims) {
  if (dims.r != 3 || dims.s != 3 || dims.pad != 1) return false;
  return dims.h >= 2 && dims.w >= 2;
}

namespace cpu {
HWY_EXPORT(ConvBlock);
HWY_EXPORT(LargestTile);
HWY_EXPORT(BlockedConvolution);

namespace {

// The tile of `size` pixels from column q on, or one whose size is 0 when its border needs more than one
// pixel left out per tap.
ConvTile make_tile(const Conv2dDims& dims, std::int64_t q, std::int64_t size) {
  ConvTile tile{static_cast<std::int32_t>(q), static_cast<std::int32_t>(size), 0,
                static_cast<std::int32_t>(dims.s)};
  for (std::int64_t s = 0; s < dims.s; ++s) {
    std::int64_t before = 0, beyond = 0;
    for (std::int64_t i = 0; i < size; ++i) {
      const std::int64_t column = (q + i) * dims.stride - dims.pad + s;
      if (column < 0) ++before;
      if (column >= dims.w) ++beyond;
    }
    if (before > 1 || beyond > 1 || (before + beyond > 1)) return {};
    if (before == 1) tile.left = static_cast<std::int32_t>(s + 1);
    if (beyond == 1) tile.right = std::min(tile.right, static_cast<std::int32_t>(s));
  }
  return tile;
}

}  // namespace

BlockedConv prepare_blocked_conv(const Conv2dDims& dims) {
  select_isa_once();
  BlockedConv conv{dims, {}, HWY_DYNAMIC_DISPATCH(ConvBlock)()};
  for (std::int64_t q = 0; q < dims.q();) {
    std::int64_t size = dims.stride <= 2 ? HWY_DYNAMIC_DISPATCH(LargestTile)(dims.q() - q) : 1;
    ConvTile tile = make_tile(dims, q, size);
    while (tile.size == 0) {
      size = HWY_DYNAMIC_DISPATCH(LargestTile)(size - 1);
      tile = make_tile(dims, q, size);
    }
    conv.tiles.push_back(tile);
    q += size;
  }
  return conv;
}

std::size_t packed_filter_floats(const BlockedConv& conv) {
  const Conv2dDims& dims = conv.dims;
  const std::int64_t blocks = (padded_channels(dims.k) + conv.block - 1) / conv.block;
  return static_cast<std::size_t>(blocks * conv.block * dims.r * dims.s * dims.c);
}

void pack_filters(const BlockedConv& conv, const float* weight, float* packed) {
  const Conv2dDims& dims = conv.dims;
  for (std::int64_t k0 = 0; k0 < padded_channels(dims.k); k0 += conv.block) {
    for (std::int64_t c0 = 0; c0 < dims.c; c0 += kBlock) {
      const std::int64_t channels = std::min(kBlock, dims.c - c0);
      for (std::int64_t tap = 0; tap < dims.r * dims.s; ++tap) {
        for (std::int64_t c = c0; c < c0 + channels; ++c) {
          for (std::int64_t k = k0; k < k0 + conv.block; ++k)
            *packed++ = k < dims.k ? weight[(k * dims.r * dims.s + tap) * dims.c + c] : 0.0F;
        }
      }
    }
  }
}

void blocked_conv(const Context& ctx, const BlockedConv& conv, std::int64_t n, const float* x,
                  const float* packed, const float* bias, std::int64_t bias_classes, const Epilogue& epilogue,
                  float* y) {
  HWY_DYNAMIC_DISPATCH(BlockedConvolution)(ctx, conv, n, x, packed, bias, bias_classes, epilogue, y);
}

}  // namespace cpu
}  // namespace aikd::kernels
#endif
