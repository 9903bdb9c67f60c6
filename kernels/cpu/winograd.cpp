// F(4x4, 3x3). A round takes some tiles of the batch through three passes:
//
//   1. V[36][c/16][tile][16] = B^T d B            threads share (tile, block of 16 channels)
//   2. M[36][tile][block] = sum over c of V U      threads share (block of output channels, segment of tiles)
//   3. Y = A^T M A + bias, epilogue                by the thread that made M, while it is in its cache
#include "kernels/winograd.h"

#include <algorithm>

#include "kernels/cpu/targets.h"
#include "kernels/isa.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/winograd.cpp"
#include <hwy/foreach_target.h>
//
#include "kernels/cpu/conv_tile-inl.h"
#include "kernels/cpu/epilogue-inl.h"

#ifndef AIKD_KERNELS_CPU_WINOGRAD_ONCE
#define AIKD_KERNELS_CPU_WINOGRAD_ONCE
namespace aikd::kernels::cpu {

inline constexpr std::int64_t kOut = 4, kIn = 6, kPoints = kIn * kIn;

// What a round works on.
struct WinogradPlan {
  std::int64_t rows, columns, tiles;  // of tiles in an image; tiles of the batch
  std::int64_t round;                 // tiles in a round, at most
  std::int64_t segments;              // pieces of a round that threads take
  std::int64_t segment;               // tiles in one, at most
  std::int64_t v_plane, m_plane;      // floats from one of the 36 points to the next

  WinogradPlan(const Conv2dDims& d, std::int64_t n, int threads, std::int64_t block) {
    rows = (d.h + kOut - 1) / kOut;
    columns = (d.w + kOut - 1) / kOut;
    tiles = n * winograd_tiles(d);
    // V in about 2 MiB, so that it stays in the caches of two cores; U is read once a round.
    const std::int64_t most =
        std::clamp<std::int64_t>((std::int64_t{1} << 19) / (kPoints * d.c) / 14 * 14, 28, 112);
    const std::int64_t rounds = std::max<std::int64_t>(1, (tiles + most / 2) / most);
    round = std::max<std::int64_t>(1, (tiles + rounds - 1) / rounds);
    const std::int64_t k_blocks = (padded_channels(d.k) + block - 1) / block;
    segments = k_blocks >= 2 * threads || k_blocks % threads == 0
                   ? 1
                   : std::min<std::int64_t>(threads, (round + 13) / 14);
    segment = (round + segments - 1) / segments;
    // An odd number of cache lines: planes a power of two apart would fall on the same lines of the cache.
    const auto odd_lines = [](std::int64_t floats) { return ((floats + 15) / 16 | 1) * 16; };
    v_plane = odd_lines(blocks_of(d.c) * round * kBlock);
    m_plane = odd_lines(segment * block);
  }
  std::size_t v_floats() const { return static_cast<std::size_t>(kPoints * v_plane); }
  std::size_t m_floats() const { return static_cast<std::size_t>(kPoints * m_plane); }
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
  float* v;
  float* m;                   // of all threads
  std::int64_t begin, count;  // tiles of this round
};

}  // namespace aikd::kernels::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// d <- B^T d, for the polynomials that the points 0, 1, -1, 1/2, -2 leave (row 0: all roots but 0, ...):
//   [1 -3/2 -2 3/2 1 0] [0 -1 1/2 5/2 1 0] [0 1 -5/2 1/2 1 0] [0 -2 -1 2 1 0] [0 1/2 -1 -1/2 1 0] [0 1 -3/2
//   -2 3/2 1]
HWY_INLINE void InputRow(V& d0, V& d1, V& d2, V& d3, V& d4, V& d5) {
  const D d;
  const V half = hn::Set(d, 0.5F), two = hn::Set(d, 2.0F), three_halves = hn::Set(d, 1.5F),
          five_halves = hn::Set(d, 2.5F);
  const V r0 = hn::MulAdd(three_halves, hn::Sub(d3, d1), hn::NegMulAdd(two, d2, hn::Add(d0, d4)));
  const V r1 = hn::MulAdd(five_halves, d3, hn::MulAdd(half, d2, hn::Sub(d4, d1)));
  const V r2 = hn::NegMulAdd(five_halves, d2, hn::MulAdd(half, d3, hn::Add(d4, d1)));
  const V even = hn::Sub(d4, d2), odd = hn::Sub(d3, d1);
  const V r3 = hn::MulAdd(two, odd, even);
  const V r4 = hn::NegMulAdd(half, odd, even);
  const V r5 = hn::MulAdd(three_halves, hn::Sub(d4, d2), hn::NegMulAdd(two, d3, hn::Add(d1, d5)));
  d0 = r0, d1 = r1, d2 = r2, d3 = r3, d4 = r4, d5 = r5;
}

