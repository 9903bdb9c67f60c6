// The losses of training, on the CPU, with their gradients: fp32, rows contiguous, no alignment needed, no
// overlap. Terms and sums are double, in index order, rounded once; they depend on no number of threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/context.h"

namespace aikd::kernels::cpu {

// Cosine embedding loss with target 1, in the convention of torch.nn.CosineEmbeddingLoss:
//
//   per_row[i] = 1 - cos[i],   cos = (a . b) / sqrt((|a|^2 + e) (|b|^2 + e)),   e = 1e-12
//   loss = mean_i per_row[i]
//
// a, b [rows, columns]; assigns per_row [rows] and loss [1], the mean of what per_row was before rounding.
// With no rows loss is NaN, as there. ctx.workspace: cosine_embedding_loss_workspace_bytes. 8 bytes per
// element.
std::size_t cosine_embedding_loss_workspace_bytes(std::int64_t rows);
void cosine_embedding_loss(const Context& ctx, std::int64_t rows, std::int64_t columns, const float* a,
                           const float* b, float* per_row, float* loss);

// Assigns db [rows, columns], the gradient of upstream * loss by b (a, the teacher's embedding, has none):
//
//   db[i,j] = upstream / rows * (cos b[j] / (|b|^2 + e) - a[j] / sqrt((|a|^2 + e) (|b|^2 + e)))
//
// from the quotient rule: d(a.b)/db = a, and d sqrt(A B)/db = sqrt(A/B) b. 12 bytes per element.
void cosine_embedding_loss_backward(const Context& ctx, std::int64_t rows, std::int64_t columns,
                                    const float* a, const float* b, float upstream, float* db);

// Mean of |d|, d = x - target (in float), over `count` elements (NaN for none). Assigns loss [1].
// ctx.workspace: mean_loss_workspace_bytes(count). 8 bytes per element.
std::size_t mean_loss_workspace_bytes(std::int64_t count);
void l1_loss(const Context& ctx, std::int64_t count, const float* x, const float* target, float* loss);
// Assigns dx = upstream / count * sign(d), sign(0) = 0; NaN stays NaN. 12 bytes per element.
void l1_loss_backward(const Context& ctx, std::int64_t count, const float* x, const float* target,
                      float upstream, float* dx);

// Mean of d^2 / (2 beta) where |d| < beta, else |d| - beta / 2; beta >= 0, and 0 is the L1 loss. Otherwise as
// above, with sign(d) replaced by d / beta where |d| < beta.
void smooth_l1_loss(const Context& ctx, std::int64_t count, float beta, const float* x, const float* target,
                    float* loss);
void smooth_l1_loss_backward(const Context& ctx, std::int64_t count, float beta, const float* x,
                             const float* target, float upstream, float* dx);

}  // namespace aikd::kernels::cpu
