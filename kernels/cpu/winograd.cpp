// Winograd's F(4x4, 3x3). A round takes some tiles of the batch through three passes:
//
//   1. V[36][c/16][tile][16] = B^T d B            threads share (tile, block of 16 channels)
//   2. M[36][tile][block] = sum over c of V U      threads share (block of output channels, panel of tiles)
//   3. Y = A^T M A + bias, epilogue                by the thread that made M, while it is in its cache
//
// In pass 2 the filters of some channels are transformed, U[36][c][block] = G g G^T, and used while they are
// in the second-level cache. Read from memory as U they would be four times as much: 783 MB for one image
// through iResNet-100. The transform takes 36 stores and 63 additions per vector of filters, which are then
// multiplied with 30 to 36 numbers of each tile's.
#include "kernels/winograd.h"

#include <algorithm>
#include <utility>

#include "kernels/cpu/targets.h"
#include "kernels/isa.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/winograd.cpp"
#include <hwy/foreach_target.h>
//
#include <hwy/cache_control.h>

#include "kernels/cpu/conv_tile-inl.h"
#include "kernels/cpu/epilogue-inl.h"
#include "kernels/cpu/winograd_transforms-inl.h"

#ifndef AIKD_KERNELS_CPU_WINOGRAD_ONCE
#define AIKD_KERNELS_CPU_WINOGRAD_ONCE
namespace aikd::kernels::cpu {

// How one axis is cut: `full` tiles of four outputs, then perhaps one of fewer, by F(rest, 3).
struct WinogradAxis {
  std::int64_t full, part;  // tiles
  int rest;                 // 3; 2 for one or two outputs left; 4 where none are
  explicit WinogradAxis(std::int64_t extent)
      : full(extent / kWinogradOut),
        part(extent % kWinogradOut == 0 ? 0 : 1),
        rest(part == 0                    ? 4
             : extent % kWinogradOut == 3 ? 3
                                          : 2) {}
  std::int64_t tiles() const { return full + part; }
};

struct WinogradTile {
  std::int64_t image, row, column;  // its first output
  int row_outputs, column_outputs;  // m of F(m, 3)
};

// Some rows of tiles of the batch, one after the other. Its tiles are numbered so that those which have a
// point follow each other, whatever the point:
//   [full row, part column] [full row, full column] [part row, full column] [part row, part column]
struct WinogradPanel {
  WinogradAxis rows, columns;  // of an image
  std::int64_t first_full, full, first_part, part;

  WinogradPanel(const Conv2dDims& d, std::int64_t first, std::int64_t last) : rows(d.h), columns(d.w) {
    const auto fulls = [&](std::int64_t row) {
      return row / rows.tiles() * rows.full + std::min(row % rows.tiles(), rows.full);
    };
    first_full = fulls(first);
    full = fulls(last) - first_full;
    first_part = first - first_full;
    part = last - first - full;
  }
  std::int64_t tiles() const { return (full + part) * columns.tiles(); }
  // The tiles [first, last) that have the point (i, j).
  std::int64_t first(int j) const { return winograd_has_point(columns.rest, j) ? 0 : full * columns.part; }
  std::int64_t last(int i, int j) const {
    if (!winograd_has_point(rows.rest, i)) return full * columns.tiles();
    return tiles() - (winograd_has_point(columns.rest, j) ? 0 : part * columns.part);
  }
  WinogradTile tile(std::int64_t t) const {
    const std::int64_t edge = full * columns.part, inner = edge + full * columns.full,
                       below = inner + part * columns.full;
    const bool in_full_row = t < inner, in_part_column = t < edge || t >= below;
    const std::int64_t since = t < edge ? t : t < inner ? t - edge : t < below ? t - inner : t - below;
    const std::int64_t row = in_part_column ? since : since / columns.full,
                       column = in_part_column ? columns.full : since % columns.full;
    const std::int64_t at = in_full_row ? first_full + row : first_part + row,
                       per_image = in_full_row ? rows.full : 1;
    return {at / per_image, (in_full_row ? at % per_image : rows.full) * kWinogradOut, column * kWinogradOut,
            in_full_row ? 4 : rows.rest, in_part_column ? columns.rest : 4};
  }
};

// What a round works on.
struct WinogradPlan {
  std::int64_t rows;                       // of tiles, of the batch
  std::int64_t panels, segments;           // of the batch; of a round, which its threads take
  std::int64_t tiles;                      // in a panel, at most
  std::int64_t channels;                   // whose filters are transformed at once
  std::int64_t v_plane, u_plane, m_plane;  // floats from one of the 36 points to the next

