#include "nn/functional.h"

#include <algorithm>

#include "kernels/isa.h"
#include "nn/calibrate.h"
#include "nn/graph.h"
#include "tests/nn/plan_test.h"
#include "tests/oracle/conv2d.h"
#include "tests/oracle/pointwise.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using nn::Value;

// Both kinds of Ops refuse with the same sentence.
void check_refused(const std::function<void(nn::Ops&, const Value&)>& body, const Shape& x,
                   const std::string& expected) {
  Context context(Device::cpu(), 1);
  nn::EagerOps eager(context);
  nn::GraphOps graph;
  CHECK(error_of([&] { body(eager, {Tensor::zeros(x), -1}); }) == expected);
  CHECK(error_of([&] { body(graph, graph.input(x)); }) == expected);
}

}  // namespace

TEST_CASE("functional: every op of EagerOps equals its oracle") {
  Context context(Device::cpu(), 2);
  nn::EagerOps ops(context);
  Parameters p(3);
  const Value x{p.normal({2, 6, 5, 7}), -1};
  const Tensor w = p.filter({4, 3, 3, 7}), b = p.normal({4}), dw = p.filter({3, 3, 7}), db = p.normal({7});

  const auto compare = [](const Tensor& y, const oracle::Sums& sums) {
    REQUIRE(static_cast<std::size_t>(y.numel()) == sums.value.size());
    double worst = 0;
    for (std::size_t i = 0; i < sums.value.size(); ++i) {
      const double error = std::fabs(static_cast<double>(y.data<float>()[i]) - sums.value[i]);
      if (!(error <= 1e-6 * sums.magnitude[i])) worst = std::max(worst, 1.0);
    }
    CHECK(worst == 0.0);
  };
  const oracle::ConvSize size{2, 6, 5, 7, 4, 3, 3, 2, 1};
  const Value y = ops.conv2d(x, w, b, {.stride = 2, .pad = 1});
  CHECK(y.tensor.shape() == Shape{2, 3, 3, 4});
  compare(y.tensor, oracle::conv2d(size, x.tensor.data<float>(), w.data<float>(), b.data<float>()));
  const Value z = ops.depthwise_conv2d(x, dw, db, {.stride = 2, .pad = 1});
  CHECK(z.tensor.shape() == Shape{2, 3, 3, 7});
  compare(z.tensor,
          oracle::depthwise_conv2d(size, x.tensor.data<float>(), dw.data<float>(), db.data<float>()));
  const Value flat = ops.flatten(y);
  CHECK(flat.tensor.shape() == Shape{2, 36});
  CHECK(flat.tensor.raw() == y.tensor.raw());
  const Tensor fw = p.normal({5, 36}), fb = p.normal({5});
  compare(ops.linear(flat, fw, fb).tensor,
          oracle::linear(2, 36, 5, flat.tensor.data<float>(), fw.data<float>(), fb.data<float>()));

  const auto elementwise = [&](const Tensor& got, const std::function<double(std::size_t, double)>& f) {
    int wrong = 0;
    for (std::size_t i = 0; i < x.tensor.values<float>().size(); ++i) {
      const double wanted = f(i, static_cast<double>(x.tensor.data<float>()[i]));
      if (!(std::fabs(static_cast<double>(got.data<float>()[i]) - wanted) <= 1e-6 * (1 + std::fabs(wanted))))
        ++wrong;
    }
    CHECK(wrong == 0);
  };
  const nn::BatchNormTensors bn = p.batch_norm(7), plain = p.batch_norm(7, false);
  const auto at = [](const Tensor* t, std::size_t i) { return static_cast<double>(t->data<float>()[i % 7]); };
  elementwise(ops.batch_norm(x, bn).tensor, [&](std::size_t i, double v) {
    return oracle::batch_norm(v, at(bn.weight, i), at(bn.bias, i), at(bn.running_mean, i),
                              at(bn.running_var, i), 1e-5);
  });
  elementwise(ops.batch_norm(x, plain).tensor, [&](std::size_t i, double v) {
    return oracle::batch_norm(v, 1, 0, at(plain.running_mean, i), at(plain.running_var, i), 1e-5);
  });
  const Tensor slope = p.slope(7), one = p.slope(1);
  elementwise(ops.prelu(x, slope).tensor,
              [&](std::size_t i, double v) { return oracle::prelu(v, at(&slope, i)); });
  elementwise(ops.prelu(x, one).tensor, [&](std::size_t, double v) {
    return oracle::prelu(v, static_cast<double>(one.data<float>()[0]));
  });
  elementwise(ops.clamp(x, -0.5F, 1.0F).tensor,
              [](std::size_t, double v) { return oracle::clamp(v, -0.5, 1.0); });
  elementwise(ops.add(x, x).tensor, [](std::size_t, double v) { return v + v; });
  elementwise(ops.gelu(x).tensor, [](std::size_t, double v) {
    return static_cast<double>(oracle::gelu(static_cast<long double>(v)));
  });
}

