#include "kernels/conv2d_gradients.h"

#include "tests/kernels/kernel_test.h"
#include "tests/oracle/conv2d_gradients.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using kernels::Conv2dDims;

// Strides, pads, windows; channels beside multiples of 16; images smaller than a tile; several images.
const std::vector<Conv2dDims> kCases = {
    {.n = 2, .h = 14, .w = 14, .c = 32, .k = 48, .r = 3, .s = 3, .stride = 1, .pad = 1},
    {.n = 3, .h = 7, .w = 7, .c = 16, .k = 32, .r = 3, .s = 3, .stride = 1, .pad = 1},
    {.n = 2, .h = 9, .w = 12, .c = 17, .k = 13, .r = 3, .s = 3, .stride = 2, .pad = 1},
    {.n = 2, .h = 8, .w = 8, .c = 33, .k = 16, .r = 3, .s = 3, .stride = 2, .pad = 1},
    {.n = 1, .h = 8, .w = 10, .c = 16, .k = 40, .r = 1, .s = 1, .stride = 2, .pad = 0},
    {.n = 2, .h = 5, .w = 6, .c = 3, .k = 8, .r = 3, .s = 3, .stride = 1, .pad = 1},
    {.n = 1, .h = 6, .w = 5, .c = 4, .k = 5, .r = 3, .s = 2, .stride = 1, .pad = 1},
    {.n = 1, .h = 9, .w = 9, .c = 5, .k = 3, .r = 2, .s = 2, .stride = 3, .pad = 2},
    {.n = 1, .h = 10, .w = 8, .c = 6, .k = 9, .r = 3, .s = 3, .stride = 3, .pad = 1},
    {.n = 2, .h = 11, .w = 7, .c = 18, .k = 7, .r = 5, .s = 5, .stride = 2, .pad = 2},
    {.n = 1, .h = 7, .w = 8, .c = 5, .k = 18, .r = 3, .s = 2, .stride = 2, .pad = 1},
    {.n = 1, .h = 4, .w = 3, .c = 17, .k = 5, .r = 1, .s = 1, .stride = 1, .pad = 1},
    {.n = 1, .h = 2, .w = 1, .c = 3, .k = 4, .r = 3, .s = 3, .stride = 2, .pad = 1},
    {.n = 2, .h = 1, .w = 1, .c = 64, .k = 19, .r = 1, .s = 1, .stride = 1, .pad = 0},
    {.n = 1, .h = 7, .w = 7, .c = 20, .k = 4, .r = 7, .s = 7, .stride = 1, .pad = 0},
};

oracle::ConvSize size_of(const Conv2dDims& d) {
  return {
      .n = d.n, .h = d.h, .w = d.w, .c = d.c, .k = d.k, .r = d.r, .s = d.s, .stride = d.stride, .pad = d.pad};
}
std::int64_t input_count(const Conv2dDims& d) {
  return d.n * d.h * d.w * d.c;
}
std::int64_t output_count(const Conv2dDims& d) {
  return d.n * d.p() * d.q() * d.k;
}

// Every value within the rounding of a sum of so many terms.
int wrong(const Guarded& got, const oracle::Sums& wanted) {
  int count = 0;
  for (std::size_t i = 0; i < wanted.value.size(); ++i)
    if (!(std::fabs(static_cast<double>(got[i]) - wanted.value[i]) <= 4e-7 * wanted.magnitude[i])) ++count;
  return count;
}

template <class Run>
std::vector<float> with_threads(std::size_t count, std::size_t workspace, int threads, Run&& run) {
  Team team(threads, workspace);
  Guarded out(count);
  run(team.context(), out.data());
  CHECK(out.guards_intact());
  CHECK(team.guards_intact());
  return out.values();
}

}  // namespace

TEST_CASE("conv2d gradients equal the definition, whatever the threads") {
  for_each_isa([] {
    for (const Conv2dDims& d : kCases) {
      CAPTURE(d.c);
      CAPTURE(d.k);
      CAPTURE(d.stride);
      const auto x = random_floats(input_count(d), 1), w = random_floats(d.k * d.r * d.s * d.c, 2),
                 dy = random_floats(output_count(d), 3);
      const auto dx_size = x.size(), dw_size = w.size();
      const auto data = [&](const kernels::Context& ctx, float* out) {
        kernels::cpu::conv2d_data_gradient(ctx, d, dy.data(), w.data(), out);
      };
      const auto filter = [&](const kernels::Context& ctx, float* out) {
        kernels::cpu::conv2d_filter_gradient(ctx, d, dy.data(), x.data(), out);
      };
      const std::size_t data_bytes = kernels::cpu::conv2d_data_gradient_workspace_bytes(d),
                        filter_bytes = kernels::cpu::conv2d_filter_gradient_workspace_bytes(d);
      const Guarded dx(dx_size, 0, with_threads(dx_size, data_bytes, 1, data));
      const Guarded dw(dw_size, 0, with_threads(dw_size, filter_bytes, 1, filter));
      CHECK(wrong(dx, oracle::conv2d_data_gradient(size_of(d), dy.data(), w.data())) == 0);
      CHECK(wrong(dw, oracle::conv2d_filter_gradient(size_of(d), x.data(), dy.data())) == 0);
      CHECK(same_bits(with_threads(dx_size, data_bytes, 3, data), dx.values()));
      CHECK(same_bits(with_threads(dw_size, filter_bytes, 3, filter), dw.values()));
    }
  });
}

