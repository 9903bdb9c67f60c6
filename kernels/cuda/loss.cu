#include "kernels/cuda/loss.cuh"

#include "kernels/cuda/epilogue_device.cuh"

namespace aikd::kernels::cuda {
namespace {

bool loads_vectors(std::int64_t columns, const float* a, const float* b) {
  return columns % 4 == 0 && aligned_to(a, 16) && aligned_to(b, 16);
}

// One block per row, part or kLossThreads elements.
LaunchShape blocks_of(std::int64_t blocks, unsigned threads) {
  return {.grid = {.x = static_cast<unsigned>(blocks)}, .block = {.x = threads}};
}

}  // namespace

void cosine_embedding_loss(const Context& ctx, std::int64_t rows, std::int64_t columns, const float* a,
                           const float* b, float* per_row, float* loss) {
  if (rows > 0)
    AIKD_LAUNCH(ctx, blocks_of(rows, kCosineThreads), cosine_embedding_kernel<float>, columns, a, b,
                loads_vectors(columns, a, b), per_row);
  AIKD_LAUNCH(ctx, blocks_of(1, kLossThreads), loss_mean_kernel<float>, rows, per_row,
              static_cast<double>(rows), loss);
}

void cosine_embedding_loss_backward(const Context& ctx, std::int64_t rows, std::int64_t columns,
                                    const float* a, const float* b, float upstream, float* db) {
  if (rows == 0) return;
  const bool vector = loads_vectors(columns, a, b) && aligned_to(db, 16);
  const double scale = static_cast<double>(upstream) / static_cast<double>(rows);
  AIKD_LAUNCH(ctx, blocks_of(rows, kCosineThreads), cosine_embedding_backward_kernel<float>, columns, a, b,
              vector, scale, db);
}

std::size_t mean_loss_workspace_bytes(std::int64_t count) {
  return count <= kLossPart ? 0 : static_cast<std::size_t>(ceil_div(count, kLossPart)) * sizeof(double);
}

void smooth_l1_loss(const Context& ctx, std::int64_t count, float beta, const float* x, const float* target,
                    float* loss) {
  const std::int64_t parts = ceil_div(count, kLossPart);
  double* const sums = parts > 1 ? static_cast<double*>(ctx.workspace) : nullptr;
  const auto divisor = static_cast<double>(count);
  AIKD_LAUNCH(ctx, blocks_of(parts > 1 ? parts : 1, kLossThreads), smooth_l1_kernel<float>, count, beta, x,
              target, divisor, sums, loss);
  if (parts > 1)
    AIKD_LAUNCH(ctx, blocks_of(1, kLossThreads), loss_mean_kernel<double>, parts, sums, divisor, loss);
}

void smooth_l1_loss_backward(const Context& ctx, std::int64_t count, float beta, const float* x,
                             const float* target, float upstream, float* dx) {
  if (count == 0) return;
  const auto scale = static_cast<float>(static_cast<double>(upstream) / static_cast<double>(count));
  AIKD_LAUNCH(ctx, blocks_of(ceil_div<std::int64_t>(count, kLossThreads), kLossThreads),
              smooth_l1_backward_kernel<float>, count, beta, x, target, scale, dx);
}

void l1_loss(const Context& ctx, std::int64_t count, const float* x, const float* target, float* loss) {
  smooth_l1_loss(ctx, count, 0.0F, x, target, loss);
}

void l1_loss_backward(const Context& ctx, std::int64_t count, const float* x, const float* target,
                      float upstream, float* dx) {
  smooth_l1_loss_backward(ctx, count, 0.0F, x, target, upstream, dx);
}

}  // namespace aikd::kernels::cuda