  WinogradPlan(const Conv2dDims& d, std::int64_t n, int threads, std::int64_t block) {
    const WinogradAxis columns(d.w);
    rows = n * WinogradAxis(d.h).tiles();
    // V in about 2 MiB, so that it stays in the caches of two cores; U is read once a panel.
    const std::int64_t most =
        std::clamp<std::int64_t>((std::int64_t{1} << 19) / (kWinogradPoints * d.c), 28, 112);
    panels = std::clamp<std::int64_t>((rows * columns.tiles() + most / 2) / most, 1, rows);
    const std::int64_t k_blocks = (padded_channels(d.k) + block - 1) / block;
    segments = 1;
    if (k_blocks < 2 * threads && k_blocks % threads != 0) {
      segments = std::min<std::int64_t>(threads, rows);
      panels = std::min(rows, (panels + segments - 1) / segments * segments);
    }
    tiles = (rows + panels - 1) / panels * columns.tiles();
    // An odd number of cache lines: planes a power of two apart would fall on the same lines of the cache.
    const auto odd_lines = [](std::int64_t floats) { return ((floats + 15) / 16 | 1) * 16; };
    v_plane = odd_lines(blocks_of(d.c) * tiles * kBlock);
    channels = std::min<std::int64_t>(d.c, 64);
    u_plane = odd_lines(channels * block);
    m_plane = odd_lines(tiles * block);
  }
  WinogradPanel panel(const Conv2dDims& d, std::int64_t index) const {
    return {d, rows * index / panels, rows * (index + 1) / panels};
  }
  std::size_t v_floats() const { return static_cast<std::size_t>(kWinogradPoints * v_plane); }  // of a panel
  std::size_t u_floats() const { return static_cast<std::size_t>(kWinogradPoints * u_plane); }  // of a thread
  std::size_t m_floats() const { return static_cast<std::size_t>(kWinogradPoints * m_plane); }
  std::size_t floats(int threads) const {
    return static_cast<std::size_t>(segments) * v_floats() +
           static_cast<std::size_t>(threads) * (u_floats() + m_floats());
  }
};

struct WinogradJob {
  const Conv2dDims* dims;
  const WinogradPlan* plan;
  const float* x;
  const float* packed;
  const float* bias;
  std::int64_t bias_classes;
  const Epilogue* epilogue;
  float* y;
  float* v;                   // of `segments` panels
  float* um;                  // U and M of all threads
  std::int64_t begin, count;  // panels of this round
};

}  // namespace aikd::kernels::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Pass 1 for one tile and 16 channels: from is the block's image, to the tile's place at the first point.
template <int kRows, int kColumns>
void InputTile(const WinogradJob& job, const WinogradTile& tile, const float* from, float* to) {
  const D d;
  const Conv2dDims& dims = *job.dims;
  const std::int64_t row = tile.row - 1, column = tile.column - 1;
  for (std::size_t lane = 0; lane < static_cast<std::size_t>(kBlock); lane += hn::Lanes(d)) {
    V t[kWinogradIn][kWinogradIn];  // [column][row], so that the second transform takes one column at a time
    for (int i = 0; i < kRows + 2; ++i) {
      const bool inside = row + i >= 0 && row + i < dims.h;
      const float* const line = from + ((row + i) * dims.w + column) * kBlock + lane;
      V p[kWinogradIn];
      for (int j = 0; j < kColumns + 2; ++j)
        p[j] =
            inside && column + j >= 0 && column + j < dims.w ? hn::Load(d, line + j * kBlock) : hn::Zero(d);
      InputRow<kColumns>(p);
      for (int j = 0; j < kWinogradIn; ++j)
        if (winograd_has_point(kColumns, j)) t[j][i] = p[j];
    }
    for (int j = 0; j < kWinogradIn; ++j) {
      if (!winograd_has_point(kColumns, j)) continue;
      InputRow<kRows>(t[j]);
      for (int i = 0; i < kWinogradIn; ++i)
        if (winograd_has_point(kRows, i))
          hn::Store(t[j][i], d, to + (i * kWinogradIn + j) * job.plan->v_plane + lane);
    }
  }
}

