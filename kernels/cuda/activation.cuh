// The operations of activation.h for map_rows, map_flat (pointwise.cuh) and column_sums (reduce.cuh).
#pragma once

#include "kernels/cuda/reduce.cuh"

namespace aikd::kernels::cuda {

struct PreluOp {
  static constexpr int kInputs = 1;
  const float* slope;
  struct Channel {
    float slope;
  };
  template <int kWidth>
  __device__ __forceinline__ Vec<Channel, kWidth> channels(std::int64_t c) const {
    return load_channels_of<Channel, kWidth>(slope + c);
  }
  __device__ __forceinline__ float operator()(const Channel& c, const float (&x)[1]) const {
    return x[0] > 0.0F ? x[0] : c.slope * x[0];
  }
};

// Inputs x, dy; value dx; sum dslope.
struct PreluGradient {
  static constexpr int kInputs = 2, kSums = 1;
  static constexpr bool kWrites = true;
  const float* slope;
  using Channel = PreluOp::Channel;
  template <int kWidth>
  __device__ __forceinline__ Vec<Channel, kWidth> channels(std::int64_t c) const {
    return load_channels_of<Channel, kWidth>(slope + c);
  }
  __device__ __forceinline__ float operator()(const Channel& c, const float (&x)[2], float (&sums)[1]) const {
    if (x[0] > 0.0F) return x[1];
    sums[0] = fmaf(x[1], x[0], sums[0]);
    return c.slope * x[1];
  }
};

struct ClampOp {
  static constexpr int kInputs = 1;
  float lo, hi;
  __device__ __forceinline__ float operator()(const float (&x)[1]) const {
    return x[0] < lo ? lo : x[0] > hi ? hi : x[0];
  }
};

// Inputs x, dy.
struct ClampGradient {
  static constexpr int kInputs = 2;
  float lo, hi;
  __device__ __forceinline__ float operator()(const float (&x)[2]) const {
    return x[0] <= lo || x[0] >= hi ? 0.0F : x[1];
  }
};

// Beyond this, exp(-x^2 / 2) < 1e-55: erfc and the density vanish in fp32, subnormal numbers included.
inline constexpr float kGeluTail = 16.0F;

// erfc(-x / sqrt 2), |x| <= kGeluTail or NaN. For x << 0 it falls like exp(-x^2 / 2), so half a unit in the
// last place of the argument t would change the result by t^2 such units (100 at x = -14). So t is kept as
// the sum of two floats, t + rest, and erfc(t + rest) = erfc(t) - rest 2 / sqrt(pi) exp(-t^2): the next term
// is smaller by the factor t rest, about 1e-5 of the correction.
__device__ __forceinline__ float erfc_of_normal(float x) {
  constexpr float kHigh = 0.70710678118654752440F;                                    // 1 / sqrt 2
  constexpr float kLow = static_cast<float>(0.70710678118654752440 - double{kHigh});  // what is missing
  constexpr float kSlope = 1.12837916709551257390F;                                   // 2 / sqrt(pi)
  const float t = -x * kHigh;
  const float rest = fmaf(-x, kLow, fmaf(-x, kHigh, -t));
  return fmaf(-rest * kSlope, expf(-t * t), erfcf(t));
}

// x/2 erfc(-x / sqrt 2): no subtraction of near-equals anywhere.
struct GeluOp {
  static constexpr int kInputs = 1;
  __device__ __forceinline__ float operator()(const float (&x)[1]) const {
    if (x[0] > kGeluTail) return x[0];
    if (x[0] < -kGeluTail) return -0.0F;
    return 0.5F * x[0] * erfc_of_normal(x[0]);
  }
};

// Inputs x, dy. The density's exponent x^2 / 2 is kept as two floats too. Phi and x phi have opposite signs
// for x < 0 and cancel near x = -0.75, where the derivative is 0; elsewhere one of them dominates.
struct GeluGradient {
  static constexpr int kInputs = 2;
  __device__ __forceinline__ float operator()(const float (&inputs)[2]) const {
    const float x = inputs[0], dy = inputs[1];
    if (x > kGeluTail) return dy;
    if (x < -kGeluTail) return 0.0F * dy;
    constexpr float kDensity = 0.39894228040143267794F;  // 1 / sqrt(2 pi)
    const float square = x * x, rest = fmaf(x, x, -square);
    const float exponential = expf(-0.5F * square);
    const float density = kDensity * fmaf(-0.5F * rest, exponential, exponential);
    return dy * fmaf(x, density, 0.5F * erfc_of_normal(x));
  }
};

}  // namespace aikd::kernels::cuda
