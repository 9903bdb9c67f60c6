// The tape on CUDA: PyTorch's goldens in fp32, the CPU's gradients in the other precisions, and each op whose
// shape needs care (channels that are no multiple of anything, strides, shared slopes) against the CPU's.
#include "nn/cuda/cuda_ops.h"

#include "tests/cuda/tape_on_device.h"

namespace {

using namespace aikd;
using namespace aikd::test;
using nn::Precision;

void check_against_pytorch(const std::string& name, const std::string& which) {
  CAPTURE(name);
  CAPTURE(which);
  Context context(Device::cuda(0), 1);
  const auto ops = nn::make_cuda_ops(context, Precision::kFp32);
  const TapePass got = run_tape(name, which, *ops);
  const TapeNet net(name);
  const auto error = [&](const Tensor& value, const std::string& golden) {
    return relative_error(value.values<float>(), net.golden(which + "." + golden).values<float>());
  };
  CHECK_FALSE(!(error(got.embedding, "embedding") <= 1e-5));
  CHECK_FALSE(!(error(got.score, "score") <= 1e-5));
  double worst = 0;
  CHECK(got.gradients.size() == net.trained_in(which).size());
  for (const auto& [parameter, gradient] : got.gradients) {
    CAPTURE(parameter);
    REQUIRE(gradient.shape() == net.golden(which + ".grad." + parameter).shape());
    if (norm_of(net.golden(which + ".grad." + parameter)) <
        1e-9) {  // a shift that the next BatchNorm removes
      CHECK_FALSE(!(norm_of(gradient) <= 1e-5));
      continue;
    }
    worst = std::max(worst, error(gradient, "grad." + parameter));
    CHECK_FALSE(!(error(gradient, "grad." + parameter) <= 1e-4));
  }
  for (const auto& [statistic, value] : got.statistics) {
    CAPTURE(statistic);
    CHECK_FALSE(!(error(value, "after." + statistic) <= 1e-6));
    // What PyTorch left alone is left alone.
    if (same_tensor(net.golden(which + ".after." + statistic), net.tensors.at(statistic)))
      CHECK(same_tensor(value, net.tensors.at(statistic)));
  }
  MESSAGE(name, " ", which, ": outputs ", error(got.embedding, "embedding"), " and ",
          error(got.score, "score"), ", worst of ", got.gradients.size(), " gradients ", worst);
  if (which == "train") CHECK(same_passes(run_tape(name, which, *ops), got));
}

}  // namespace

TEST_CASE("cuda ops: outputs, gradients and running statistics of an iResNet are PyTorch's") {
  AIKD_NEEDS_DEVICE();
  for (const char* which : {"train", "eval", "partial"}) check_against_pytorch("iresnet", which);
}

TEST_CASE("cuda ops: outputs, gradients and running statistics of a MobileFaceNet are PyTorch's") {
  AIKD_NEEDS_DEVICE();
  for (const char* which : {"train", "eval", "partial"}) check_against_pytorch("mobile", which);
}