// Pass 3 for one tile and `lanes` output channels from k on: m is the first point's.
template <int kRows, int kColumns>
void OutputTile(const WinogradJob& job, const WinogradTile& tile, std::int64_t k, const float* m) {
  const D d;
  const Conv2dDims& dims = *job.dims;
  V t[kWinogradOut][kWinogradIn];
  for (int j = 0; j < kWinogradIn; ++j) {
    if (!winograd_has_point(kColumns, j)) continue;
    V p[kWinogradIn], y[kWinogradOut];
    for (int i = 0; i < kWinogradIn; ++i)
      if (winograd_has_point(kRows, i)) p[i] = hn::Load(d, m + (i * kWinogradIn + j) * job.plan->m_plane);
    OutputRow<kRows>(p, y);
    for (int i = 0; i < kRows; ++i) t[i][j] = y[i];
  }
  const std::int64_t base =
      ((tile.image * blocks_of(dims.k) + k / kBlock) * dims.h * dims.w) * kBlock + k % kBlock;
  const float* const slope = Offset(job.epilogue->slope, k);
  const std::int64_t class_step = padded_parameters(dims.k);
  for (std::int64_t i = 0; i < std::min<std::int64_t>(kRows, dims.h - tile.row); ++i) {
    const std::int64_t p = tile.row + i, row_class = p == 0 ? 0 : p == dims.h - 1 ? 2 : 1;
    V y[kWinogradOut];
    OutputRow<kColumns>(t[i], y);
    for (std::int64_t j = 0; j < std::min<std::int64_t>(kColumns, dims.w - tile.column); ++j) {
      const std::int64_t q = tile.column + j, column_class = q == 0 ? 0 : q == dims.w - 1 ? 2 : 1;
      const float* const bias =
          job.bias + (job.bias_classes == 1 ? 0 : (3 * row_class + column_class) * class_step) + k;
      const std::int64_t offset = base + (p * dims.w + q) * kBlock;
      hn::Store(ApplyEpilogue(d, *job.epilogue, slope, Offset(job.epilogue->residual, offset),
                              hn::Add(y[j], hn::Load(d, bias))),
                d, job.y + offset);
    }
  }
}

// The transforms for the tile's m of either axis: table[rows][columns], each 2, 3 or 4.
using InputFunction = void (*)(const WinogradJob&, const WinogradTile&, const float*, float*);
using OutputFunction = void (*)(const WinogradJob&, const WinogradTile&, std::int64_t, const float*);

InputFunction InputOf(const WinogradTile& tile) {
  static constexpr InputFunction kTable[3][3] = {{InputTile<2, 2>, InputTile<2, 3>, InputTile<2, 4>},
                                                 {InputTile<3, 2>, InputTile<3, 3>, InputTile<3, 4>},
                                                 {InputTile<4, 2>, InputTile<4, 3>, InputTile<4, 4>}};
  return kTable[tile.row_outputs - 2][tile.column_outputs - 2];
}

OutputFunction OutputOf(const WinogradTile& tile) {
  static constexpr OutputFunction kTable[3][3] = {{OutputTile<2, 2>, OutputTile<2, 3>, OutputTile<2, 4>},
                                                  {OutputTile<3, 2>, OutputTile<3, 3>, OutputTile<3, 4>},
                                                  {OutputTile<4, 2>, OutputTile<4, 3>, OutputTile<4, 4>}};
  return kTable[tile.row_outputs - 2][tile.column_outputs - 2];
}

// U of the channels [first, last) for one block of output channels, whose filters (pack_filters) are at
// `packed`.
void TransformFilters(const float* packed, std::int64_t first, std::int64_t last, std::int64_t u_plane,
                      float* u) {
  const D d;
  const std::int64_t block = ConvBlock(), lanes = block / 2, tap = kBlock * block;
  for (std::int64_t c = first; c < last; ++c, u += block) {
    const float* const g = packed + c / kBlock * 9 * tap + c % kBlock * block;
    for (std::int64_t lane = 0; lane < block; lane += lanes) {
      V columns[3][kWinogradIn];
      for (std::int64_t s = 0; s < 3; ++s)
        FilterRow(hn::Load(d, g + s * tap + lane), hn::Load(d, g + (3 + s) * tap + lane),
                  hn::Load(d, g + (6 + s) * tap + lane), columns[s]);
      for (int i = 0; i < kWinogradIn; ++i) {
        V row[kWinogradIn];
        FilterRow(columns[0][i], columns[1][i], columns[2][i], row);
        for (int j = 0; j < kWinogradIn; ++j)
          hn::Store(row[j], d, u + (i * kWinogradIn + j) * u_plane + lane);
      }
    }
  }
}

