// What the tests of convolution, linear and depthwise kernels share: operands, comparison with the oracle,
// and the fused epilogue in double.
#pragma once

#include <cmath>
#include <vector>

#include "kernels/conv2d.h"
#include "kernels/epilogue.h"
#include "tests/cuda/device_memory.h"
#include "tests/oracle/conv2d.h"
#include "tests/oracle/epilogue.h"

namespace aikd::test {

inline oracle::ConvSize oracle_size(const kernels::Conv2dDims& d) {
  return {d.n, d.h, d.w, d.c, d.k, d.r, d.s, d.stride, d.pad};
}

// Small integers, of which every sum is exact in fp32, or normal values; rounded to the storage.
inline std::vector<float> operand(kernels::Storage storage, std::int64_t count, bool integers,
                                  std::uint64_t seed) {
  return rounded(storage, integers ? random_integers(count, 3, seed) : random_normal(count, seed));
}

// How many of y are wrong. Integers must be the exact value, rounded once. Otherwise y may be off by the
// final rounding and by that of `terms` fp32 additions, each of which errs by at most one unit (tensor cores
// may cut off instead of rounding) of the sum of the terms' magnitudes.
inline int wrong_sums(kernels::Storage storage, const std::vector<float>& y, const oracle::Sums& expected,
                      bool integers, std::int64_t terms) {
  if (y.size() != expected.value.size()) return -1;
  int wrong = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double value = expected.value[i];
    if (integers) {
      if (!(y[i] == rounded(storage, static_cast<float>(value)))) ++wrong;
      continue;
    }
    const double arithmetic = 0x1p-23 * static_cast<double>(terms + 4) * expected.magnitude[i];
    const double storing = half_ulp(storage) * (std::fabs(value) + arithmetic) +
                           (storage == kernels::Storage::kF16 ? 0x1p-25 : 0x1p-140);
    if (!(std::fabs(static_cast<double>(y[i]) - value) <= arithmetic + storing)) ++wrong;
  }
  return wrong;
}

// Which parts of FusedEpilogue a case has.
struct EpilogueParts {
  std::int32_t bias_classes = 0;  // 0: no bias
  bool prelu = false, clamps = false, residual = false, residual_first = false, second = false;
  bool in_place = false;  // y is the residual
};

// Parameters of an epilogue on the host, and the epilogue in double.
struct EpilogueCase {
  EpilogueParts parts;
  std::vector<float> bias, slope, residual, scale2, shift2;
  float lo = -6, hi = 11;

  // Integers, so that results are exact; slopes are halves.
  EpilogueCase(kernels::Storage storage, const EpilogueParts& which, std::int64_t k, std::int64_t outputs)
      : parts(which),
        bias(random_integers(std::max(which.bias_classes, 1) * k, 9, 11)),
        slope(random_integers(k, 3, 12)),
        residual(rounded(storage, random_integers(outputs, 9, 13))),
        scale2(random_integers(k, 3, 14)),
        shift2(random_integers(k, 5, 15)) {
    for (float& s : slope) s *= 0.5F;
  }

  // Of the sum at element `i`, whose pixel has border class `border`.
  oracle::EpilogueResult apply(double sum, std::size_t i, std::int64_t border) const {
    const std::size_t k = i % slope.size(),
                      row = parts.bias_classes == 9 ? static_cast<std::size_t>(border) : 0;
    return oracle::epilogue(
        sum, {.bias = parts.bias_classes > 0 ? static_cast<double>(bias[row * slope.size() + k]) : 0,
              .residual = parts.residual ? static_cast<double>(residual[i]) : 0,
              .prelu = parts.prelu,
              .clamps = parts.clamps,
              .residual_first = parts.residual_first,
              .slope = static_cast<double>(slope[k]),
              .lo = static_cast<double>(lo),
              .hi = static_cast<double>(hi),
              .scale2 = static_cast<double>(scale2[k]),
              .shift2 = static_cast<double>(shift2[k])});
  }
};

