// Sums over rows and the gradients that need them. Of every panel of rows the sums lie in the workspace,
// [panels][sums][channels]: at most 3/32 of the bytes of x, and while a panel is summed they stay in the
// nearest cache.
#include "kernels/gradients.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/targets.h"
#include "kernels/isa.h"
//
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gradients.cpp"
#include <hwy/foreach_target.h>
//
#include "kernels/cpu/loops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aikd::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::int64_t kPanel = 32;    // rows
constexpr std::int64_t kGroup = 16;    // channels per task of the last step of the statistics
constexpr std::int64_t kChunk = 8192;  // elements per task of flat loops

std::int64_t Panels(std::int64_t rows) {
  return (rows + kPanel - 1) / kPanel;
}

// sums[j * channels + c] = over rows [begin, end) the sum of terms(d, row * channels + c, c, values)[j].
template <std::size_t kSums, class Terms>
HWY_INLINE void SumRows(std::int64_t begin, std::int64_t end, std::int64_t channels, const Terms& terms,
                        float* sums) {
  std::fill_n(sums, static_cast<std::int64_t>(kSums) * channels, 0.0F);
  std::int64_t i = begin;
  for (; i + 4 <= end; i += 4) {
    ForVectors(0, channels, [&](auto d, std::int64_t c) HWY_ATTR {
      hn::Vec<decltype(d)> t[4][kSums];
      AIKD_UNROLL
      for (std::int64_t k = 0; k < 4; ++k) terms(d, (i + k) * channels + c, c, t[k]);
      AIKD_UNROLL
      for (std::size_t j = 0; j < kSums; ++j) {
        float* const to = sums + static_cast<std::int64_t>(j) * channels + c;
        const auto four = hn::Add(hn::Add(t[0][j], t[1][j]), hn::Add(t[2][j], t[3][j]));
        hn::StoreU(hn::Add(hn::LoadU(d, to), four), d, to);
      }
    });
  }
  for (; i < end; ++i) {
    ForVectors(0, channels, [&](auto d, std::int64_t c) HWY_ATTR {
      hn::Vec<decltype(d)> t[kSums];
      terms(d, i * channels + c, c, t);
      AIKD_UNROLL
      for (std::size_t j = 0; j < kSums; ++j) {
        float* const to = sums + static_cast<std::int64_t>(j) * channels + c;
        hn::StoreU(hn::Add(hn::LoadU(d, to), t[j]), d, to);
      }
    });
  }
}

// The sums of every panel into partial [panels][kSums][channels].
template <std::size_t kSums, class Terms>
void SumPanels(const Context& ctx, std::int64_t rows, std::int64_t channels, const Terms& terms,
               float* partial) {
  parallel_for(ctx, Panels(rows), [&](std::ptrdiff_t panel, int) {
    SumRows<kSums>(panel * kPanel, std::min(rows, (panel + 1) * kPanel), channels, terms,
                   partial + panel * static_cast<std::int64_t>(kSums) * channels);
  });
}

void ColumnSums(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x, float* y) {
  auto* const partial = static_cast<float*>(ctx.workspace);
  SumPanels<1>(
      ctx, rows, channels,
      [&](auto d, std::int64_t at, std::int64_t, auto& sums) HWY_ATTR { sums[0] = hn::LoadU(d, x + at); },
      partial);
  SumOfParts<1>(ctx, Panels(rows), channels, partial,
                [&](std::int64_t c, const double* sums) { y[c] = static_cast<float>(sums[0]); });
}

