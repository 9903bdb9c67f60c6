// The losses of training, with their gradients. fp32, rows contiguous, no alignment needed, no overlap.
//
// cosine_embedding_loss: with target 1, in the convention of torch.nn.CosineEmbeddingLoss, of a, b
// [rows, columns]:
//
//   per_row[i] = 1 - cos[i],   cos = (a . b) / sqrt((|a|^2 + e) (|b|^2 + e)),   e = 1e-12
//   loss = mean_i per_row[i]
//
// Assigns per_row [rows] and loss [1]. With no rows loss is NaN, as there. 8 bytes per element.
//
// cosine_embedding_loss_backward: assigns db [rows, columns], the gradient of upstream * loss by b (a, the
// teacher's embedding, has none):
//
//   db[i,j] = upstream / rows * (cos b[j] / (|b|^2 + e) - a[j] / sqrt((|a|^2 + e) (|b|^2 + e)))
//
// from the quotient rule: d(a.b)/db = a, and d sqrt(A B)/db = sqrt(A/B) b. In double, rounded once. 12 bytes
// per element from memory.
//
// l1_loss: mean of |d|, d = x - target (in float), over `count` elements (NaN for none). Assigns loss [1].
// ctx.workspace: mean_loss_workspace_bytes(count). 8 bytes per element.
//
// l1_loss_backward: assigns dx = upstream / count * sign(d), sign(0) = 0; NaN stays NaN. 12 bytes per
// element.
//
// smooth_l1_loss: mean of d^2 / (2 beta) where |d| < beta, else |d| - beta / 2; beta >= 0, and 0 is the L1
// loss. Otherwise as above, with sign(d) replaced by d / beta where |d| < beta.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/context.h"

namespace aikd::kernels {

// Terms and sums are double, in index order, rounded once; they depend on no number of threads.
namespace cpu {

// loss is the mean of what per_row was before rounding. ctx.workspace: cosine_embedding_loss_workspace_bytes.
std::size_t cosine_embedding_loss_workspace_bytes(std::int64_t rows);
void cosine_embedding_loss(const Context& ctx, std::int64_t rows, std::int64_t columns, const float* a,
                           const float* b, float* per_row, float* loss);
void cosine_embedding_loss_backward(const Context& ctx, std::int64_t rows, std::int64_t columns,
                                    const float* a, const float* b, float upstream, float* db);

std::size_t mean_loss_workspace_bytes(std::int64_t count);
void l1_loss(const Context& ctx, std::int64_t count, const float* x, const float* target, float* loss);
void l1_loss_backward(const Context& ctx, std::int64_t count, const float* x, const float* target,
                      float upstream, float* dx);
void smooth_l1_loss(const Context& ctx, std::int64_t count, float beta, const float* x, const float* target,
                    float* loss);
void smooth_l1_loss_backward(const Context& ctx, std::int64_t count, float beta, const float* x,
                             const float* target, float upstream, float* dx);

}  // namespace cpu

// Device pointers throughout. The terms of a sum are fp32 or better, sums are double, in an order that
// depends on the sizes alone.
namespace cuda {

// Products, sums and the subtraction from 1 are double and the result is rounded once: 1 - cos of nearly
// parallel vectors keeps its digits (error about 2^-24 of itself + 2e-15), where the original, in fp32, has
// an error of about 1e-7; the two agree within that. Each embedding is read once.
void cosine_embedding_loss(const Context& ctx, std::int64_t rows, std::int64_t columns, const float* a,
                           const float* b, float* per_row, float* loss);
void cosine_embedding_loss_backward(const Context& ctx, std::int64_t rows, std::int64_t columns,
                                    const float* a, const float* b, float upstream, float* db);

// 0 for small counts.
std::size_t mean_loss_workspace_bytes(std::int64_t count);
void l1_loss(const Context& ctx, std::int64_t count, const float* x, const float* target, float* loss);
void l1_loss_backward(const Context& ctx, std::int64_t count, const float* x, const float* target,
                      float upstream, float* dx);
void smooth_l1_loss(const Context& ctx, std::int64_t count, float beta, const float* x, const float* target,
                    float* loss);
void smooth_l1_loss_backward(const Context& ctx, std::int64_t count, float beta, const float* x,
                             const float* target, float upstream, float* dx);

}  // namespace cuda
}  // namespace aikd::kernels
