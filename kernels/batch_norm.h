// BatchNorm over the last dimension:
//
//   y[i,c] = (x[i,c] - mean[c]) / sqrt(var[c] + eps) * weight[c] + bias[c] = x[i,c] * scale[c] + shift[c]
//
// With known statistics (inference): one multiply-add per element; 4 bytes in, 4 out (fp32).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/context.h"
#include "kernels/storage.h"

namespace aikd::kernels {

// The two factors in double, so that a plan can fold them into filters and round once.
struct BatchNormFactor {
  double scale, shift;
};
BatchNormFactor batch_norm_factor(double weight, double bias, double mean, double var, double eps);

namespace cpu {

// Assigns y [rows,channels]; y may be x. scale, shift: channels floats.
void batch_norm(const Context& ctx, std::int64_t rows, std::int64_t channels, const float* x,
                const float* scale, const float* shift, float* y);

}  // namespace cpu

// Tensors [rows,channels] share one storage; statistics, parameters and their gradients are fp32 [channels].
// Device pointers, no alignment needed. Null for weight, bias: 1, 0. Elements are computed in fp32 and
// rounded to the storage once. The order of each sum depends on the shape and the storage alone.
//
// Bytes per element (s = bytes of the storage): statistics s; train_forward 2 s; train_backward 5 s;
// eval_backward 3 s; the forms with PReLU the same.
namespace cuda {

// y = x * scale + shift, one fmaf. Assigns y; y may be x.
void batch_norm(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels, const void* x,
                const float* scale, const float* shift, void* y);

// mean[c] and the biased variance var[c] = mean over rows of (x - mean)^2, rows >= 1. Assigns both. One pass:
// moments are taken of x less the first row of each run of rows, by groups of four rows around the group's
// own mean, and merged (Chan, Golub, LeVeque, "Algorithms for computing the sample variance", 1983), so
// neither large means nor single outliers cost digits; runs are merged in double. ctx.workspace: as told.
std::size_t batch_norm_statistics_workspace_bytes(std::int64_t rows, std::int64_t channels);
void batch_norm_statistics(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels,
                           const void* x, float* mean, float* var);

// running = (1 - momentum) running + momentum new, as PyTorch does: the new variance is the unbiased one,
// var rows / (rows - 1). rows >= 2.
void batch_norm_update_running(const Context& ctx, std::int64_t channels, const float* mean, const float* var,
                               std::int64_t rows, float momentum, float* running_mean, float* running_var);

// y = (x - mean) weight / sqrt(var + eps) + bias, the subtraction first. Assigns y; y may be x (but the
// gradient needs x). Also right for frozen statistics.
void batch_norm_train_forward(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels,
                              const float* mean, const float* var, const float* weight, const float* bias,
                              float eps, const void* x, void* y);

// The gradient through y and through mean and var, which are the statistics of x. With
// xhat = (x - mean) / sqrt(var + eps) and n = rows:
//
//   dbias = sum dy     dweight = sum dy xhat     dx = weight / sqrt(var + eps) (dy - dbias/n - xhat
//   dweight/n)
//
// (Ioffe and Szegedy 2015, section 3, put together.) Assigns dx (may be dy; null: not wanted), dweight and
// dbias (null: not wanted).
std::size_t batch_norm_backward_workspace_bytes(std::int64_t rows, std::int64_t channels);
void batch_norm_train_backward(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels,
                               const void* x, const float* mean, const float* var, const float* weight,
                               float eps, const void* dy, void* dx, float* dweight, float* dbias);

// The gradient where mean and var are constants: dx = dy weight / sqrt(var + eps), dweight and dbias as
// above. x is not read when neither is wanted (and may be null). The same workspace.
void batch_norm_eval_backward(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels,
                              const void* x, const float* mean, const float* var, const float* weight,
                              float eps, const void* dy, void* dx, float* dweight, float* dbias);

// BatchNorm and PReLU at once: y = prelu(z), z = batch_norm(x) as above, not rounded in between. Saves
// nothing but x, mean and var: the gradient computes z again.
void batch_norm_prelu_forward(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels,
                              const float* mean, const float* var, const float* weight, const float* bias,
                              float eps, const float* slope, const void* x, void* y);

// dz = z > 0 ? dy : slope dy and dslope = sum of dy z where not z > 0; then as batch_norm_train_backward with
// dz. Assigns dx (may be dy; null: not wanted), dweight, dbias, dslope (null: not wanted).
std::size_t batch_norm_prelu_backward_workspace_bytes(std::int64_t rows, std::int64_t channels);
void batch_norm_prelu_backward(const Context& ctx, Storage storage, std::int64_t rows, std::int64_t channels,
                               const void* x, const float* mean, const float* var, const float* weight,
                               const float* bias, float eps, const float* slope, const void* dy, void* dx,
                               float* dweight, float* dbias, float* dslope);

}  // namespace cuda
}  // namespace aikd::kernels