struct MultiplyJob {
  const float* v;
  std::int64_t v_step;    // from one block of 16 channels to the next
  std::int64_t channels;  // a multiple of 16
  const float* u;
  float* m;
  bool adds;                // to what is in m
  const char* ahead;        // the next filters to be transformed, fetched meanwhile
  std::int64_t ahead_step;  // bytes per channel
};

// Filters come from memory while others are multiplied with: iResNet-100 takes 94 to 105 ms at batch 1
// instead of 115 to 123.
struct FetchAhead {
  const char* at;
  std::int64_t step;
  HWY_INLINE void operator()() {
    hwy::Prefetch(at);
    at += step;
  }
};

// kT tiles of one point: m [kT][block] = sum over channels of v u.
template <std::size_t kT>
HWY_NOINLINE void Multiply(const MultiplyJob& job) {
  const D d;
  const std::size_t lanes = hn::Lanes(d);
  V sum[kT][2];
  if (job.adds) {
    AIKD_UNROLL
    for (std::size_t i = 0; i < kT; ++i) {
      sum[i][0] = hn::Load(d, job.m + i * 2 * lanes);
      sum[i][1] = hn::Load(d, job.m + i * 2 * lanes + lanes);
    }
  } else {
    AIKD_UNROLL
    for (std::size_t i = 0; i < kT; ++i) sum[i][0] = sum[i][1] = hn::Zero(d);
  }
  const float *v = job.v, *u = job.u;
  FetchAhead fetch{job.ahead, job.ahead_step};
  for (std::int64_t c = 0; c < job.channels; c += kBlock, v += job.v_step, u += kBlock * 2 * lanes)
    Tap<1, 0, kT>(v, u, kBlock, sum, fetch);
  AIKD_UNROLL
  for (std::size_t i = 0; i < kT; ++i) {
    hn::Store(sum[i][0], d, job.m + i * 2 * lanes);
    hn::Store(sum[i][1], d, job.m + i * 2 * lanes + lanes);
  }
}

template <std::size_t... kI>
auto MultiplyOf(std::int64_t tiles, std::index_sequence<kI...>) {
  static constexpr void (*kTable[])(const MultiplyJob&) = {Multiply<kI + 1>...};
  return kTable[tiles - 1];
}

// `tiles` of one point, in as few pieces as registers allow, all nearly as large: each piece reads all
// filters. `bytes` are fetched from job.ahead on.
void MultiplyTiles(MultiplyJob job, std::int64_t tiles, std::int64_t bytes) {
  if (tiles == 0) return;
  const std::int64_t pieces = (tiles + kLargestTile - 1) / kLargestTile;
  job.ahead_step = bytes / (pieces * job.channels);
  for (std::int64_t i = 0; i < pieces; ++i) {
    MultiplyJob piece = job;
    const std::int64_t first = tiles * i / pieces, count = tiles * (i + 1) / pieces - first;
    piece.v += first * kBlock;
    piece.m += first * ConvBlock();
    piece.ahead += bytes * i / pieces;
    MultiplyOf(count, std::make_index_sequence<kLargestTile>())(piece);
  }
}