TEST_CASE("functional: an empty batch gives empty results") {
  Context context(Device::cpu(), 2);
  nn::EagerOps ops(context);
  Parameters p;
  const Value x{Tensor::zeros({0, 4, 4, 3}), -1};
  const Value y = ops.conv2d(x, p.filter({5, 3, 3, 3}), {}, {.stride = 1, .pad = 1});
  CHECK(y.tensor.shape() == Shape{0, 4, 4, 5});
  CHECK(ops.linear(ops.flatten(y), p.normal({2, 80}), {}).tensor.shape() == Shape{0, 2});
  CHECK(ops.batch_norm(y, p.batch_norm(5)).tensor.numel() == 0);
}

TEST_CASE("functional: conv2d refuses wrong arguments") {
  Parameters p;
  const Shape x{1, 8, 8, 4};
  const Tensor w = p.normal({6, 3, 3, 4});
  check_refused(
      [&](auto& o, auto& v) {
        o.conv2d(v, p.normal({6, 3, 3, 5}), {}, {});
      },
      x,
      "conv2d: the input of shape [1, 8, 8, 4] has 4 channels, but the filter of shape [6, 3, 3, 5] "
      "expects 5.");
  check_refused([&](auto& o, auto& v) { o.conv2d(v, w, {}, {}); }, {1, 8},
                "conv2d: the input must be images [N, H, W, C], got the shape [1, 8].");
  check_refused([&](auto& o, auto& v) { o.conv2d(v, {}, {}, {}); }, x,
                "conv2d: the filter is missing (an undefined tensor).");
  check_refused([&](auto& o, auto& v) { o.conv2d(v, w.to(DType::kF64), {}, {}); }, x,
                "conv2d: the filter must be F32, got F64.");
  check_refused(
      [&](auto& o, auto& v) {
        o.conv2d(v, p.normal({6, 36}), {}, {});
      },
      x, "conv2d: the filter must be [K, R, S, C], got the shape [6, 36].");
  check_refused([&](auto& o, auto& v) { o.conv2d(v, w, p.normal({5}), {}); }, x,
                "conv2d: the bias must have the shape [6], got [5].");
  check_refused([&](auto& o, auto& v) { o.conv2d(v, w, {}, {.stride = 0}); }, x,
                "conv2d: the stride must be at least 1, got 0.");
  check_refused([&](auto& o, auto& v) { o.conv2d(v, w, {}, {.stride = 1, .pad = -1}); }, x,
                "conv2d: the padding must not be negative, got -1.");
  check_refused([&](auto& o, auto& v) { o.conv2d(v, w, {}, {}); }, {1, 2, 8, 4},
                "conv2d: the filter of 3x3 does not fit into the image of 2x8 with padding 0.");
}

TEST_CASE("functional: depthwise_conv2d refuses wrong arguments") {
  Parameters p;
  const Shape x{1, 8, 8, 4};
  check_refused(
      [&](auto& o, auto& v) {
        o.depthwise_conv2d(v, p.normal({3, 3, 5}), {}, {});
      },
      x,
      "depthwise_conv2d: the input of shape [1, 8, 8, 4] has 4 channels, but the filter of shape "
      "[3, 3, 5] expects 5.");
  check_refused(
      [&](auto& o, auto& v) {
        o.depthwise_conv2d(v, p.normal({4, 3, 3, 1}), {}, {});
      },
      x, "depthwise_conv2d: the filter must be [R, S, C], got the shape [4, 3, 3, 1].");
  check_refused(
      [&](auto& o, auto& v) {
        o.depthwise_conv2d(v, p.normal({3, 3, 4}), p.normal({3}), {});
      },
      x, "depthwise_conv2d: the bias must have the shape [4], got [3].");
  check_refused(
      [&](auto& o, auto& v) {
        o.depthwise_conv2d(v, p.normal({9, 3, 4}), {}, {});
      },
      x, "depthwise_conv2d: the filter of 9x3 does not fit into the image of 8x8 with padding 0.");
}

TEST_CASE("functional: batch_norm and prelu refuse wrong arguments") {
  Parameters p;
  const Shape x{1, 2, 2, 4};
  check_refused([&](auto& o, auto& v) { o.batch_norm(v, {}); }, x,
                "batch_norm: the running mean and variance are missing.");
  check_refused([&](auto& o, auto& v) { o.batch_norm(v, p.batch_norm(5)); }, x,
                "batch_norm: the running mean must have the shape [4], got [5].");
  check_refused(
      [&](auto& o, auto& v) {
        nn::BatchNormTensors bn = p.batch_norm(4);
        bn.running_var = p.batch_norm(3).running_var;
        o.batch_norm(v, bn);
      },
      x, "batch_norm: the running variance must have the shape [4], got [3].");
  check_refused(
      [&](auto& o, auto& v) {
        nn::BatchNormTensors bn = p.batch_norm(4);
        bn.eps = 0;
        o.batch_norm(v, bn);
      },
      x, "batch_norm: eps must be positive, got 0.");
  check_refused([&](auto& o, auto& v) { o.prelu(v, p.slope(3)); }, x,
                "prelu: the slope must have the shape [4] or [1], got [3].");
  check_refused([&](auto& o, auto& v) { o.prelu(v, {}); }, x,
                "prelu: the slope is missing (an undefined tensor).");
}