// y = A^T m: [1 1 1 1 1 0] [0 1 -1 1/2 -2 0] [0 1 1 1/4 4 0] [0 1 -1 1/8 -8 1]
HWY_INLINE void OutputRow(V m0, V m1, V m2, V m3, V m4, V m5, V& y0, V& y1, V& y2, V& y3) {
  const D d;
  const V sum = hn::Add(m1, m2), difference = hn::Sub(m1, m2);
  y0 = hn::Add(hn::Add(m0, sum), hn::Add(m3, m4));
  y1 = hn::MulAdd(hn::Set(d, 0.5F), m3, hn::NegMulAdd(hn::Set(d, 2.0F), m4, difference));
  y2 = hn::MulAdd(hn::Set(d, 0.25F), m3, hn::MulAdd(hn::Set(d, 4.0F), m4, sum));
  y3 = hn::Add(hn::MulAdd(hn::Set(d, 0.125F), m3, hn::NegMulAdd(hn::Set(d, 8.0F), m4, difference)), m5);
}

// Pass 1 for one tile and 16 channels.
void InputTile(const WinogradJob& job, std::int64_t tile, std::int64_t block) {
  const D d;
  const Conv2dDims& dims = *job.dims;
  const WinogradPlan& plan = *job.plan;
  const std::int64_t at = job.begin + tile, per_image = plan.rows * plan.columns;
  const std::int64_t image = at / per_image, row = at % per_image / plan.columns * kOut - 1,
                     column = at % plan.columns * kOut - 1;
  const float* const from = job.x + (image * blocks_of(dims.c) + block) * dims.h * dims.w * kBlock;
  float* const to = job.v + (block * plan.round + tile) * kBlock;
  for (std::size_t lane = 0; lane < static_cast<std::size_t>(kBlock); lane += hn::Lanes(d)) {
    V t[kIn][kIn];
    for (std::int64_t i = 0; i < kIn; ++i) {
      const bool inside = row + i >= 0 && row + i < dims.h;
      const float* const line = from + ((row + i) * dims.w + column) * kBlock + lane;
      V p[kIn];
      for (std::int64_t j = 0; j < kIn; ++j)
        p[j] =
            inside && column + j >= 0 && column + j < dims.w ? hn::Load(d, line + j * kBlock) : hn::Zero(d);
      InputRow(p[0], p[1], p[2], p[3], p[4], p[5]);
      for (std::int64_t j = 0; j < kIn; ++j) t[i][j] = p[j];
    }
    for (std::int64_t j = 0; j < kIn; ++j) {
      InputRow(t[0][j], t[1][j], t[2][j], t[3][j], t[4][j], t[5][j]);
      for (std::int64_t i = 0; i < kIn; ++i) hn::Store(t[i][j], d, to + (i * kIn + j) * plan.v_plane + lane);
    }
  }
}

// kT tiles of one point: m [kT][block] = sum over channels of v u.
template <std::size_t kT>
HWY_NOINLINE void Multiply(const float* v, std::int64_t v_step, std::int64_t channels, const float* u,
                           float* m) {
  const D d;
  const std::size_t lanes = hn::Lanes(d);
  V sum[kT][2];
  AIKD_UNROLL
  for (std::size_t i = 0; i < kT; ++i) sum[i][0] = sum[i][1] = hn::Zero(d);
  for (std::int64_t c0 = 0; c0 < channels; c0 += kBlock, v += v_step, u += kBlock * 2 * lanes)
    Tap<1, 0, kT>(v, u, kBlock, sum);
  AIKD_UNROLL
  for (std::size_t i = 0; i < kT; ++i) {
    hn::Store(sum[i][0], d, m + i * 2 * lanes);
    hn::Store(sum[i][1], d, m + i * 2 * lanes + lanes);
  }
}

