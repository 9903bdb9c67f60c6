#include "kernels/reduce.h"

#include <algorithm>

namespace aikd::kernels::cpu {

void sum_of_squares(const Context& ctx, std::int64_t rows, std::int64_t columns, const float* x, double* y) {
  parallel_for(ctx, rows, [&](std::ptrdiff_t row, int) {
    double sum = 0;
    for (std::int64_t j = 0; j < columns; ++j) {
      const double v = static_cast<double>(x[row * columns + j]);
      sum += v * v;
    }
    y[row] = sum;
  });
}

void channel_statistics(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x,
                        double* mean, double* var) {
  constexpr std::int64_t kGroup = 16;  // channels per task: one cache line of every row
  parallel_for(ctx, (channels + kGroup - 1) / kGroup, [&](std::ptrdiff_t task, int) {
    const std::int64_t c0 = task * kGroup, count = std::min(kGroup, channels - c0);
    double sum[kGroup] = {}, squares[kGroup] = {};
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t c = 0; c < count; ++c) sum[c] += static_cast<double>(x[i * channels + c0 + c]);
    }
    for (std::int64_t c = 0; c < count; ++c) mean[c0 + c] = sum[c] / static_cast<double>(rows);
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t c = 0; c < count; ++c) {
        const double deviation = static_cast<double>(x[i * channels + c0 + c]) - mean[c0 + c];
        squares[c] += deviation * deviation;
      }
    }
    for (std::int64_t c = 0; c < count; ++c) var[c0 + c] = squares[c] / static_cast<double>(rows);
  });
}

}  // namespace aikd::kernels::cpu
