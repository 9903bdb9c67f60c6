// Convolutions through cuDNN against the definition in double: every direction, every epilogue, every
// storage.
#include <cmath>
#include <string>
#include <vector>

#include "tests/cuda/gpu/cudnn_fixture.h"

namespace aikd {

using namespace test::cudnn;  // NOLINT(google-build-using-namespace)
using test::DeviceFloats;

TEST_CASE("cudnn: the gradients of this test are those of the forward pass") {
  // The convolution is linear in x and in weight, so <dy, conv(x, weight)> = <dx, x> = <dweight, weight>, to
  // rounding.
  for (const ConvSize& size : kSizes) {
    const auto x = test::random_normal(inputs_of(size), 1);
    const auto weight = test::random_normal(weights_of(size), 2);
    const auto dy = test::random_normal(outputs_of(size), 3);
    const auto dot = [](const Sums& a, const std::vector<float>& b) {
      double sum = 0;
      for (std::size_t i = 0; i < b.size(); ++i) sum += a.value[i] * double{b[i]};
      return sum;
    };
    const double forward = dot(oracle::conv2d<float>(size, x.data(), weight.data(), nullptr), dy);
    CHECK(std::fabs(dot(data_gradient(size, dy, weight), x) - forward) <= 1e-9 * std::fabs(forward) + 1e-7);
    CHECK(std::fabs(dot(filter_gradient(size, x, dy), weight) - forward) <= 1e-9 * std::fabs(forward) + 1e-7);
  }
}

TEST_CASE("cudnn: specs are equal only where everything is") {
  const CudnnConvSpec a = spec_of(kSizes[0], kArithmetics[0], kEpilogues[4]);
  CHECK(a == spec_of(kSizes[0], kArithmetics[0], kEpilogues[4]));
  const auto differs = [&](auto&& change) {
    CudnnConvSpec b = a;
    change(b);
    return !(a == b) && !(b == a);
  };
  CHECK(differs([](CudnnConvSpec& s) { s.direction = ConvDirection::kDataGradient; }));
  for (auto member : {&Conv2dDims::n, &Conv2dDims::h, &Conv2dDims::w, &Conv2dDims::c, &Conv2dDims::k,
                      &Conv2dDims::r, &Conv2dDims::s, &Conv2dDims::stride, &Conv2dDims::pad})
    CHECK(differs([&](CudnnConvSpec& s) { ++(s.dims.*member); }));
  for (auto member : {&CudnnConvSpec::tf32, &CudnnConvSpec::deterministic, &CudnnConvSpec::bias,
                      &CudnnConvSpec::prelu, &CudnnConvSpec::clamps, &CudnnConvSpec::residual,
                      &CudnnConvSpec::residual_first, &CudnnConvSpec::second_output})
    CHECK(differs([&](CudnnConvSpec& s) { s.*member = !(s.*member); }));
  CHECK(differs([](CudnnConvSpec& s) { s.storage = Storage::kBF16; }));
  CHECK(differs([](CudnnConvSpec& s) { s.lo = -1; }));
  CHECK(differs([](CudnnConvSpec& s) { s.hi = 5; }));
}

TEST_CASE("cudnn: forward with every epilogue, against the definition") {
  AIKD_NEEDS_DEVICE();
  test::DeviceTeam team(kWorkspace);
  AIKD_NEEDS_CUDNN(team.context());
  for (const Arithmetic& a : kArithmetics) {
    int fused = 0;
    for (const ConvSize& size : kSizes) {
      const Operands o(size, a.storage, test::random_normal(inputs_of(size), 1),
                       test::random_normal(weights_of(size), 2));
      const auto residual = test::rounded(a.storage, test::random_normal(outputs_of(size), 3));
      const auto bias = test::random_normal(size.k, 4), slope = test::random_normal(size.k, 5),
                 scale2 = test::random_normal(size.k, 6), shift2 = test::random_normal(size.k, 7);
      const DeviceFloats device_residual(a.storage, residual);
      const test::DeviceArray<float> device_bias(bias), device_slope(slope), device_scale2(scale2),
          device_shift2(shift2);
      const Sums bare = oracle::conv2d<float>(size, o.x.data(), o.weight.data(), nullptr);
      const Sums biased = oracle::conv2d<float>(size, o.x.data(), o.weight.data(), bias.data());
      for (const Epilogue& epilogue : kEpilogues) {
        const CudnnConvSpec spec = spec_of(size, a, epilogue);
        CAPTURE(name_of(a.storage));
        CAPTURE(a.tf32);
        CAPTURE(size.c);
        CAPTURE(size.k);
        CAPTURE(size.stride);
        CAPTURE(epilogue.name);
        const CudnnConvChoice choice = make_cudnn_conv(*team.context().libraries, spec, false, kWorkspace);
        if (choice.plan == nullptr) {
          CHECK(choice.why.rfind("cuDNN, forward ", 0) == 0);
          // The bare convolution is what callers fall back to: it must be there.
          CHECK_MESSAGE(std::string(epilogue.name) != "none", choice.why);
          continue;
        }
        if (spec.bias) ++fused;
        const std::string engine = choice.plan->engine();
        CAPTURE(engine);
        const Expected expected = expect(spec.bias ? biased : bare, spec, a, slope, residual, scale2, shift2);
        std::vector<float> first, first2;
        for (int run = 0; run < 2; ++run) {
          const DeviceFloats y(a.storage, o.outputs), y2(a.storage, o.outputs);
          CudnnConvPointers p;
          p.x = o.device_x.data();
          p.weight = o.device_weight.data();
          p.y = y.data();
          if (spec.bias) p.bias = device_bias.data();
          if (spec.prelu) p.slope = device_slope.data();
          if (spec.residual) p.residual = device_residual.data();
          if (spec.second_output) {
            p.scale2 = device_scale2.data();
            p.shift2 = device_shift2.data();
            p.y2 = y2.data();
          }
          choice.plan->run(team.context(), p);
          const std::vector<float> got = y.download(), got2 = y2.download();
          CHECK(y.guards_intact());
          CHECK(y2.guards_intact());
          if (run == 0) {
            CHECK(count_wrong(got, expected.y, expected.y_bound) == 0);
            if (spec.second_output) CHECK(count_wrong(got2, expected.y2, expected.y2_bound) == 0);
            first = got;
            first2 = got2;
          } else {
            CHECK(test::same_bits(got, first));
            CHECK(test::same_bits(got2, first2));
          }
        }
      }
    }
    // In exact fp32 only the bias may have an engine; in the others the fusions are what the card is fast by.
    if (a.tf32 || a.storage != Storage::kF32)
      WARN_MESSAGE(fused >= 40, "few fused engines on this card: ", fused);
  }
  CHECK(team.guards_intact());
}

TEST_CASE("cudnn: both gradients, against the definition") {
  AIKD_NEEDS_DEVICE();
  test::DeviceTeam team(kWorkspace);
  AIKD_NEEDS_CUDNN(team.context());
  for (const Arithmetic& a : kArithmetics) {
    for (const ConvSize& size : kSizes) {
      const Operands o(size, a.storage, test::random_normal(inputs_of(size), 8),
                       test::random_normal(weights_of(size), 9), test::random_normal(outputs_of(size), 10));
      for (const ConvDirection direction : {ConvDirection::kDataGradient, ConvDirection::kFilterGradient}) {
        CudnnConvSpec spec = spec_of(size, a);
        spec.direction = direction;
        const bool data = direction == ConvDirection::kDataGradient;
        CAPTURE(name_of(a.storage));
        CAPTURE(a.tf32);
        CAPTURE(size.c);
        CAPTURE(size.k);
        CAPTURE(size.stride);
        CAPTURE(data);
        const CudnnConvChoice choice = make_cudnn_conv(*team.context().libraries, spec, false, kWorkspace);
        REQUIRE_MESSAGE(choice.plan != nullptr, choice.why);
        const Sums expected = data ? data_gradient(size, o.dy, o.weight) : filter_gradient(size, o.x, o.dy);
        const DeviceFloats y(a.storage, expected.value.size()), again(a.storage, expected.value.size());
        CudnnConvPointers p;
        p.dy = o.device_dy.data();
        (data ? p.weight : p.x) = (data ? o.device_weight : o.device_x).data();
        p.y = y.data();
        choice.plan->run(team.context(), p);
        const std::vector<float> got = y.download();
        CHECK(count_wrong(got, expected, a) == 0);
        CHECK(y.guards_intact());
        p.y = again.data();
        choice.plan->run(team.context(), p);
        CHECK(test::same_bits(got, again.download()));
      }
    }
  }
  CHECK(team.guards_intact());
}

}  // namespace aikd
