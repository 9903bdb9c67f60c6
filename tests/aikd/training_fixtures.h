// What the tests of a training run's measurements share: faces with files, a small model, and the same
// numbers by eager ops and sums in double, written from the definition.
#pragma once

#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

#include "aikd/dataset.h"
#include "aikd/perturbation.h"
#include "aikd/preprocess.h"
#include "aikd/synth.h"
#include "aikd/train_config.h"
#include "aikd/untrained.h"
#include "io/table.h"
#include "nn/functional.h"
#include "tests/aikd/face_file.h"
#include "tests/support/test.h"

namespace aikd::test {

// `n` faces f0.png, f1.png, ... with files of landmarks and labels; the label of face i is (7 i) mod 5 + i /
// 100.
struct Faces {
  TempDir dir;
  std::vector<DatasetItem> items;

  explicit Faces(int n) {
    std::string landmarks = "path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry\n", labels = "path,label\n";
    std::filesystem::create_directory(dir / "faces");
    for (int i = 0; i < n; ++i) {
      const DatasetItem item = write_face(dir / "faces", concat("f", i, ".png"), i, 7 * i % 5 + i / 100.0);
      landmarks += item.key;
      for (const Point& p : item.landmarks)
        landmarks += concat(",", io::format_number(p.x), ",", io::format_number(p.y));
      landmarks += "\n";
      labels += concat(item.key, ",", io::format_number(item.label), "\n");
      items.push_back(item);
    }
    write_text(dir / "landmarks.csv", landmarks);
    write_text(dir / "labels.csv", labels);
  }
  TrainConfig config() const {
    TrainConfig c;
    c.images = {(dir / "faces").string()};
    c.landmarks = {(dir / "landmarks.csv").string()};
    c.labels = {(dir / "labels.csv").string()};
    c.val_stride = 2;
    c.batch = 2;
    c.val_batch = 3;
    c.head_width = 8;
    c.limit = 4;
    return c;
  }
  void spoil(std::size_t i) const { write_text(items[i].path, "not an image"); }
};

inline std::unique_ptr<Model> small_model(std::uint64_t seed, Context& context,
                                          const std::string& head = "mlp") {
  UntrainedOptions options;
  options.architecture = "mobilefacenet";
  options.embedding_size = 16;
  options.hidden_size = 8;
  options.head = head;
  options.seed = seed;
  return make_untrained(options, calibration_faces(seed, 4), context);
}

struct Outcome {
  std::vector<double> embedding;
  double score = 0;  // the norm without a head
};

// Decoded, aligned, normalised and passed through the eager ops; every crop of a model once.
class Plain {
 public:
  Plain(Context& context) : context_(context) {}
  const Outcome& operator()(const Model& model, const DatasetItem& item, const Perturbation& p,
                            std::size_t index) {
    const auto [at, is_new] = known_.try_emplace({&model, index, p.pixels, p.relative});
    if (is_new) at->second = compute(model, item, p, index);
    return at->second;
  }
  void forget(const Model& model) {
    std::erase_if(known_, [&](const auto& entry) { return std::get<0>(entry.first) == &model; });
  }

 private:
  Outcome compute(const Model& model, const DatasetItem& item, const Perturbation& p,
                  std::size_t index) const {
    const io::Image image = io::read_image(item.path, {}).image;
    const io::Image crop = align_face(image, perturb(item.landmarks, p, kValidationEpoch, index));
    nn::EagerOps ops(context_);
    const nn::Value x{nn::normalise(context_, model.preprocessing().table(), crop.pixels, 1), -1};
    const nn::Value e = model.backbone().forward(ops, x);
    Outcome out;
    const auto values = e.tensor.values<float>();
    out.embedding.assign(values.begin(), values.end());
    double squares = 0;
    for (const double v : out.embedding) squares += v * v;
    out.score = model.head() == nullptr
                    ? std::sqrt(squares)
                    : static_cast<double>(model.head()->forward(ops, e).tensor.values<float>()[0]);
    return out;
  }
  Context& context_;
  std::map<std::tuple<const Model*, std::size_t, double, double>, Outcome> known_;
};

inline double plain_cosine(const std::vector<double>& a, const std::vector<double>& b) {
  const auto dot = [](const auto& x, const auto& y) {
    return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
  };
  return dot(a, b) / std::sqrt(dot(a, a)) / std::sqrt(dot(b, b));
}

inline double mean(const std::vector<double>& v) {
  return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
}

// Pearson's correlation of ranks that are counted.
inline double plain_spearman(const std::vector<double>& a, const std::vector<double>& b) {
  const auto ranks = [](const std::vector<double>& v) {
    std::vector<double> r;
    for (const double x : v) {
      double rank = 0.5;
      for (const double y : v) rank += y < x ? 1 : y == x ? 0.5 : 0;
      r.push_back(rank);
    }
    return r;
  };
  const std::vector<double> x = ranks(a), y = ranks(b);
  double xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean(x)) * (y[i] - mean(y));
    xx += (x[i] - mean(x)) * (x[i] - mean(x));
    yy += (y[i] - mean(y)) * (y[i] - mean(y));
  }
  return xy / std::sqrt(xx * yy);
}

// Fails on NaN.
#define CHECK_NEAR(a, b, tolerance) CHECK_MESSAGE(std::abs((a) - (b)) <= (tolerance), (a), " and ", (b))

}  // namespace aikd::test