std::int64_t MultiplySome(std::int64_t left, const float* v, std::int64_t v_step, std::int64_t channels,
                          const float* u, float* m) {
  if constexpr (kLargestTile >= 14) {
    if (left >= 14) return Multiply<14>(v, v_step, channels, u, m), 14;
    if (left >= 10) return Multiply<10>(v, v_step, channels, u, m), 10;
    if (left >= 8) return Multiply<8>(v, v_step, channels, u, m), 8;
  }
  if (left >= 6) return Multiply<6>(v, v_step, channels, u, m), 6;
  if (left >= 4) return Multiply<4>(v, v_step, channels, u, m), 4;
  if (left >= 2) return Multiply<2>(v, v_step, channels, u, m), 2;
  return Multiply<1>(v, v_step, channels, u, m), 1;
}

// Pass 3 for one tile and `lanes` output channels: m is the first point's.
void OutputTile(const WinogradJob& job, std::int64_t tile, std::int64_t k, const float* m) {
  const D d;
  const Conv2dDims& dims = *job.dims;
  const WinogradPlan& plan = *job.plan;
  const std::int64_t at = job.begin + tile, per_image = plan.rows * plan.columns;
  const std::int64_t image = at / per_image, row = at % per_image / plan.columns * kOut,
                     column = at % plan.columns * kOut;
  V t[kOut][kIn];
  for (std::int64_t j = 0; j < kIn; ++j) {
    V p[kIn];
    for (std::int64_t i = 0; i < kIn; ++i) p[i] = hn::Load(d, m + (i * kIn + j) * plan.m_plane);
    OutputRow(p[0], p[1], p[2], p[3], p[4], p[5], t[0][j], t[1][j], t[2][j], t[3][j]);
  }
  const std::int64_t base =
      ((image * blocks_of(dims.k) + k / kBlock) * dims.h * dims.w) * kBlock + k % kBlock;
  const float* const slope = Offset(job.epilogue->slope, k);
  const std::int64_t class_step = padded_parameters(dims.k);
  for (std::int64_t i = 0; i < std::min(kOut, dims.h - row); ++i) {
    const std::int64_t p = row + i, row_class = p == 0 ? 0 : p == dims.h - 1 ? 2 : 1;
    V y[kOut];
    OutputRow(t[i][0], t[i][1], t[i][2], t[i][3], t[i][4], t[i][5], y[0], y[1], y[2], y[3]);
    for (std::int64_t j = 0; j < std::min(kOut, dims.w - column); ++j) {
      const std::int64_t q = column + j, column_class = q == 0 ? 0 : q == dims.w - 1 ? 2 : 1;
      const float* const bias =
          job.bias + (job.bias_classes == 1 ? 0 : (3 * row_class + column_class) * class_step) + k;
      const std::int64_t offset = base + (p * dims.w + q) * kBlock;
      hn::Store(ApplyEpilogue(d, *job.epilogue, slope, Offset(job.epilogue->residual, offset),
                              hn::Add(y[j], hn::Load(d, bias))),
                d, job.y + offset);
    }
  }
}

std::int64_t WinogradBlock() {
  return ConvBlock();
}