// Passes 2 and 3 for block kb of output channels and one panel.
void MultiplyPanel(const WinogradJob& job, std::int64_t kb, const WinogradPanel& panel, const float* v,
                   float* u, float* m) {
  const Conv2dDims& dims = *job.dims;
  const WinogradPlan& plan = *job.plan;
  const std::int64_t block = ConvBlock(), padded_k = padded_channels(dims.k);
  const float* const packed = job.packed + kb * 9 * dims.c * block;
  for (std::int64_t c = 0; c < dims.c; c += plan.channels) {
    const std::int64_t channels = std::min(plan.channels, dims.c - c), bytes = 9 * channels * block * 4;
    TransformFilters(packed, c, c + channels, plan.u_plane, u);
    for (int point = 0; point < kWinogradPoints; ++point) {
      const int i = point / kWinogradIn, j = point % kWinogradIn;
      const std::int64_t first = panel.first(j), last = panel.last(i, j);
      // What follows these filters in memory is what is needed next, also from block to block.
      const char* const ahead = reinterpret_cast<const char*>(packed + 9 * (c + channels) * block) +
                                bytes * point / kWinogradPoints;
      MultiplyTiles(
          {v + point * plan.v_plane + (c / kBlock * plan.tiles + first) * kBlock, plan.tiles * kBlock,
           channels, u + point * plan.u_plane, m + point * plan.m_plane + first * block, c > 0, ahead, 0},
          last - first, bytes / kWinogradPoints);
    }
  }
  for (std::int64_t t = 0; t < panel.tiles(); ++t) {
    const WinogradTile tile = panel.tile(t);
    for (std::int64_t k = kb * block; k < std::min(padded_k, (kb + 1) * block); k += block / 2)
      OutputOf(tile)(job, tile, k, m + t * block + k - kb * block);
  }
}

std::int64_t WinogradBlock() {
  return ConvBlock();
}

void WinogradRound(const Context& ctx, const WinogradJob& job) {
  const Conv2dDims& dims = *job.dims;
  const WinogradPlan& plan = *job.plan;
  const std::int64_t c_blocks = blocks_of(dims.c), padded_k = padded_channels(dims.k), block = ConvBlock(),
                     k_blocks = (padded_k + block - 1) / block;
  parallel_for(ctx, job.count * plan.tiles * c_blocks, [&](std::ptrdiff_t task, int) {
    const std::int64_t segment = task / (plan.tiles * c_blocks), c = task / plan.tiles % c_blocks,
                       t = task % plan.tiles;
    const WinogradPanel panel = plan.panel(dims, job.begin + segment);
    if (t >= panel.tiles()) return;
    const WinogradTile tile = panel.tile(t);
    InputOf(tile)(
        job, tile, job.x + (tile.image * c_blocks + c) * dims.h * dims.w * kBlock,
        job.v + static_cast<std::size_t>(segment) * plan.v_floats() + (c * plan.tiles + t) * kBlock);
  });
  parallel_for(ctx, k_blocks * job.count, [&](std::ptrdiff_t task, int thread) {
    const std::int64_t kb = task / job.count, segment = task % job.count;
    float* const u = job.um + static_cast<std::size_t>(thread) * (plan.u_floats() + plan.m_floats());
    MultiplyPanel(job, kb, plan.panel(dims, job.begin + segment),
                  job.v + static_cast<std::size_t>(segment) * plan.v_floats(), u, u + plan.u_floats());
  });
}

}  // namespace aikd::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aikd::kernels {

bool winograd_fits(const Conv2dDims& d) {
  return d.r == 3 && d.s == 3 && d.stride == 1 && d.pad == 1 && d.c % kBlock == 0 && d.k % kBlock == 0 &&
         d.h >= 4 && d.w >= 4;
}

namespace cpu {
HWY_EXPORT(WinogradBlock);
HWY_EXPORT(WinogradRound);

namespace {

std::int64_t block_of() {
  select_isa_once();
  return HWY_DYNAMIC_DISPATCH(WinogradBlock)();
}

}  // namespace

std::size_t winograd_workspace_bytes(const Conv2dDims& dims, std::int64_t n, int threads) {
  const WinogradPlan plan(dims, n, threads, block_of());
  return plan.floats(threads) * sizeof(float);
}

void winograd_conv(const Context& ctx, const Conv2dDims& dims, std::int64_t n, const float* x,
                   const float* packed, const float* bias, std::int64_t bias_classes,
                   const Epilogue& epilogue, float* y) {
  const WinogradPlan plan(dims, n, ctx.threads(), block_of());
  auto* const v = static_cast<float*>(ctx.workspace);
  float* const um = v + static_cast<std::size_t>(plan.segments) * plan.v_floats();
  for (std::int64_t begin = 0; begin < plan.panels; begin += plan.segments)
    HWY_DYNAMIC_DISPATCH(WinogradRound)
  (ctx, {&dims, &plan, x, packed, bias, bias_classes, &epilogue, y, v, um, begin,
         std::min(plan.segments, plan.panels - begin)});
}

}  // namespace cpu
}  // namespace aikd::kernels
#endif