void BatchStatistics(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x,
                     float* mean, float* var) {
  auto* const partial =
      static_cast<float*>(ctx.workspace);  // per panel: middle, sum d, sum d^2, d = x - middle
  parallel_for(ctx, Panels(rows), [&](std::ptrdiff_t panel, int) {
    const std::int64_t begin = panel * kPanel, end = std::min(rows, begin + kPanel);
    float* const middle = partial + panel * 3 * channels;
    SumRows<1>(
        begin, end, channels,
        [&](auto d, std::int64_t at, std::int64_t, auto& sums) HWY_ATTR { sums[0] = hn::LoadU(d, x + at); },
        middle);
    const float inverse = 1.0F / static_cast<float>(end - begin);
    for (std::int64_t c = 0; c < channels; ++c) middle[c] *= inverse;
    SumRows<2>(
        begin, end, channels,
        [&](auto d, std::int64_t at, std::int64_t c, auto& sums) HWY_ATTR {
          sums[0] = hn::Sub(hn::LoadU(d, x + at), hn::LoadU(d, middle + c));
          sums[1] = hn::Mul(sums[0], sums[0]);
        },
        middle + channels);
  });
  parallel_for(ctx, (channels + kGroup - 1) / kGroup, [&](std::ptrdiff_t task, int) {
    const std::int64_t c0 = task * kGroup, group = std::min(kGroup, channels - c0);
    double means[kGroup] = {}, squares[kGroup] = {}, count = 0;
    for (std::int64_t panel = 0; panel < Panels(rows); ++panel) {
      const float* from = partial + panel * 3 * channels + c0;
      const double own = static_cast<double>(std::min(kPanel, rows - panel * kPanel)), all = count + own;
      for (std::int64_t c = 0; c < group; ++c) {
        const double sum = static_cast<double>(from[channels + c]);
        const double own_mean = static_cast<double>(from[c]) + sum / own;
        const double own_squares = static_cast<double>(from[2 * channels + c]) - sum * sum / own;
        const double apart = own_mean - means[c];
        means[c] += apart * (own / all);
        squares[c] += own_squares + apart * apart * (count * own / all);
      }
      count = all;
    }
    for (std::int64_t c = 0; c < group; ++c) {
      mean[c0 + c] = static_cast<float>(means[c]);
      var[c0 + c] = static_cast<float>(std::max(0.0, squares[c]) / count);
    }
  });
}

void BatchNormGradient(const Context& ctx, std::int64_t rows, std::int64_t channels,
                       const BatchNormGradientArguments& a) {
  auto* const partial = static_cast<float*>(ctx.workspace);
  SumPanels<2>(
      ctx, rows, channels,
      [&](auto d, std::int64_t at, std::int64_t c, auto& sums) HWY_ATTR {
        sums[0] = hn::LoadU(d, a.dy + at);
        sums[1] = hn::Mul(sums[0], hn::Sub(hn::LoadU(d, a.x + at), hn::LoadU(d, a.mean + c)));
      },
      partial);
  // dx = p dy + (q (x - mean) + r)
  float* const p = partial + 2 * Panels(rows) * channels;
  float* const q = p + channels;
  float* const r = q + channels;
  SumOfParts<2>(ctx, Panels(rows), channels, partial, [&](std::int64_t c, const double* sums) {
    const double inverse = 1.0 / std::sqrt(static_cast<double>(a.var[c]) + static_cast<double>(a.eps));
    const double scale = (a.weight == nullptr ? 1.0 : static_cast<double>(a.weight[c])) * inverse;
    const double share = a.batch ? -scale / static_cast<double>(rows) : 0.0;
    a.dbias[c] = static_cast<float>(sums[0]);
    a.dweight[c] = static_cast<float>(sums[1] * inverse);
    p[c] = static_cast<float>(scale);
    q[c] = static_cast<float>(share * sums[1] * inverse * inverse);
    r[c] = static_cast<float>(share * sums[0]);
  });
  if (a.dx == nullptr) return;
  const bool batch = a.batch;
  parallel_for(ctx, Panels(rows), [&](std::ptrdiff_t panel, int) {
    for (std::int64_t i = panel * kPanel; i < std::min(rows, (panel + 1) * kPanel); ++i) {
      ForVectors(0, channels, [&](auto d, std::int64_t c) HWY_ATTR {
        const std::int64_t at = i * channels + c;
        const auto dy = hn::LoadU(d, a.dy + at), scale = hn::LoadU(d, p + c);
        if (!batch) return hn::StoreU(hn::Mul(dy, scale), d, a.dx + at);
        const auto apart = hn::Sub(hn::LoadU(d, a.x + at), hn::LoadU(d, a.mean + c));
        const auto rest = hn::MulAdd(apart, hn::LoadU(d, q + c), hn::LoadU(d, r + c));
        hn::StoreU(hn::MulAdd(dy, scale, rest), d, a.dx + at);
      });
    }
  });
}