void WinogradRound(const Context& ctx, const WinogradJob& job) {
  const Conv2dDims& dims = *job.dims;
  const WinogradPlan& plan = *job.plan;
  const std::int64_t c_blocks = blocks_of(dims.c), padded_k = padded_channels(dims.k), block = ConvBlock(),
                     lanes = block / 2, k_blocks = (padded_k + block - 1) / block;
  parallel_for(ctx, job.count * c_blocks,
               [&](std::ptrdiff_t task, int) { InputTile(job, task % job.count, task / job.count); });
  parallel_for(ctx, k_blocks * plan.segments, [&](std::ptrdiff_t task, int thread) {
    const std::int64_t kb = task / plan.segments, first = task % plan.segments * plan.segment,
                       count = std::min(plan.segment, job.count - first);
    if (count <= 0) return;
    float* const m = job.m + static_cast<std::size_t>(thread) * plan.m_floats();
    for (std::int64_t point = 0; point < kPoints; ++point) {
      const float* const u = job.packed + (kb * kPoints + point) * dims.c * block;
      for (std::int64_t t = 0; t < count;)
        t += MultiplySome(count - t, job.v + point * plan.v_plane + (first + t) * kBlock, plan.round * kBlock,
                          dims.c, u, m + point * plan.m_plane + t * block);
    }
    for (std::int64_t t = 0; t < count; ++t)
      for (std::int64_t k = kb * block; k < std::min(padded_k, (kb + 1) * block); k += lanes)
        OutputTile(job, first + t, k, m + t * block + k - kb * block);
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

// G, row by row: (1, a, a^2) / product over the other points b of (a - b); the last row for infinity.
constexpr double kG[kIn][3] = {{1.0, 0.0, 0.0},
                               {1.0 / 3, 1.0 / 3, 1.0 / 3},
                               {-1.0 / 3, 1.0 / 3, -1.0 / 3},
                               {-16.0 / 15, -8.0 / 15, -4.0 / 15},
                               {1.0 / 15, -2.0 / 15, 4.0 / 15},
                               {0.0, 0.0, 1.0}};

}  // namespace

std::size_t winograd_filter_floats(const Conv2dDims& dims) {
  const std::int64_t block = block_of(), k_blocks = (padded_channels(dims.k) + block - 1) / block;
  return static_cast<std::size_t>(k_blocks * block * kPoints * dims.c);
}

void winograd_filters(const Conv2dDims& dims, const float* weight, float* packed) {
  const std::int64_t block = block_of();
  std::fill_n(packed, winograd_filter_floats(dims), 0.0F);
  for (std::int64_t k = 0; k < dims.k; ++k) {
    for (std::int64_t c = 0; c < dims.c; ++c) {
      const auto g = [&](std::int64_t r, std::int64_t s) {
        return static_cast<double>(weight[((k * 3 + r) * 3 + s) * dims.c + c]);
      };
      double rows[kIn][3];
      for (std::int64_t i = 0; i < kIn; ++i)
        for (std::int64_t s = 0; s < 3; ++s)
          rows[i][s] = kG[i][0] * g(0, s) + kG[i][1] * g(1, s) + kG[i][2] * g(2, s);
      for (std::int64_t i = 0; i < kIn; ++i) {
        for (std::int64_t j = 0; j < kIn; ++j) {
          const double u = rows[i][0] * kG[j][0] + rows[i][1] * kG[j][1] + rows[i][2] * kG[j][2];
          packed[((k / block * kPoints + i * kIn + j) * dims.c + c) * block + k % block] =
              static_cast<float>(u);
        }
      }
    }
  }
}

std::size_t winograd_workspace_bytes(const Conv2dDims& dims, std::int64_t n, int threads) {
  const WinogradPlan plan(dims, n, threads, block_of());
  return (plan.v_floats() + static_cast<std::size_t>(threads) * plan.m_floats()) * sizeof(float);
}

void winograd_conv(const Context& ctx, const Conv2dDims& dims, std::int64_t n, const float* x,
                   const float* packed, const float* bias, std::int64_t bias_classes,
                   const Epilogue& epilogue, float* y) {
  const WinogradPlan plan(dims, n, ctx.threads(), block_of());
  auto* const v = static_cast<float*>(ctx.workspace);
  for (std::int64_t begin = 0; begin < plan.tiles; begin += plan.round) HWY_DYNAMIC_DISPATCH(WinogradRound)
  (ctx, {&dims, &plan, x, packed, bias, bias_classes, &epilogue, y, v, v + plan.v_floats(), begin,
         std::min(plan.round, plan.tiles - begin)});
}

}  // namespace cpu
}  // namespace aikd::kernels
#endif
