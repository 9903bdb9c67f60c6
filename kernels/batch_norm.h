// BatchNorm with known statistics (inference), over the last dimension:
//
//   y[i,c] = (x[i,c] - mean[c]) / sqrt(var[c] + eps) * weight[c] + bias[c] = x[i,c] * scale[c] + shift[c]
//
// One multiply-add per element; 4 bytes in, 4 out.
#pragma once

#include <cstdint>

#include "kernels/context.h"

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
}  // namespace aikd::kernels