// Bounds. Three times per layer on its way forward, and as often back, an image is rounded, by up to 2^-12
// of each value in fp16 and 2^-9 in bf16 (TF32: the factors of products, 2^-11); the networks are some eight
// layers deep. 50 independent roundings of half of that add up to 0.09 % and 0.7 %, which is what the
// embeddings show. Gradients, which are differences of large sums behind BatchNorms over few pixels, multiply
// that several times, and where a value changes sides at the bend of a PReLU or a clamp because of its last
// digits, a part of its gradient comes or goes that no precision bounds: PReLUs are nearly straight here, the
// clamps are what they are. So: embeddings within 0.3 % and 2 %; all gradients together within 2.5 % and 6 %;
// single parameters, some of which hang on one pixel, within four times that. A term that is missing or wrong
// is an error of 30 % and more. The loss scale is a power of two: it may change nothing at all.
TEST_CASE("cuda ops: in bf16 and fp16 gradients are those of fp32 up to the rounding of images") {
  AIKD_NEEDS_DEVICE();
  Context cpu(Device::cpu(), 1), card(Device::cuda(0), 1);
  const auto exact_ops = nn::make_cpu_ops(cpu);
  struct Case {
    Precision precision;
    DType storage;
    float loss_scale;
    double embedding, gradients;
  };
  for (const std::string name : {"iresnet", "mobile"}) {
    CAPTURE(name);
    const TapePass exact = run_tape(name, "train", *exact_ops, 1.0F, true);
    for (const Case& c : {Case{Precision::kTf32, DType::kF32, 1.0F, 3e-3, 5e-3},
                          Case{Precision::kFp16, DType::kF16, 128.0F, 3e-3, 0.025},
                          Case{Precision::kBf16, DType::kBF16, 1.0F, 0.02, 0.06}}) {
      const std::string precision = nn::name_of(c.precision);
      CAPTURE(precision);
      const auto ops = nn::make_cuda_ops(card, c.precision);
      CHECK(ops->storage() == c.storage);
      const TapePass got = run_tape(name, "train", *ops, c.loss_scale, true);
      const double embedding = relative_error(got.embedding.values<float>(), exact.embedding.values<float>());
      CHECK_FALSE(!(embedding <= c.embedding));
      CHECK(embedding > 1e-7);  // it is what it says
      double worst = 0, difference = 0, reference = 0;
      std::string where;
      for (const auto& [parameter, wanted] : exact.gradients) {
        CAPTURE(parameter);
        const double size = norm_of(wanted);
        const double error =
            relative_error(got.gradients.at(parameter).values<float>(), wanted.values<float>());
        difference += error * size * error * size;
        reference += size * size;
        if (size < 1e-5) continue;  // zero but for rounding: a shift that the next BatchNorm takes away
        if (error > worst) where = parameter;
        worst = std::max(worst, error);
        CHECK_FALSE(!(error <= 4 * c.gradients));
      }
      CHECK_FALSE(!(std::sqrt(difference / reference) <= c.gradients));
      MESSAGE(name, " ", precision, ": embedding ", embedding, ", gradients ",
              std::sqrt(difference / reference), ", worst ", worst, " (", where, ")");
      if (c.loss_scale != 1.0F) CHECK(same_passes(run_tape(name, "train", *ops, 1024.0F, true), got));
    }
  }
}

namespace {

// Each value of a tensor rounded to what the storage holds, on the host.
Tensor rounded_to(DType storage, const Tensor& t) {
  return t.to(storage).to(DType::kF32);
}
// Results that are rounded to the storage once, after sums in fp32.
double once_rounded(DType storage) {
  return storage == DType::kF32 ? 1e-6 : storage == DType::kF16 ? 0x1p-11 : 0x1p-8;
}

// The same op on both devices, from inputs that both hold exactly.
struct Pair {
  Pair(Context& host, Context& card, Precision precision)
      : cpu(nn::make_cpu_ops(host)), gpu(nn::make_cuda_ops(card, precision)) {}
  Tensor input(Parameters& p, const Shape& shape) const {
    return rounded_to(shape.rank() == 2 ? DType::kF32 : gpu->storage(), p.normal(shape));
  }
  // To the device, images in the storage.
  Tensor there(const Tensor& t) const {
    const Tensor moved = t.defined() ? t.to(gpu->device()) : Tensor();
    return t.shape().rank() == 4 ? gpu->cast(moved, gpu->storage()) : moved;
  }
  void check(const Tensor& got, const Tensor& wanted, DType dtype, double bound) const {
    CHECK(got.device() == gpu->device());
    CHECK(got.dtype() == dtype);
    REQUIRE(got.shape() == wanted.shape());
    CHECK_FALSE(!(relative_error(host_values(got), wanted.values<float>()) <= bound));
  }
  std::unique_ptr<nn::DeviceOps> cpu, gpu;
};

}  // namespace

