// BatchNorm and PReLU in one pass, forward and backward (batch_norm.h). z = batch_norm(x) is computed again
// from x wherever it is needed, by the function of the forward pass: the same bits, so the same branch.
#pragma once

#include "kernels/cuda/batch_norm_backward.cuh"

namespace aikd::kernels::cuda {

struct BatchNormPreluParameters {
  BatchNormParameters norm;
  const float* slope;
};

struct BatchNormPreluOp {
  static constexpr int kInputs = 1;
  BatchNormPreluParameters parameters;
  struct Channel {
    BatchNormChannel norm;
    float slope;
  };
  template <int kWidth>
  __device__ __forceinline__ Vec<Channel, kWidth> channels(std::int64_t c) const {
    const Vec<BatchNormChannel, kWidth> norm = batch_norm_channels<kWidth>(parameters.norm, c);
    const Vec<float, kWidth> slope = load_parameters<kWidth>(parameters.slope + c);
    Vec<Channel, kWidth> out;
#pragma unroll
    for (int e = 0; e < kWidth; ++e) out.v[e] = {norm.v[e], slope.v[e]};
    return out;
  }
  __device__ __forceinline__ float operator()(const Channel& c, const float (&x)[1]) const {
    const float z = batch_norm_value(c.norm, x[0]);
    return z > 0.0F ? z : c.slope * z;
  }
};

// Inputs x, dy; sums dweight, dbias, dslope.
struct BatchNormPreluSums {
  static constexpr int kInputs = 2, kSums = 3;
  static constexpr bool kWrites = false;
  BatchNormPreluParameters parameters;
  using Channel = BatchNormPreluOp::Channel;
  template <int kWidth>
  __device__ __forceinline__ Vec<Channel, kWidth> channels(std::int64_t c) const {
    return BatchNormPreluOp{parameters}.channels<kWidth>(c);
  }
  __device__ __forceinline__ float operator()(const Channel& c, const float (&x)[2], float (&sums)[3]) const {
    const float z = batch_norm_value(c.norm, x[0]);
    const bool positive = z > 0.0F;
    const float dz = positive ? x[1] : c.slope * x[1];
    sums[0] = fmaf(dz, (x[0] - c.norm.mean) * c.norm.rstd, sums[0]);
    sums[1] += dz;
    sums[2] = positive ? sums[2] : fmaf(x[1], z, sums[2]);
    return 0.0F;
  }
};

// Inputs x, dy.
struct BatchNormPreluGradientOp {
  static constexpr int kInputs = 2;
  BatchNormPreluParameters parameters;
  BatchNormSumsOfAll sums;
  struct Channel {
    BatchNormGradientChannel norm;
    float bias, slope;
  };
  template <int kWidth>
  __device__ __forceinline__ Vec<Channel, kWidth> channels(std::int64_t c) const {
    const Vec<BatchNormChannel, kWidth> norm = batch_norm_channels<kWidth>(parameters.norm, c);
    const Vec<BatchNormGradientChannel, kWidth> gradient =
        batch_norm_gradient_channels<kWidth>(norm, sums, c);
    const Vec<float, kWidth> slope = load_parameters<kWidth>(parameters.slope + c);
    Vec<Channel, kWidth> out;
#pragma unroll
    for (int e = 0; e < kWidth; ++e) out.v[e] = {gradient.v[e], norm.v[e].bias, slope.v[e]};
    return out;
  }
  __device__ __forceinline__ float operator()(const Channel& c, const float (&x)[2]) const {
    const float z = batch_norm_value({c.norm.mean, 0.0F, c.norm.scale, c.bias}, x[0]);
    return batch_norm_gradient(c.norm, x[0], z > 0.0F ? x[1] : c.slope * x[1]);
  }
};

}  // namespace aikd::kernels::cuda
