// The epilogue as a pass of its own, against the oracle: every combination, all border classes.
#include "kernels/epilogue.h"

#include <set>

#include "tests/cuda/pointwise_cases.h"
#include "tests/oracle/epilogue.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using kernels::Conv2dDims;
using kernels::Storage;
using kernels::cuda::FusedEpilogue;

constexpr double kUlp = 0x1p-23;

struct Combination {
  int bias_classes = 0;  // 0: no bias
  enum Activation { kNone, kPrelu, kClamp } activation = kNone;
  enum Residual { kNo, kBefore, kAfter } residual = kNo;
  bool second = false;
};

struct Operands {
  std::vector<float> x, residual, bias, slope, scale2, shift2;
  Operands(Storage storage, const Conv2dDims& d)
      : x(rounded(storage, random_normal(d.n * d.p() * d.q() * d.k, 1))),
        residual(rounded(storage, random_normal(d.n * d.p() * d.q() * d.k, 2))),
        bias(random_normal(9 * d.k, 3)),
        slope(random_normal(d.k, 4)),
        scale2(random_normal(d.k, 5)),
        shift2(random_normal(d.k, 6)) {}
};

struct Expected {
  std::vector<double> y, y2, magnitude, magnitude2;
  std::set<std::int64_t> classes;
};
Expected expect(const Conv2dDims& d, const Operands& o, const Combination& c) {
  const oracle::ConvSize size{
      .n = d.n, .h = d.h, .w = d.w, .k = d.k, .r = d.r, .s = d.s, .stride = d.stride, .pad = d.pad};
  Expected e;
  for (std::int64_t n = 0, i = 0; n < d.n; ++n) {
    for (std::int64_t p = 0; p < d.p(); ++p) {
      for (std::int64_t q = 0; q < d.q(); ++q) {
        const std::int64_t border = c.bias_classes == 9 ? oracle::border_class(size, p, q) : 0;
        e.classes.insert(border);
        for (std::int64_t k = 0; k < d.k; ++k, ++i) {
          const auto at = static_cast<std::size_t>(i), channel = static_cast<std::size_t>(k);
          const float bias = c.bias_classes == 0 ? 0.0F : o.bias[static_cast<std::size_t>(border * d.k + k)];
          const auto r = oracle::epilogue(
              static_cast<double>(o.x[at]),
              {.bias = static_cast<double>(bias),
               .residual = c.residual == Combination::kNo ? 0.0 : static_cast<double>(o.residual[at]),
               .prelu = c.activation == Combination::kPrelu,
               .clamps = c.activation == Combination::kClamp,
               .residual_first = c.residual == Combination::kBefore,
               .slope = static_cast<double>(o.slope[channel]),
               .lo = -0.5,
               .hi = 1.25,
               .scale2 = static_cast<double>(o.scale2[channel]),
               .shift2 = static_cast<double>(o.shift2[channel])});
          e.y.push_back(r.y);
          e.y2.push_back(r.y2);
          e.magnitude.push_back(r.magnitude);
          e.magnitude2.push_back(r.magnitude2);
        }
      }
    }
  }
  return e;
}

struct Got {
  std::vector<float> y, y2;
};
enum class Place { kApart, kOverX, kOverResidual };
Got run(Storage storage, const Conv2dDims& d, const Operands& o, const Combination& c, bool shifted,
        Place place) {
  const Placed x(storage, o.x, shifted), residual(storage, o.residual, shifted),
      y(storage, o.x.size(), shifted), y2(storage, o.x.size(), shifted);
  const DeviceArray<float> bias(o.bias), slope(o.slope), scale2(o.scale2), shift2(o.shift2);
  FusedEpilogue e;
  if (c.bias_classes > 0) {
    e.bias = bias.data();
    e.bias_classes = c.bias_classes;
  }
  if (c.activation == Combination::kPrelu) e.slope = slope.data();
  if (c.activation == Combination::kClamp) {
    e.clamps = true;
    e.lo = -0.5F;
    e.hi = 1.25F;
  }
  if (c.residual != Combination::kNo) e.residual = residual.data();
  e.residual_first = c.residual == Combination::kBefore;
  if (c.second) {
    e.y2 = y2.data();
    e.scale2 = scale2.data();
    e.shift2 = shift2.data();
  }
  const Placed& to = place == Place::kOverX ? x : place == Place::kOverResidual ? residual : y;
  kernels::cuda::apply_epilogue(DeviceTeam().context(), storage, d, x.data(), e, to.data());
  CHECK((x.intact() && residual.intact() && y.intact() && y2.intact()));
  return {to.download(), c.second ? y2.download() : std::vector<float>()};
}