void PreluGradient(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x,
                   const float* slope, const float* dy, float* dx, float* dslope) {
  auto* const partial = static_cast<float*>(ctx.workspace);
  SumPanels<1>(
      ctx, rows, channels,
      [&](auto d, std::int64_t at, std::int64_t c, auto& sums) HWY_ATTR {
        const auto v = hn::LoadU(d, x + at), g = hn::LoadU(d, dy + at);
        const auto passes = hn::Gt(v, hn::Zero(d));
        sums[0] = hn::IfThenZeroElse(passes, hn::Mul(v, g));
        hn::StoreU(hn::IfThenElse(passes, g, hn::Mul(g, hn::LoadU(d, slope + c))), d, dx + at);
      },
      partial);
  SumOfParts<1>(ctx, Panels(rows), channels, partial,
                [&](std::int64_t c, const double* sums) { dslope[c] = static_cast<float>(sums[0]); });
}

void ClampGradient(const Context& ctx, std::int64_t count, const float* x, float lo, float hi,
                   const float* dy, float* dx) {
  ForChunks(ctx, count, kChunk, [&](auto d, std::int64_t i) HWY_ATTR {
    const auto v = hn::LoadU(d, x + i);
    const auto stopped = hn::Or(hn::Le(v, hn::Set(d, lo)), hn::Ge(v, hn::Set(d, hi)));
    hn::StoreU(hn::IfThenZeroElse(stopped, hn::LoadU(d, dy + i)), d, dx + i);
  });
}

void Accumulate(const Context& ctx, std::int64_t count, const float* x, float* y) {
  ForChunks(ctx, count, kChunk, [&](auto d, std::int64_t i) HWY_ATTR {
    hn::StoreU(hn::Add(hn::LoadU(d, y + i), hn::LoadU(d, x + i)), d, y + i);
  });
}

}  // namespace aikd::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aikd::kernels::cpu {
HWY_EXPORT(Panels);
HWY_EXPORT(ColumnSums);
HWY_EXPORT(BatchStatistics);
HWY_EXPORT(BatchNormGradient);
HWY_EXPORT(PreluGradient);
HWY_EXPORT(ClampGradient);
HWY_EXPORT(Accumulate);

// Three sums per panel, or two and three vectors of factors.
std::size_t column_workspace_bytes(std::int64_t rows, std::int64_t channels) {
  const std::int64_t panels = HWY_DYNAMIC_DISPATCH(Panels)(rows);
  return static_cast<std::size_t>(3 * (panels + 1) * channels) * sizeof(float);
}

void column_sums(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x, float* y) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(ColumnSums)(ctx, rows, channels, x, y);
}

void batch_statistics(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x,
                      float* mean, float* var) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(BatchStatistics)(ctx, rows, channels, x, mean, var);
}

void batch_norm_gradient(const Context& ctx, std::int64_t rows, std::int64_t channels,
                         const BatchNormGradientArguments& arguments) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(BatchNormGradient)(ctx, rows, channels, arguments);
}

void prelu_gradient(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x,
                    const float* slope, const float* dy, float* dx, float* dslope) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(PreluGradient)(ctx, rows, channels, x, slope, dy, dx, dslope);
}

void clamp_gradient(const Context& ctx, std::int64_t count, const float* x, float lo, float hi,
                    const float* dy, float* dx) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(ClampGradient)(ctx, count, x, lo, hi, dy, dx);
}

void accumulate(const Context& ctx, std::int64_t count, const float* x, float* y) {
  select_isa_once();
  HWY_DYNAMIC_DISPATCH(Accumulate)(ctx, count, x, y);
}

// As gelu(): a thousand values per image, the C library's double functions.
void gelu_gradient(const Context& ctx, std::int64_t count, const float* x, const float* dy, float* dx) {
  constexpr double kInvSqrt2 = 0.70710678118654752440, kInvSqrt2Pi = 0.39894228040143267794;
  constexpr std::int64_t kPiece = 256;
  parallel_for(ctx, (count + kPiece - 1) / kPiece, [&](std::ptrdiff_t task, int) {
    for (std::int64_t i = task * kPiece; i < std::min(count, (task + 1) * kPiece); ++i) {
      const double v = static_cast<double>(x[i]);
      const double density = std::isinf(v) ? 0.0 : v * kInvSqrt2Pi * std::exp(-0.5 * v * v);
      dx[i] = static_cast<float>(static_cast<double>(dy[i]) * (0.5 * std::erfc(-v * kInvSqrt2) + density));
    }
  });
}

}  // namespace aikd::kernels::cpu
#endif