// The same on the device.
struct DeviceEpilogue {
  DeviceArray<float> bias, slope, scale2, shift2;
  DeviceFloats residual, y, y2;
  kernels::cuda::FusedEpilogue fused;

  DeviceEpilogue(kernels::Storage storage, const EpilogueCase& c)
      : bias(c.bias),
        slope(c.slope),
        scale2(c.scale2),
        shift2(c.shift2),
        residual(storage, c.residual),
        y(storage, c.residual.size()),
        y2(storage, c.residual.size()) {
    if (c.parts.bias_classes > 0) {
      fused.bias = bias.data();
      fused.bias_classes = c.parts.bias_classes;
    }
    if (c.parts.prelu) fused.slope = slope.data();
    fused.clamps = c.parts.clamps;
    fused.lo = c.lo;
    fused.hi = c.hi;
    if (c.parts.residual) fused.residual = residual.data();
    fused.residual_first = c.parts.residual_first;
    if (c.parts.second) {
      fused.scale2 = scale2.data();
      fused.shift2 = shift2.data();
      fused.y2 = y2.data();
    }
    in_place_ = c.parts.in_place;
  }
  void* result() const { return in_place_ ? residual.data() : y.data(); }
  std::vector<float> download() const { return in_place_ ? residual.download() : y.download(); }
  bool guards_intact() const {
    return bias.guards_intact() && slope.guards_intact() && scale2.guards_intact() &&
           shift2.guards_intact() && residual.guards_intact() && y.guards_intact() && y2.guards_intact();
  }

 private:
  bool in_place_ = false;
};

// Every part of the epilogue, alone and together.
inline const EpilogueParts kEpilogues[] = {
    {.bias_classes = 1},
    {.bias_classes = 9},
    {.prelu = true},
    {.clamps = true},
    {.residual = true},
    {.second = true},
    {.bias_classes = 9, .prelu = true, .residual = true, .second = true},
    {.bias_classes = 1, .prelu = true, .residual = true, .residual_first = true},
    {.bias_classes = 1, .clamps = true, .residual = true, .second = true, .in_place = true},
    {.bias_classes = 9,
     .clamps = true,
     .residual = true,
     .residual_first = true,
     .second = true,
     .in_place = true},
};

// Runs run(fused epilogue, y) for every epilogue and compares with `sums` [n,p,q,k], which are integers; the
// second run must give the same bits.
template <class Run>
void check_epilogues(kernels::Storage storage, const kernels::Conv2dDims& d, std::int64_t k,
                     const std::vector<double>& sums, const Run& run) {
  int number = 0;
  for (const EpilogueParts& parts : kEpilogues) {
    CAPTURE(number);
    ++number;
    const EpilogueCase c(storage, parts, k, static_cast<std::int64_t>(sums.size()));
    std::vector<float> results[2];
    for (std::vector<float>& result : results) {
      const DeviceEpilogue device(storage, c);
      run(device.fused, device.result());
      CHECK(device.guards_intact());
      result = device.download();
      const std::vector<float> second = parts.second ? device.y2.download() : std::vector<float>();
      int wrong = 0;
      for (std::size_t i = 0; i < sums.size(); ++i) {
        const std::int64_t pixel = static_cast<std::int64_t>(i) / k;
        const oracle::EpilogueResult expected =
            c.apply(sums[i], i, oracle::border_class(oracle_size(d), pixel / d.q() % d.p(), pixel % d.q()));
        if (!(result[i] == rounded(storage, static_cast<float>(expected.y)))) ++wrong;
        if (parts.second && !(second[i] == rounded(storage, static_cast<float>(expected.y2)))) ++wrong;
      }
      CHECK(wrong == 0);
    }
    CHECK(same_bits(results[0], results[1]));
  }
}

}  // namespace aikd::test
