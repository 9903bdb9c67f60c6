// Change of storage and of layout: bits are moved or rounded, so everything is compared exactly.
#include "kernels/layout.h"

#include <limits>

#include "tests/cuda/pointwise_cases.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using kernels::Storage;
namespace cuda = kernels::cuda;

}  // namespace

TEST_CASE("cuda layout: cast rounds to nearest, ties to even") {
  AIKD_NEEDS_DEVICE();
  constexpr float kInf = std::numeric_limits<float>::infinity();
  DeviceTeam team;
  for (const Storage from : kStorages) {
    for (const Storage to : kStorages) {
      for (const std::int64_t count : {0, 1, 3, 8, 13, 49, 1000, 12544}) {
        for (const bool shifted : {false, true}) {
          CAPTURE(kernels::name_of(from));
          CAPTURE(kernels::name_of(to));
          CAPTURE(count);
          std::vector<float> x = random_normal(count, 1);
          // Ties of fp16 and bf16, subnormal numbers, the ends of fp16's range, infinities.
          const float specials[] = {1.0F + 0x1p-11F, 1.0F + 0x3p-11F, 1.0F + 0x1p-8F, 1.0F + 0x3p-8F,
                                    0x1p-24F,        0x1p-25F,        -0.0F,          65504.0F,
                                    65520.0F,        -70000.0F,       kInf,           -kInf};
          for (std::size_t i = 0; i < std::size(specials) && i + 1 < x.size(); ++i) x[i] = specials[i];
          x = rounded(from, x);
          const Placed source(from, x, shifted), y(to, x.size(), shifted);
          cuda::cast(team.context(), from, to, count, source.data(), y.data());
          CHECK(same_bits(y.download(), rounded(to, x)));
          CHECK((source.intact() && y.intact()));
        }
      }
    }
  }
  const Placed nan(Storage::kF32, std::vector<float>(9, std::nanf(""))), y(Storage::kF16, 9);
  cuda::cast(team.context(), Storage::kF32, Storage::kF16, 9, nan.data(), y.data());
  for (const float value : y.download()) CHECK(std::isnan(value));
}

TEST_CASE("cuda layout: channels are padded with zeros or cut off, and rounded to the other storage") {
  AIKD_NEEDS_DEVICE();
  struct Size {
    std::int64_t rows, from, to;
  };
  DeviceTeam team;
  for (const Storage from : kStorages) {
    for (const Storage to : kStorages) {
      for (const Size s : {Size{1, 1, 1}, Size{49, 3, 8}, Size{49, 8, 3}, Size{1000, 3, 4}, Size{7, 13, 16},
                           Size{13, 24, 24}, Size{0, 3, 8}}) {
        for (const bool shifted : {false, true}) {
          CAPTURE(kernels::name_of(from));
          CAPTURE(kernels::name_of(to));
          CAPTURE(s.from);
          CAPTURE(s.to);
          const std::vector<float> x = rounded(from, random_normal(s.rows * s.from, 3));
          std::vector<float> expected;
          for (std::int64_t row = 0; row < s.rows; ++row)
            for (std::int64_t c = 0; c < s.to; ++c)
              expected.push_back(c < s.from ? rounded(to, x[static_cast<std::size_t>(row * s.from + c)])
                                            : 0.0F);
          const Placed source(from, x, shifted), y(to, expected.size(), shifted);
          cuda::fit_channels(team.context(), from, to, s.rows, s.from, source.data(), s.to, y.data());
          CHECK(same_bits(y.download(), expected));
          CHECK((source.intact() && y.intact()));
        }
      }
    }
  }
}

TEST_CASE("cuda layout: NCHW to NHWC and back") {
  AIKD_NEEDS_DEVICE();
  struct Size {
    std::int64_t n, c, h, w;
  };
  DeviceTeam team;
  for (const Storage storage : kStorages) {
    for (const Size s : {Size{1, 1, 1, 1}, Size{2, 3, 7, 7}, Size{1, 3, 29, 37}, Size{3, 2, 33, 31},
                         Size{2, 49, 1, 1}, Size{1, 1, 13, 100}, Size{2, 33, 5, 13}, Size{1, 31, 8, 8},
                         Size{2, 64, 14, 14}, Size{1, 513, 3, 1}, Size{0, 3, 5, 5}}) {
      for (const bool shifted : {false, true}) {
        CAPTURE(kernels::name_of(storage));
        CAPTURE(s.c);
        CAPTURE(s.h);
        const std::int64_t pixels = s.h * s.w;
        const std::vector<float> x = rounded(storage, random_normal(s.n * s.c * pixels, 2));
        std::vector<float> expected(x.size());
        for (std::int64_t n = 0; n < s.n; ++n)
          for (std::int64_t c = 0; c < s.c; ++c)
            for (std::int64_t i = 0; i < pixels; ++i)
              expected[static_cast<std::size_t>((n * pixels + i) * s.c + c)] =
                  x[static_cast<std::size_t>((n * s.c + c) * pixels + i)];
        const Placed nchw(storage, x, shifted), nhwc(storage, x.size(), shifted),
            back(storage, x.size(), shifted);
        cuda::nchw_to_nhwc(team.context(), storage, s.n, s.c, s.h, s.w, nchw.data(), nhwc.data());
        CHECK(same_bits(nhwc.download(), expected));
        cuda::nhwc_to_nchw(team.context(), storage, s.n, s.c, s.h, s.w, nhwc.data(), back.data());
        CHECK(same_bits(back.download(), x));
        CHECK((nchw.intact() && nhwc.intact() && back.intact()));
      }
    }
  }
}
