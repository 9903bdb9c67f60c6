// What training adds to the elementwise ops on the CPU (fp32): gradients, BatchNorm with the statistics of
// the batch, column sums. Rows x channels, row-major; nothing needs alignment.
//
// Gradients of parameters are sums over rows: 4 rows at a time, 32 rows (a panel) in float, panels in double,
// in the order of the rows. So the bits depend neither on the number of threads nor on what other channels
// there are, and the error is a few units of float of the sum of the absolute values, however many rows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/context.h"

namespace aikd::kernels::cpu {

// What ctx.workspace needs for column_sums, batch_statistics, batch_norm_gradient and prelu_gradient.
std::size_t column_workspace_bytes(std::int64_t rows, std::int64_t channels);

// y[c] = sum over rows of x[row,c]. 4 bytes in per element.
void column_sums(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x, float* y);

// mean[c] and the biased variance var[c] = mean of (x - mean)^2, rounded once each from double; rows >= 1.
// One pass over memory: of every panel the mean and the squares around it, joined as in Chan, Golub and
// LeVeque (1979), so that a mean far from zero costs no digits.
void batch_statistics(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x,
                      float* mean, float* var);

// With h = (x - mean) / sqrt(var + eps):
//   dweight[c] = sum dy h,  dbias[c] = sum dy
//   dx = weight / sqrt(var + eps) (dy - mean(dy) - h mean(dy h))    `batch`: mean and var are those of x
//   dx = weight / sqrt(var + eps) dy                                else
// weight may be null (1). Assigns dx (may be dy, or null: not wanted), dweight, dbias. Two passes: 16 bytes
// in, 4 out per element.
struct BatchNormGradientArguments {
  const float* x = nullptr;
  const float* dy = nullptr;
  const float* mean = nullptr;
  const float* var = nullptr;
  const float* weight = nullptr;
  float eps = 1e-5F;
  bool batch = true;
  float* dx = nullptr;
  float* dweight = nullptr;
  float* dbias = nullptr;
};
void batch_norm_gradient(const Context& ctx, std::int64_t rows, std::int64_t channels,
                         const BatchNormGradientArguments& arguments);

// dx = x > 0 ? dy : slope dy;  dslope[c] = sum of dy x over rows where not x > 0. dx may be dy. 8 bytes in, 4
// out per element.
void prelu_gradient(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x,
                    const float* slope, const float* dy, float* dx, float* dslope);

// dx = dy where lo < x < hi (or x is NaN), else 0: PyTorch's ReLU and ReLU6 stop the gradient at their
// bounds. dx may be dy.
void clamp_gradient(const Context& ctx, std::int64_t count, const float* x, float lo, float hi,
                    const float* dy, float* dx);

// dx = dy (Phi(x) + x phi(x)), Phi and phi the normal distribution's function and density; in double, rounded
// once. dx may be dy.
void gelu_gradient(const Context& ctx, std::int64_t count, const float* x, const float* dy, float* dx);

// dx[i,j] = sum over o of dy[i,o] weight[o,j];  dweight[o,j] = sum over i of dy[i,o] x[i,j]. Assigned. Each
// is one chain of multiply-adds in the order of o (of i). For few rows bound by the 4 in out bytes of
// weights.
void linear_data_gradient(const Context& ctx, std::int64_t rows, std::int64_t in, std::int64_t out,
                          const float* dy, const float* weight, float* dx);
void linear_weight_gradient(const Context& ctx, std::int64_t rows, std::int64_t in, std::int64_t out,
                            const float* dy, const float* x, float* dweight);

// y += x.
void accumulate(const Context& ctx, std::int64_t count, const float* x, float* y);

}  // namespace aikd::kernels::cpu