TEST_CASE("conv2d gradients of small integers are exact") {
  for_each_isa([] {
    for (const Conv2dDims& d : kCases) {
      const auto x = random_integers(input_count(d), 3, 1), w = random_integers(d.k * d.r * d.s * d.c, 3, 2),
                 dy = random_integers(output_count(d), 3, 3);
      Team team(2, kernels::cpu::conv2d_data_gradient_workspace_bytes(d) +
                       kernels::cpu::conv2d_filter_gradient_workspace_bytes(d));
      Guarded dx(x.size()), dw(w.size());
      kernels::cpu::conv2d_data_gradient(team.context(), d, dy.data(), w.data(), dx.data());
      kernels::cpu::conv2d_filter_gradient(team.context(), d, dy.data(), x.data(), dw.data());
      const oracle::Sums wanted_dx = oracle::conv2d_data_gradient(size_of(d), dy.data(), w.data()),
                         wanted_dw = oracle::conv2d_filter_gradient(size_of(d), x.data(), dy.data());
      int different = 0;
      for (std::size_t i = 0; i < x.size(); ++i)
        if (!(static_cast<double>(dx[i]) == wanted_dx.value[i])) ++different;
      for (std::size_t i = 0; i < w.size(); ++i)
        if (!(static_cast<double>(dw[i]) == wanted_dw.value[i])) ++different;
      CHECK(different == 0);
    }
  });
}

TEST_CASE("the training convolution equals the definition and keeps no batch apart") {
  for_each_isa([] {
    for (const Conv2dDims& d : kCases) {
      const auto x = random_floats(input_count(d), 1), w = random_floats(d.k * d.r * d.s * d.c, 2),
                 bias = random_floats(d.k, 4);
      Team team(2, kernels::cpu::conv2d_train_workspace_bytes(d));
      Guarded y(static_cast<std::size_t>(output_count(d)));
      kernels::cpu::conv2d_train(team.context(), d, x.data(), w.data(), bias.data(), y.data());
      CHECK(y.guards_intact());
      CHECK(team.guards_intact());
      CHECK(wrong(y, oracle::conv2d(size_of(d), x.data(), w.data(), bias.data())) == 0);
      Conv2dDims last = d;  // the last image alone
      last.n = 1;
      const auto one = static_cast<std::size_t>(output_count(last));
      Guarded alone(one);
      kernels::cpu::conv2d_train(team.context(), last, x.data() + (d.n - 1) * input_count(last), w.data(),
                                 bias.data(), alone.data());
      const std::vector<float> all = y.values();
      CHECK(same_bits(alone.values(), {all.end() - static_cast<std::ptrdiff_t>(one), all.end()}));
    }
  });
}

TEST_CASE("depthwise gradients equal the definition") {
  for_each_isa([] {
    for (const Conv2dDims& given : kCases) {
      Conv2dDims d = given;
      d.k = d.c;
      const auto x = random_floats(input_count(d), 1), w = random_floats(d.r * d.s * d.c, 2),
                 dy = random_floats(output_count(d), 3);
      Team team(3, kernels::cpu::depthwise_filter_gradient_workspace_bytes(d));
      Guarded dx(x.size()), dw(w.size());
      kernels::cpu::depthwise_data_gradient(team.context(), d, dy.data(), w.data(), dx.data());
      kernels::cpu::depthwise_filter_gradient(team.context(), d, dy.data(), x.data(), dw.data());
      CHECK((dx.guards_intact() && dw.guards_intact() && team.guards_intact()));
      CHECK(wrong(dx, oracle::depthwise_data_gradient(size_of(d), dy.data(), w.data())) == 0);
      // A sum over all pixels in one chain.
      const oracle::Sums wanted = oracle::depthwise_filter_gradient(size_of(d), x.data(), dy.data());
      int off = 0;
      for (std::size_t i = 0; i < wanted.value.size(); ++i)
        if (!(std::fabs(static_cast<double>(dw[i]) - wanted.value[i]) <= 3e-6 * wanted.magnitude[i])) ++off;
      CHECK(off == 0);
    }
  });
}