void check(Storage storage, const Conv2dDims& d, const Combination& c, bool shifted) {
  CAPTURE(kernels::name_of(storage));
  CAPTURE(d.h);
  CAPTURE(d.w);
  CAPTURE(d.k);
  CAPTURE(c.bias_classes);
  CAPTURE(c.activation);
  CAPTURE(c.residual);
  CAPTURE(c.second);
  CAPTURE(shifted);
  const Operands o(storage, d);
  const Expected e = expect(d, o, c);
  const Got got = run(storage, d, o, c, shifted, Place::kApart);
  const auto rounds = [&](double value) { return storage == Storage::kF32 ? 0 : rounding(storage, value); };
  CHECK(first_wrong(got.y, e.y, [&](std::size_t i) { return rounds(e.y[i]) + 2 * kUlp * e.magnitude[i]; }) ==
        "");
  // y2 comes from the unrounded y: in 16 bits its error is that of its own rounding alone.
  if (c.second)
    CHECK(first_wrong(got.y2, e.y2,
                      [&](std::size_t i) { return rounds(e.y2[i]) + 3 * kUlp * e.magnitude2[i]; }) == "");
  const Got over_x = run(storage, d, o, c, shifted, Place::kOverX);
  CHECK((same_bits(over_x.y, got.y) && same_bits(over_x.y2, got.y2)));
  if (c.residual == Combination::kNo) return;
  const Got over_residual = run(storage, d, o, c, shifted, Place::kOverResidual);
  CHECK((same_bits(over_residual.y, got.y) && same_bits(over_residual.y2, got.y2)));
}

constexpr Conv2dDims filter3(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t k,
                             std::int64_t stride = 1, std::int64_t pad = 1) {
  return {.n = n, .h = h, .w = w, .c = 1, .k = k, .r = 3, .s = 3, .stride = stride, .pad = pad};
}

}  // namespace

TEST_CASE("cuda epilogue: every combination of bias, activation, residual and second output") {
  AIKD_NEEDS_DEVICE();
  for (const Storage storage : kStorages)
    for (const std::int64_t k : {13, 16})
      for (const int classes : {0, 1, 9})
        for (const auto activation : {Combination::kNone, Combination::kPrelu, Combination::kClamp})
          for (const auto residual : {Combination::kNo, Combination::kBefore, Combination::kAfter})
            for (const bool second : {false, true})
              check(
                  storage, filter3(2, 5, 4, k),
                  {.bias_classes = classes, .activation = activation, .residual = residual, .second = second},
                  k == 16 && second);
}

TEST_CASE("cuda epilogue: nine biases at every kind of border") {
  AIKD_NEEDS_DEVICE();
  const Combination nine{.bias_classes = 9, .activation = Combination::kPrelu};
  struct Case {
    Conv2dDims dims;
    std::set<std::int64_t> classes;
  };
  const std::set<std::int64_t> all = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  const Case cases[] = {
      {filter3(2, 7, 7, 8), all},                      // p = q = 7
      {filter3(1, 14, 14, 24), all},                   // 14
      {filter3(3, 7, 14, 5), all},                     // odd channels
      {filter3(2, 14, 14, 16, 2), {0, 1, 3, 4}},       // stride 2, p = 7: nothing reaches over the far edge
      {filter3(2, 13, 13, 16, 2), all},                // stride 2, p = 7: the last row does
      {filter3(2, 14, 7, 16, 2), {0, 1, 2, 3, 4, 5}},  // one of them
      {filter3(3, 2, 2, 8), {0, 2, 6, 8}},             // no middle
      {filter3(3, 1, 1, 8), {0}},                      // reaches over both edges: the first counts
      {filter3(2, 1, 9, 8), {0, 1, 2}},                // one row
      {filter3(2, 3, 3, 8, 1, 0), {4}},                // no padding, p = q = 1
      {filter3(1, 9, 3, 8, 1, 0), {4}},                // no padding, q = 1
      {{.n = 2, .h = 7, .w = 6, .k = 8}, {4}},         // 1x1
      {{.n = 1, .h = 8, .w = 8, .k = 8, .r = 5, .s = 5, .pad = 2}, all},
  };
  for (const Storage storage : kStorages) {
    for (const Case& c : cases) {
      check(storage, c.dims, nine, false);
      CHECK((expect(c.dims, Operands(storage, c.dims), nine).classes == c.classes));
    }
  }
}

TEST_CASE("cuda epilogue: more vectors than a grid has threads, vectors of features, nothing") {
  AIKD_NEEDS_DEVICE();
  const Combination c{
      .bias_classes = 9, .activation = Combination::kPrelu, .residual = Combination::kAfter, .second = true};
  check(Storage::kF32, filter3(5, 56, 50, 21), c, false);
  check(Storage::kF16, filter3(3, 28, 28, 64), c, false);
  check(Storage::kBF16, {.n = 17, .k = 512}, {.bias_classes = 1, .second = true}, false);
  check(Storage::kF32, filter3(0, 7, 7, 16), c, false);
}

TEST_CASE("cuda epilogue: NaN passes through every activation") {
  AIKD_NEEDS_DEVICE();
  const Conv2dDims d{.n = 2, .k = 8};
  for (const Storage storage : kStorages) {
    Operands o(storage, d);
    o.x[3] = std::nanf("");
    for (const auto activation : {Combination::kNone, Combination::kPrelu, Combination::kClamp}) {
      const Got got = run(storage, d, o, {.activation = activation, .second = true}, false, Place::kApart);
      for (std::size_t i = 0; i < got.y.size(); ++i) {
        CHECK(std::isnan(got.y[i]) == (i == 3));
        CHECK(std::isnan(got.y2[i]) == (i == 3));
      }
    }
  }
}
