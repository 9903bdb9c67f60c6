// The data of tests/golden/train/make_train.py, and comparisons with what PyTorch made of it.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "aikd/model_builder.h"
#include "aikd/train_step.h"
#include "io/safetensors.h"
#include "nn/initialise.h"
#include "nn/layout.h"
#include "tensor/random.h"
#include "tests/support/test.h"

namespace aikd::test {

class TrainGolden {
 public:
  explicit TrainGolden(const std::string& name)
      : file_(io::read_safetensors(golden_dir() / "train" / ("train_" + name + ".safetensors"))) {}

  const Tensor* find(const std::string& name) const { return file_.find(name); }
  const Tensor& tensor(const std::string& name) const {
    const Tensor* found = find(name);
    REQUIRE_MESSAGE(found != nullptr, name);
    return *found;
  }
  std::span<const double> doubles(const std::string& name) const { return tensor(name).values<double>(); }
  const io::SafetensorsFile& file() const { return file_; }
  std::vector<std::string> names() const {  // of the gradients
    std::istringstream text(file_.metadata.at("names"));
    std::vector<std::string> all;
    for (std::string line; std::getline(text, line);) all.push_back(line);
    return all;
  }

 private:
  io::SafetensorsFile file_;
};

class TrainData : TrainGolden {
 public:
  static constexpr std::int64_t kBatch = 4, kFace = 120, kCrop = 112;
  static constexpr std::int64_t kMargin = (kFace - kCrop) / 2;

  TrainData() : TrainGolden("data") {}

  // iResNet-18 with seeded weights, PReLUs almost straight up to the last block, statistics as PyTorch
  // calibrated them; no head.
  std::unique_ptr<Model> teacher() const {
    ModelDescription d;
    d.family = "backbone";
    d.architecture = "iresnet18";
    d.embedding_size = 512;
    std::unique_ptr<Model> model = ModelBuilder::make(d);
    nn::initialise(model->backbone(), 21);
    for (const nn::NamedTensor& spec : model->backbone().tensors()) {
      if (spec.role == nn::TensorRole::kPreluSlope && !spec.name.starts_with("layer4.1")) {
        for (float& value : spec.tensor->mutable_values<float>()) {
          const auto slope = static_cast<double>(value);
          value = static_cast<float>(spec.name == "prelu.weight" ? 1 : 1 + (slope - 0.25) / 100);
        }
      }
      if (spec.role != nn::TensorRole::kBnMean && spec.role != nn::TensorRole::kBnVar) continue;
      REQUIRE(tensor("bn." + spec.name).shape() == spec.shape);
      *spec.tensor = tensor("bn." + spec.name);
    }
    return model;
  }

  TrainBatch batch(const TrainGolden& golden, std::int64_t step, bool misalign) const {
    TrainBatch b;
    b.step = step;
    b.n = kBatch;
    for (std::int64_t i = step * kBatch; i < (step + 1) * kBatch; ++i) {
      const std::int64_t face = golden.tensor("batches").data<std::int64_t>()[i];
      const std::int64_t* shift = golden.tensor("shifts").data<std::int64_t>() + 2 * i;
      b.labels.push_back(tensor("labels").data<float>()[face]);
      crop(face, kMargin, kMargin, b.aligned);
      misalign ? crop(face, kMargin + shift[0], kMargin + shift[1], b.misaligned)
               : crop(face, kMargin, kMargin, b.misaligned);
    }
    return b;
  }

 private:
  void crop(std::int64_t face, std::int64_t x, std::int64_t y, std::vector<std::uint8_t>& out) const {
    const std::uint8_t* pixels = tensor("faces").data<std::uint8_t>();
    for (std::int64_t row = 0; row < kCrop; ++row) {
      const std::uint8_t* first = pixels + ((face * kFace + y + row) * kFace + x) * 3;
      out.insert(out.end(), first, first + kCrop * 3);
    }
  }
};

// 64 sums of +-value; project() of make_train.py.
inline std::vector<double> project(std::span<const float> values) {
  std::array<double, 64> sums{};
  Random random(64);
  for (const float value : values) {
    const std::uint64_t word = random.bits();
    const auto wide = static_cast<double>(value);
    for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += (word >> k & 1U) != 0 ? -wide : wide;
  }
  return {sums.begin(), sums.end()};
}

inline double norm_of(std::span<const float> values) {
  double sum = 0;
  for (const float v : values) sum += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(sum);
}

// |a - b| of the vectors that `a` and `b` are, or, where both are 64 projections, what they say of it.
template <class A>
double distance(std::span<const A> a, std::span<const float> b, bool projected) {
  REQUIRE(a.size() == b.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += d * d;
  }
  return std::sqrt(projected ? sum / static_cast<double>(a.size()) : sum);
}

// The largest of some errors and where it is. NaN is larger than anything.
struct Worst {
  double error = 0;
  std::string where;
  void add(double e, const std::string& name) {
    if (e <= error || std::isnan(error)) return;
    error = e;
    where = name;
  }
};

}  // namespace aikd::test
