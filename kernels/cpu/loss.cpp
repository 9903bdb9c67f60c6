// Small sums in double, by plain loops: a batch of embeddings is microseconds.
#include <algorithm>
#include <cmath>

#include "kernels/loss.h"

namespace aikd::kernels::cpu {
namespace {

constexpr double kEpsilon = 1e-12;
constexpr std::int64_t kPart = 16 * 1024;  // elements per task

std::int64_t parts_of(std::int64_t count) {
  return (count + kPart - 1) / kPart;
}

struct CosineSums {
  double dot = 0, a = kEpsilon, b = kEpsilon;  // a . b, |a|^2 + e, |b|^2 + e
};
CosineSums cosine_sums(std::int64_t columns, const float* a, const float* b) {
  CosineSums sums;
  for (std::int64_t j = 0; j < columns; ++j) {
    const double x = static_cast<double>(a[j]), y = static_cast<double>(b[j]);
    sums.dot += x * y;
    sums.a += x * x;
    sums.b += y * y;
  }
  return sums;
}

// sum / count over double values in order.
float mean_of(const double* values, std::int64_t values_count, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < values_count; ++i) sum += values[i];
  return static_cast<float>(sum / static_cast<double>(count));
}

// beta = 0: the sign; 0 and NaN are d itself.
float slope(float d, float beta) {
  if (std::fabs(d) < beta) return d / beta;
  return d > 0.0F ? 1.0F : d < 0.0F ? -1.0F : d;
}

}  // namespace

std::size_t cosine_embedding_loss_workspace_bytes(std::int64_t rows) {
  return static_cast<std::size_t>(rows) * sizeof(double);
}

void cosine_embedding_loss(const Context& ctx, std::int64_t rows, std::int64_t columns, const float* a,
                           const float* b, float* per_row, float* loss) {
  auto* const distances = static_cast<double*>(ctx.workspace);
  parallel_for(ctx, rows, [&](std::ptrdiff_t i, int) {
    const CosineSums sums = cosine_sums(columns, a + i * columns, b + i * columns);
    distances[i] = 1.0 - sums.dot / std::sqrt(sums.a * sums.b);
    per_row[i] = static_cast<float>(distances[i]);
  });
  *loss = mean_of(distances, rows, rows);
}

void cosine_embedding_loss_backward(const Context& ctx, std::int64_t rows, std::int64_t columns,
                                    const float* a, const float* b, float upstream, float* db) {
  const double scale = static_cast<double>(upstream) / static_cast<double>(rows);
  parallel_for(ctx, rows, [&](std::ptrdiff_t i, int) {
    const float* const row_a = a + i * columns;
    const float* const row_b = b + i * columns;
    const CosineSums sums = cosine_sums(columns, row_a, row_b);
    const double inverse = 1.0 / std::sqrt(sums.a * sums.b);
    const double from_a = scale * inverse, from_b = scale * (sums.dot * inverse / sums.b);
    for (std::int64_t j = 0; j < columns; ++j)
      db[i * columns + j] =
          static_cast<float>(from_b * static_cast<double>(row_b[j]) - from_a * static_cast<double>(row_a[j]));
  });
}

std::size_t mean_loss_workspace_bytes(std::int64_t count) {
  return static_cast<std::size_t>(parts_of(count)) * sizeof(double);
}

void smooth_l1_loss(const Context& ctx, std::int64_t count, float beta, const float* x, const float* target,
                    float* loss) {
  auto* const sums = static_cast<double*>(ctx.workspace);
  const double wide = static_cast<double>(beta);
  parallel_for(ctx, parts_of(count), [&](std::ptrdiff_t part, int) {
    double sum = 0;
    for (std::int64_t i = part * kPart; i < std::min(count, (part + 1) * kPart); ++i) {
      const double distance = std::fabs(static_cast<double>(x[i] - target[i]));
      sum += distance < wide ? 0.5 * distance * distance / wide : distance - 0.5 * wide;
    }
    sums[part] = sum;
  });
  *loss = mean_of(sums, parts_of(count), count);
}

void smooth_l1_loss_backward(const Context& ctx, std::int64_t count, float beta, const float* x,
                             const float* target, float upstream, float* dx) {
  const auto scale = static_cast<float>(static_cast<double>(upstream) / static_cast<double>(count));
  parallel_for(ctx, parts_of(count), [&](std::ptrdiff_t part, int) {
    for (std::int64_t i = part * kPart; i < std::min(count, (part + 1) * kPart); ++i)
      dx[i] = scale * slope(x[i] - target[i], beta);
  });
}

void l1_loss(const Context& ctx, std::int64_t count, const float* x, const float* target, float* loss) {
  smooth_l1_loss(ctx, count, 0.0F, x, target, loss);
}

void l1_loss_backward(const Context& ctx, std::int64_t count, const float* x, const float* target,
                      float upstream, float* dx) {
  smooth_l1_loss_backward(ctx, count, 0.0F, x, target, upstream, dx);
}

}  // namespace aikd::kernels::cpu