TEST_CASE("functional: the other ops refuse wrong arguments") {
  Parameters p;
  check_refused([&](auto& o, auto& v) { o.clamp(v, 1.0F, 0.0F); }, {1, 4},
                "clamp: the lower bound must not exceed the upper one, got 1 and 0.");
  check_refused(
      [&](auto& o, auto& v) {
        o.add(v, o.linear(v, p.normal({3, 4}), {}));
      },
      {1, 4}, "add: both operands must have the same shape, got [1, 4] and [1, 3].");
  check_refused(
      [&](auto& o, auto& v) {
        o.linear(v, p.normal({3, 5}), {});
      },
      {1, 4}, "linear: the input has 4 features, but the weight of shape [3, 5] expects 5.");
  check_refused(
      [&](auto& o, auto& v) {
        o.linear(v, p.normal({3, 5}), {});
      },
      {1, 1, 1, 5}, "linear: the input must be [N, features], got the shape [1, 1, 1, 5].");
  check_refused([&](auto& o, auto& v) { o.linear(v, p.normal({15}), {}); }, {1, 5},
                "linear: the weight must be [out, in], got the shape [15].");
  check_refused(
      [&](auto& o, auto& v) {
        o.linear(v, p.normal({3, 4}), p.normal({4}));
      },
      {1, 4}, "linear: the bias must have the shape [3], got [4].");
  check_refused([&](auto& o, auto& v) { o.flatten(v); }, {1, 4},
                "flatten: the input must be images [N, H, W, C], got the shape [1, 4].");
}

TEST_CASE("functional: normalise checks the bytes and uses the table") {
  Context context(Device::cpu(), 1);
  const nn::InputTable table = small_table(2, 3);
  const std::vector<std::uint8_t> images = random_images(table, 2, 1);
  const Tensor y = nn::normalise(context, table, images, 2);
  REQUIRE(y.shape() == Shape{2, 2, 3, 3});
  for (std::size_t i = 0; i < 12; ++i) {
    for (std::size_t c = 0; c < 3; ++c)
      CHECK(y.data<float>()[i * 3 + c] == table.table[c][images[i * 3 + 2 - c]]);
  }
  CHECK(error_of([&] { nn::normalise(context, table, images, 3); }) ==
        "normalise: 3 images of 3x2 pixels are 54 bytes, got 36.");
}

TEST_CASE("functional: row_norms is computed in double") {
  Context context(Device::cpu(), 1);
  const std::vector<float> x = {3.0F, 4.0F, 1e30F, 0.0F};
  std::vector<double> y(2);
  nn::row_norms(context, 2, x, y);
  CHECK(y[0] == 5.0);
  CHECK(y[1] == doctest::Approx(1e30).epsilon(1e-7));
  CHECK(error_of([&] { nn::row_norms(context, 3, x, y); }) ==
        "row_norms: 4 values are not 3 rows, or 2 results were asked for.");
}

TEST_CASE("calibrate: batch norms get the statistics of their input") {
  Context context(Device::cpu(), 2);
  Parameters p;
  nn::BatchNormTensors bn = p.batch_norm(5);
  const Value x{p.normal({3, 4, 2, 5}, 7.0), -1};
  nn::CalibrateOps ops(context);
  const Value y = ops.batch_norm(x, bn);
  for (std::size_t c = 0; c < 5; ++c) {
    double mean = 0, var = 0, out_mean = 0, out_var = 0;
    for (std::size_t i = 0; i < 24; ++i) mean += static_cast<double>(x.tensor.data<float>()[i * 5 + c]) / 24;
    for (std::size_t i = 0; i < 24; ++i) {
      const double d = static_cast<double>(x.tensor.data<float>()[i * 5 + c]) - mean;
      var += d * d / 24;
      out_mean += static_cast<double>(y.tensor.data<float>()[i * 5 + c]) / 24;
    }
    CHECK(static_cast<double>(bn.running_mean->data<float>()[c]) == doctest::Approx(mean).epsilon(1e-6));
    CHECK(static_cast<double>(bn.running_var->data<float>()[c]) == doctest::Approx(var).epsilon(1e-6));
    for (std::size_t i = 0; i < 24; ++i) {
      const double d = static_cast<double>(y.tensor.data<float>()[i * 5 + c]) - out_mean;
      out_var += d * d / 24;
    }
    // Normalised, then given its own weight and bias.
    const auto weight = static_cast<double>(bn.weight->data<float>()[c]);
    CHECK(out_mean == doctest::Approx(static_cast<double>(bn.bias->data<float>()[c])).epsilon(1e-5));
    CHECK(out_var == doctest::Approx(weight * weight).epsilon(1e-4));
  }
  CHECK(error_of([&] {
          ops.batch_norm({Tensor::zeros({0, 2, 2, 5}), -1}, bn);
        }) == "CalibrateOps: a batch norm of 5 channels cannot be calibrated on an empty batch.");
}