TEST_CASE("cuda ops: convolutions of any channels, strides and windows, and their gradients") {
  AIKD_NEEDS_DEVICE();
  struct Size {
    std::int64_t n, h, w, c, k, r;
    int stride, pad;
  };
  Context host(Device::cpu(), 1), card(Device::cuda(0), 1);
  for (const Precision precision : {Precision::kFp32, Precision::kFp16, Precision::kBf16}) {
    const std::string name = nn::name_of(precision);
    CAPTURE(name);
    const Pair pair(host, card, precision);
    const DType storage = pair.gpu->storage();
    // The stem; odd on both sides; 1x1 with stride 2; multiples of 16; a window larger than the image.
    for (const Size s :
         {Size{2, 7, 5, 3, 16, 3, 2, 1}, Size{1, 6, 6, 13, 9, 3, 1, 1}, Size{3, 5, 5, 24, 40, 1, 2, 0},
          Size{1, 4, 4, 16, 32, 3, 1, 1}, Size{1, 2, 2, 5, 7, 3, 1, 1}}) {
      CAPTURE(s.c);
      CAPTURE(s.k);
      Parameters p(7);
      const nn::Conv2dOptions options{.stride = s.stride, .pad = s.pad};
      const Tensor x = pair.input(p, {s.n, s.h, s.w, s.c}), bias = p.normal({s.k});
      const Tensor weight = rounded_to(storage, p.filter({s.k, s.r, s.r, s.c}));
      const Tensor y = pair.cpu->conv2d(x, weight, bias, options);
      const Tensor dy = pair.input(p, y.shape());
      const auto on = [&](const Tensor& t) { return t.to(pair.gpu->device()); };
      pair.check(pair.gpu->conv2d(pair.there(x), on(weight), on(bias), options), y, storage,
                 2 * once_rounded(storage));  // the sums, then the bias
      pair.check(pair.gpu->conv2d(pair.there(x), on(weight), {}, options),
                 pair.cpu->conv2d(x, weight, {}, options), storage, once_rounded(storage));
      pair.check(pair.gpu->conv2d_data_gradient(pair.there(dy), on(weight), x.shape(), options),
                 pair.cpu->conv2d_data_gradient(dy, weight, x.shape(), options), storage,
                 once_rounded(storage));
      pair.check(pair.gpu->conv2d_filter_gradient(pair.there(dy), pair.there(x), weight.shape(), options),
                 pair.cpu->conv2d_filter_gradient(dy, x, weight.shape(), options), DType::kF32,
                 emulated() ? 2e-6 : once_rounded(storage));  // cuDNN rounds it to the storage

      const Tensor deep = p.filter({s.r, s.r, s.c}), deep_bias = p.normal({s.c});
      const Tensor z = pair.cpu->depthwise_conv2d(x, deep, deep_bias, options);
      const Tensor dz = pair.input(p, z.shape());
      pair.check(pair.gpu->depthwise_conv2d(pair.there(x), on(deep), on(deep_bias), options), z, storage,
                 once_rounded(storage));
      pair.check(pair.gpu->depthwise_data_gradient(pair.there(dz), on(deep), x.shape(), options),
                 pair.cpu->depthwise_data_gradient(dz, deep, x.shape(), options), storage,
                 once_rounded(storage));
      pair.check(pair.gpu->depthwise_filter_gradient(pair.there(dz), pair.there(x), deep.shape(), options),
                 pair.cpu->depthwise_filter_gradient(dz, x, deep.shape(), options), DType::kF32, 2e-6);
    }
  }
}

