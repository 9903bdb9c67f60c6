#include "apps/aikd_score/self_test.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "aikd/preprocess.h"
#include "aikd/scorer.h"
#include "apps/aikd_score/self_test_constants.h"
#include "io/image.h"
#include "io/sha256.h"
#include "nn/heads.h"
#include "nn/initialise.h"
#include "nn/layers.h"
#include "nn/plan.h"
#include "tensor/error.h"
#include "tensor/random.h"

namespace aikd::apps {
namespace {

constexpr int kWidth = 200, kHeight = 160;

// A picture of slopes and hashed grain, in integers only.
io::Image known_picture() {
  io::Image image(kWidth, kHeight);
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      for (int c = 0; c < 3; ++c) {
        const auto index = static_cast<std::uint64_t>((y * kWidth + x) * 3 + c);
        const auto grain = static_cast<int>(splitmix64(index) >> 58);  // 0..63
        const int slope = (x * (c + 1) + y * (3 - c)) * 191 / (kWidth * 3 + kHeight * 3);
        image.at(x, y)[c] = static_cast<std::uint8_t>(slope + grain);
      }
    }
  }
  return image;
}

constexpr Landmarks kLandmarks{
    {{70.25, 60.5}, {122.75, 66.0}, {95.0, 92.25}, {72.5, 118.75}, {112.0, 122.5}}};

// One of each kind of step: padded convolutions with and without BatchNorm before them, PReLU, a residual, a
// flattened linear layer, and the MLP head.
class KnownNetwork final : public nn::Module {
 public:
  void collect(const std::string& prefix, std::vector<nn::NamedTensor>& out) override {
    stem_.collect(prefix + "stem.", out);
    stem_bn_.collect(prefix + "stem_bn.", out);
    stem_act_.collect(prefix + "stem_act.", out);
    bn1_.collect(prefix + "bn1.", out);
    conv1_.collect(prefix + "conv1.", out);
    bn2_.collect(prefix + "bn2.", out);
    act_.collect(prefix + "act.", out);
    conv2_.collect(prefix + "conv2.", out);
    bn3_.collect(prefix + "bn3.", out);
    down_.collect(prefix + "down.", out);
    fc_.collect(prefix + "fc.", out);
    features_.collect(prefix + "features.", out);
  }
  nn::Value forward(nn::Ops& ops, const nn::Value& x) const override {
    const nn::Value a = stem_act_.forward(ops, stem_bn_.forward(ops, stem_.forward(ops, x)));
    const nn::Value b = act_.forward(ops, bn2_.forward(ops, conv1_.forward(ops, bn1_.forward(ops, a))));
    const nn::Value c = ops.add(bn3_.forward(ops, conv2_.forward(ops, b)), a);
    return features_.forward(ops, fc_.forward(ops, ops.flatten(down_.forward(ops, c))));
  }

  static constexpr std::int64_t kEmbedding = 16;

 private:
  nn::Conv2d stem_{{.in = 3, .out = 16, .kernel = 3, .stride = 2, .pad = 1, .bias = false}};
  nn::BatchNorm stem_bn_{16, 1e-5F};
  nn::Prelu stem_act_{16};
  nn::BatchNorm bn1_{16, 1e-5F};
  nn::Conv2d conv1_{{.in = 16, .out = 16, .kernel = 3, .stride = 1, .pad = 1, .bias = false}};
  nn::BatchNorm bn2_{16, 1e-5F};
  nn::Prelu act_{16};
  nn::Conv2d conv2_{{.in = 16, .out = 16, .kernel = 3, .stride = 1, .pad = 1, .bias = false}};
  nn::BatchNorm bn3_{16, 1e-5F};
  nn::Conv2d down_{{.in = 16, .out = 32, .kernel = 3, .stride = 2, .pad = 1, .bias = false}};
  nn::Linear fc_{28 * 28 * 32, kEmbedding, 32};
  nn::BatchNorm features_{kEmbedding, 1e-5F};
};

// Values depend on (name, index in our layout) only and use no function but sqrt, which is exact everywhere.
void fill(nn::Module& module) {
  for (const nn::NamedTensor& named : module.tensors()) {
    if (named.role == nn::TensorRole::kBnCount) {
      *named.tensor = Tensor::zeros(named.shape, DType::kI64);
      continue;
    }
    *named.tensor = Tensor::empty(named.shape);
    Random random(nn::fnv1a64(named.name));
    const std::int64_t fan_in = named.shape.rank() > 1 ? named.shape.numel() / named.shape[0] : 1;
    const double bound = std::sqrt(3.0 / static_cast<double>(fan_in));
    for (float& value : named.tensor->mutable_values<float>()) {
      const double u = random.uniform();
      switch (named.role) {
        case nn::TensorRole::kBnWeight:
        case nn::TensorRole::kBnVar:
          value = static_cast<float>(0.75 + 0.5 * u);
          break;
        case nn::TensorRole::kPreluSlope:
          value = static_cast<float>(0.1 + 0.3 * u);
          break;
        case nn::TensorRole::kBnMean:
        case nn::TensorRole::kBnBias:
        case nn::TensorRole::kBias:
          value = static_cast<float>(0.2 * u - 0.1);
          break;
        default:
          value = static_cast<float>(bound * (2.0 * u - 1.0));
      }
    }
  }
}

