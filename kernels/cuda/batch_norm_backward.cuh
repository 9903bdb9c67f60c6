// BatchNorm backward (batch_norm.h): the operations for column_sums (reduce.cuh) and map_rows
// (pointwise.cuh). Through the statistics: sums, one read of x and dy; then dx, one more read of both and a
// write. Frozen statistics: one pass does both, as dx needs no sum.
#pragma once

#include "kernels/cuda/batch_norm.cuh"

namespace aikd::kernels::cuda {

// Inputs x, dy; sums dweight, dbias; with kFrozen, value dx = dy scale.
template <bool kFrozen>
struct BatchNormSums {
  static constexpr int kInputs = 2, kSums = 2;
  static constexpr bool kWrites = kFrozen;
  BatchNormParameters parameters;
  using Channel = BatchNormChannel;
  template <int kWidth>
  __device__ __forceinline__ Vec<Channel, kWidth> channels(std::int64_t c) const {
    return batch_norm_channels<kWidth>(parameters, c);
  }
  __device__ __forceinline__ float operator()(const Channel& c, const float (&x)[2], float (&sums)[2]) const {
    sums[0] = fmaf(x[1], (x[0] - c.mean) * c.rstd, sums[0]);
    sums[1] += x[1];
    return x[1] * c.scale;
  }
};

// Input dy: the same dx alone.
struct BatchNormFrozenOp {
  static constexpr int kInputs = 1;
  BatchNormParameters parameters;
  using Channel = BatchNormChannel;
  template <int kWidth>
  __device__ __forceinline__ Vec<Channel, kWidth> channels(std::int64_t c) const {
    return batch_norm_channels<kWidth>(parameters, c);
  }
  __device__ __forceinline__ float operator()(const Channel& c, const float (&dy)[1]) const {
    return dy[0] * c.scale;
  }
};

// dx = scale (dz - dbias/n - (x - mean) rstd dweight/n), from the sums over all rows.
struct BatchNormSumsOfAll {
  const float *dweight, *dbias;
  float inverse_rows;  // 1 / n
};
struct BatchNormGradientChannel {
  float mean, scale, subtract, slope;  // subtract: dbias/n; slope: rstd dweight/n
};
template <int kWidth>
__device__ __forceinline__ Vec<BatchNormGradientChannel, kWidth> batch_norm_gradient_channels(
    const Vec<BatchNormChannel, kWidth>& norm, const BatchNormSumsOfAll& sums, std::int64_t c) {
  const Vec<float, kWidth> dweight = load_parameters<kWidth>(sums.dweight + c),
                           dbias = load_parameters<kWidth>(sums.dbias + c);
  Vec<BatchNormGradientChannel, kWidth> out;
#pragma unroll
  for (int e = 0; e < kWidth; ++e)
    out.v[e] = {norm.v[e].mean, norm.v[e].scale, dbias.v[e] * sums.inverse_rows,
                norm.v[e].rstd * (dweight.v[e] * sums.inverse_rows)};
  return out;
}
__device__ __forceinline__ float batch_norm_gradient(const BatchNormGradientChannel& c, float x, float dz) {
  return c.scale * fmaf(c.mean - x, c.slope, dz - c.subtract);
}

// Inputs x, dy.
struct BatchNormGradientOp {
  static constexpr int kInputs = 2;
  BatchNormParameters parameters;
  BatchNormSumsOfAll sums;
  using Channel = BatchNormGradientChannel;
  template <int kWidth>
  __device__ __forceinline__ Vec<Channel, kWidth> channels(std::int64_t c) const {
    return batch_norm_gradient_channels<kWidth>(batch_norm_channels<kWidth>(parameters, c), sums, c);
  }
  __device__ __forceinline__ float operator()(const Channel& c, const float (&x)[2]) const {
    return batch_norm_gradient(c, x[0], x[1]);
  }
};

// The workspace of a backward pass: where dweight and dbias go when the caller does not take them, then the
// runs' sums.
inline std::size_t batch_norm_sums_bytes(std::int64_t rows, std::int64_t channels, int sums) {
  return 2 * sizeof(float) * static_cast<std::size_t>(channels) +
         column_workspace_bytes(rows, channels, sums);
}
inline Context behind_batch_norm_sums(const Context& ctx, std::int64_t channels) {
  Context rest = ctx;
  const std::size_t used = 2 * sizeof(float) * static_cast<std::size_t>(channels);
  rest.workspace = static_cast<unsigned char*>(ctx.workspace) + used;
  rest.workspace_bytes = ctx.workspace_bytes > used ? ctx.workspace_bytes - used : 0;
  return rest;
}

}  // namespace aikd::kernels::cuda