TEST_CASE("cuda ops: one slope for all channels, vectors, images from bytes, losses") {
  AIKD_NEEDS_DEVICE();
  Context host(Device::cpu(), 1), card(Device::cuda(0), 1);
  for (const Precision precision : {Precision::kFp32, Precision::kFp16, Precision::kBf16}) {
    const std::string name = nn::name_of(precision);
    CAPTURE(name);
    const Pair pair(host, card, precision);
    const DType storage = pair.gpu->storage();
    const double once = once_rounded(storage);
    const auto on = [&](const Tensor& t) { return t.to(pair.gpu->device()); };
    Parameters p(9);
    const Tensor x = pair.input(p, {3, 5, 3, 13}), dy = pair.input(p, x.shape()), one = p.slope(1);
    pair.check(pair.gpu->prelu(pair.there(x), on(one)), pair.cpu->prelu(x, one), storage, once);
    const nn::PreluGradients slope = pair.gpu->prelu_gradient(pair.there(dy), pair.there(x), on(one));
    const nn::PreluGradients wanted = pair.cpu->prelu_gradient(dy, x, one);
    pair.check(slope.dx, wanted.dx, storage, once);
    pair.check(slope.dslope, wanted.dslope, DType::kF32, 1e-5);
    pair.check(pair.gpu->column_sums(pair.there(dy)), pair.cpu->column_sums(dy), DType::kF32, 1e-6);
    Tensor sum = pair.there(x);
    pair.gpu->accumulate(sum, pair.there(dy));
    pair.check(sum, pair.cpu->add(x, dy), storage, once);
    pair.check(pair.gpu->add(pair.there(x), pair.there(dy)), pair.cpu->add(x, dy), storage, once);

    const Tensor a = p.normal({5, 37}), b = p.normal({5, 37}), w = p.filter({11, 37}), bias = p.normal({11});
    const Tensor du = p.normal({5, 11});
    pair.check(pair.gpu->linear(on(a), on(w), on(bias)), pair.cpu->linear(a, w, bias), DType::kF32, 1e-6);
    pair.check(pair.gpu->linear(on(a), on(w), {}), pair.cpu->linear(a, w, {}), DType::kF32, 1e-6);
    pair.check(pair.gpu->linear_data_gradient(on(du), on(w)), pair.cpu->linear_data_gradient(du, w),
               DType::kF32, 1e-6);
    pair.check(pair.gpu->linear_weight_gradient(on(du), on(a)), pair.cpu->linear_weight_gradient(du, a),
               DType::kF32, 1e-6);
    pair.check(pair.gpu->gelu(on(a)), pair.cpu->gelu(a), DType::kF32, 1e-6);
    pair.check(pair.gpu->cosine_loss(on(a), on(b)), pair.cpu->cosine_loss(a, b), DType::kF32, 1e-6);
    pair.check(pair.gpu->cosine_loss_gradient(on(a), on(b), 3), pair.cpu->cosine_loss_gradient(a, b, 3),
               DType::kF32, 1e-6);
    for (const float beta : {0.0F, 0.5F}) {
      pair.check(pair.gpu->quality_loss(on(a), on(b), beta), pair.cpu->quality_loss(a, b, beta), DType::kF32,
                 1e-6);
      pair.check(pair.gpu->quality_loss_gradient(on(a), on(b), beta, 2),
                 pair.cpu->quality_loss_gradient(a, b, beta, 2), DType::kF32, 1e-6);
    }
    // Three uploads: each buffer is used again. And another table: the one on the device is not kept.
    for (int i = 0; i < 3; ++i) {
      nn::InputTable table = small_table(4 + i, 5);
      table.table[1][7] = static_cast<float>(i);
      const std::vector<std::uint8_t> bytes = random_images(table, 2 + i, 3);
      const Tensor images = pair.gpu->images(table, bytes, 2 + i);
      CHECK(images.dtype() == storage);
      CHECK(same_tensor(on_host(images), rounded_to(storage, pair.cpu->images(table, bytes, 2 + i))));
    }
    CHECK(pair.gpu->images(small_table(4, 5), {}, 0).shape() == Shape{0, 4, 5, 3});
  }
}

TEST_CASE("cuda ops: what is on another device is refused in a sentence") {
  AIKD_NEEDS_DEVICE();
  Context host(Device::cpu(), 1), card(Device::cuda(0), 1);
  CHECK(error_of([&] { (void)nn::make_cuda_ops(host, Precision::kFp32); }) ==
        "make_cuda_ops was given a context on cpu.");
  const auto ops = nn::make_cuda_ops(card, Precision::kFp32);
  nn::TrainedParameters trained;
  nn::TapeOps tape(*ops, trained);
  Parameters p;
  const Tensor x = p.normal({2, 3}), w = p.normal({4, 3});
  CHECK(error_of([&] { tape.linear(tape.constant(x.to(Device::cuda(0))), w, {}); }) ==
        "linear: the tape computes on cuda:0, but was given a tensor on cpu.");
  CHECK(error_of([&] { tape.linear(tape.constant(x), w.to(Device::cuda(0)), {}); }) ==
        "linear: the tape computes on cuda:0, but was given a tensor on cpu.");
}