class Report {
 public:
  explicit Report(std::ostream& out) : out_(out) {}
  void item(bool ok, const std::string& what, const std::string& detail) {
    out_ << (ok ? "PASS  " : "FAIL  ") << what << "  " << detail << '\n';
    all_ = all_ && ok;
  }
  bool all() const { return all_; }

 private:
  std::ostream& out_;
  bool all_ = true;
};

void check_pixels(Report& report, const std::string& what, const io::Image& image,
                  std::string_view expected) {
  const std::string got = io::sha256_hex(image.pixels);
  report.item(got == expected, what,
              got == expected ? "every byte as expected"
                              : concat("SHA-256 of the pixels ", got, ", expected ", expected));
}

void check_codecs(Report& report, const io::Image& picture) {
  const io::DecodedImage png = io::decode_image(io::encode_png(picture));
  report.item(png.image.pixels == picture.pixels, "PNG", png.decoder);
  // A gentle picture: quality 95 with halved colour resolution stays within a few grey levels on average.
  const io::Image smooth = resize(picture, 50, 40);
  const io::DecodedImage jpeg = io::decode_image(io::encode_jpeg(smooth, 95));
  double difference = jpeg.image.pixels.size() == smooth.pixels.size() ? 0.0 : 1e9;
  for (std::size_t i = 0; i < smooth.pixels.size() && difference < 1e9; ++i)
    difference += std::abs(int{smooth.pixels[i]} - int{jpeg.image.pixels[i]});
  difference /= static_cast<double>(smooth.pixels.size());
  report.item(difference < 6.0, "JPEG",
              concat(jpeg.decoder, ", mean difference ", difference, " grey levels"));
}

void check_value(Report& report, const std::string& what, double got, double expected) {
  const double error = std::abs(got - expected) / std::max(1.0, std::abs(expected));
  report.item(error <= 1e-4, what, concat("got ", got, ", expected ", expected));
}

void check_network(Report& report, Context& context, std::span<const std::uint8_t> crops) {
  KnownNetwork network;
  nn::MlpHead head(KnownNetwork::kEmbedding, 32);
  fill(network);
  fill(head);
  const auto plan = nn::Plan::compile(network, &head, Preprocessing{}.table(), context);
  std::vector<float> embeddings(2 * static_cast<std::size_t>(KnownNetwork::kEmbedding)), scores(2);
  plan->run(crops, 2, embeddings, scores);
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string name = i == 0 ? "network, resized picture" : "network, aligned picture";
    double squares = 0;
    for (std::size_t k = 0; k < embeddings.size() / 2; ++k) {
      const auto value = static_cast<double>(embeddings[i * embeddings.size() / 2 + k]);
      squares += value * value;
    }
    check_value(report, name + ", norm of the embedding", std::sqrt(squares), kExpectedNorms[i]);
    check_value(report, name + ", score", static_cast<double>(scores[i]), kExpectedScores[i]);
  }
  std::vector<float> alone(1);
  plan->run(crops.subspan(crops.size() / 2), 1, {}, alone);
  report.item(alone[0] == scores[1], "network, alone and in a batch", "the same bits");
}

void check_model(Report& report, Context& context, std::shared_ptr<const Model> model,
                 const io::Image& picture) {
  const Preprocessing input = model->preprocessing();
  std::vector<std::uint8_t> crops = resize(picture, input.width, input.height).pixels;
  const std::vector<std::uint8_t> aligned = align_face(picture, kLandmarks, input.width, input.height).pixels;
  crops.insert(crops.end(), aligned.begin(), aligned.end());
  Scorer scorer(std::move(model), context);
  const std::vector<Score> first = scorer.score(crops, 2);
  report.item(std::isfinite(first[0].raw) && std::isfinite(first[1].raw), "the model's scores are finite",
              concat(first[0].raw, " and ", first[1].raw));
  const std::vector<Score> again = scorer.score(crops, 2), alone = scorer.score(aligned, 1);
  report.item(first[0].raw == again[0].raw && first[1].raw == again[1].raw && first[1].raw == alone[0].raw,
              "the model's scores repeat", "the same bits, also alone");
}

}  // namespace

bool self_test(std::ostream& out, Context& context, std::shared_ptr<const Model> model) {
  Report report(out);
  const io::Image picture = known_picture();
  check_pixels(report, "the known picture", picture, kPictureSha);
  check_codecs(report, picture);
  const io::Image resized = resize(picture, 112, 112), aligned = align_face(picture, kLandmarks);
  check_pixels(report, "resize (as Pillow)", resized, kResizedSha);
  check_pixels(report, "alignment (as OpenCV)", aligned, kAlignedSha);
  std::vector<std::uint8_t> crops = resized.pixels;
  crops.insert(crops.end(), aligned.pixels.begin(), aligned.pixels.end());
  check_network(report, context, crops);
  if (model != nullptr) check_model(report, context, std::move(model), picture);
  out << (report.all() ? "PASS  all\n" : "FAIL  this build or machine does not compute what it should\n");
  return report.all();
}

}  // namespace aikd::apps
