#include "aikd/linear_probe.h"

#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "aikd/model_builder.h"
#include "io/table.h"
#include "tensor/error.h"

namespace aikd {
namespace {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;

Eigen::Index index(std::size_t i) {
  return static_cast<Eigen::Index>(i);
}

// Mean ranks, from 0.
std::vector<double> ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> out(values.size());
  for (std::size_t i = 0; i < order.size();) {
    std::size_t end = i + 1;
    while (end < order.size() && !(values[order[i]] < values[order[end]])) ++end;
    for (std::size_t k = i; k < end; ++k) out[order[k]] = 0.5 * static_cast<double>(i + end - 1);
    i = end;
  }
  return out;
}

double mean(std::span<const double> v) {
  return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
}

double correlation(std::span<const double> a, std::span<const double> b) {
  const double ma = mean(a), mb = mean(b);
  double aa = 0, bb = 0, ab = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    aa += (a[i] - ma) * (a[i] - ma);
    bb += (b[i] - mb) * (b[i] - mb);
    ab += (a[i] - ma) * (b[i] - mb);
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

double LinearProbe::predict(std::span<const float> features) const {
  require(features.size() == weight.size(), ErrorKind::kInternal, "A probe of ", weight.size(),
          " features was given ", features.size(), ".");
  double sum = bias;
  for (std::size_t i = 0; i < weight.size(); ++i) sum += weight[i] * static_cast<double>(features[i]);
  return sum;
}

LinearProbe fit_linear_probe(std::span<const float> features, std::size_t d, std::span<const double> labels) {
  const std::size_t n = labels.size();
  require(features.size() == n * d, ErrorKind::kInternal, "A probe on ", n, " labels and ", d,
          " features needs ", n * d, " values, got ", features.size(), ".");
  require(n >= 3, ErrorKind::kInput, "A linear probe needs at least 3 labelled rows, got ", n, ".");
  Matrix z(index(n), index(d));
  Vector y(index(n));
  for (std::size_t i = 0; i < n; ++i) {
    require(std::isfinite(labels[i]), ErrorKind::kInput, "The label of row ", i + 1, " of a linear probe is ",
            labels[i], "; a finite number is needed.");
    y(index(i)) = labels[i];
    for (std::size_t j = 0; j < d; ++j) {
      const float v = features[i * d + j];
      require(std::isfinite(v), ErrorKind::kInput, "Feature ", j + 1, " of row ", i + 1,
              " of a linear probe is ", v, "; a finite number is needed.");
      z(index(i), index(j)) = static_cast<double>(v);
    }
  }
  const double y_mean = y.mean();
  y.array() -= y_mean;
  require(y.squaredNorm() > 0, ErrorKind::kInput, "All labels of a linear probe are ", y_mean,
          "; they must vary.");
  const Vector means = z.colwise().mean();
  z.rowwise() -= means.transpose();
  Vector scale = (z.colwise().squaredNorm() / static_cast<double>(n)).cwiseSqrt();
  bool varies = false;
  for (Eigen::Index j = 0; j < scale.size(); ++j) {
    // Less than rounding of the mean would leave: constant.
    const bool constant = !(scale(j) > 1e-9 * (std::abs(means(j)) + 1e-30));
    varies = varies || !constant;
    scale(j) = constant ? 0.0 : 1.0 / scale(j);
  }
  require(varies, ErrorKind::kInput, "No feature of the ", n, " rows of a linear probe varies.");
  z *= scale.asDiagonal();

  const Eigen::BDCSVD<Matrix> svd(z, Eigen::ComputeThinU | Eigen::ComputeThinV);
  const Vector s2 = svd.singularValues().cwiseAbs2(), uy = svd.matrixU().transpose() * y;
  const Matrix u2 = svd.matrixU().cwiseAbs2();
  LinearProbe out;
  out.loo_error = std::numeric_limits<double>::infinity();
  for (int step = -12; step <= 6; ++step) {
    const double lambda = static_cast<double>(n) * std::pow(10.0, 0.5 * step);
    const Vector shrink = s2.array() / (s2.array() + lambda);
    const Vector residual = y - svd.matrixU() * shrink.cwiseProduct(uy);
    const Vector leverage = (u2 * shrink).array() + 1.0 / static_cast<double>(n);
    const double error = (residual.array() / (1.0 - leverage.array()).max(1e-12)).square().mean();
    if (error < out.loo_error) {
      out.loo_error = error;
      out.lambda = lambda;
    }
  }
  const Vector ratio = svd.singularValues().array() / (s2.array() + out.lambda);
  const Vector weight = scale.cwiseProduct(svd.matrixV() * ratio.cwiseProduct(uy));
  out.weight.assign(weight.data(), weight.data() + weight.size());
  out.bias = y_mean - weight.dot(means);
  return out;
}

double r_squared(std::span<const double> truth, std::span<const double> predicted) {
  require(truth.size() == predicted.size() && !truth.empty(), ErrorKind::kInternal, "R^2 of ", truth.size(),
          " and ", predicted.size(), " values.");
  const double m = mean(truth);
  double left = 0, all = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    left += (truth[i] - predicted[i]) * (truth[i] - predicted[i]);
    all += (truth[i] - m) * (truth[i] - m);
  }
  return all > 0 ? 1.0 - left / all : std::numeric_limits<double>::quiet_NaN();
}

double spearman(std::span<const double> a, std::span<const double> b) {
  require(a.size() == b.size() && !a.empty(), ErrorKind::kInternal, "Rank correlation of ", a.size(), " and ",
          b.size(), " values.");
  const auto finite = [](std::span<const double> x) {
    return std::ranges::all_of(x, [](double v) { return std::isfinite(v); });
  };
  if (!finite(a) || !finite(b)) return std::numeric_limits<double>::quiet_NaN();  // they have no ranks
  return correlation(ranks(a), ranks(b));
}

std::unique_ptr<Model> with_linear_head(const Model& model, const LinearProbe& probe, const ScoreMap& map,
                                        const std::map<std::string, std::string>& provenance) {
  ModelDescription d = describe_backbone(model);
  d.family = "diffiqa-r";  // the family of a backbone with one linear layer
  d.head = "linear";
  d.score_map = map;
  d.provenance = provenance;
  // ModelBuilder::make sets what describes the new model; the rest of the backbone's story stays.
  d.provenance.insert(model.metadata().begin(), model.metadata().end());
  for (const char* key :
       {"aikd.format", "aikd.family", "aikd.architecture", "aikd.head", "aikd.batch_norm_eps",
        "aikd.preprocess", "aikd.score", "aikd.score_map", "aikd.created_by"}) {
    d.provenance.erase(key);
  }
  // Where the tensors go when the file is turned back into PyTorch's names: Sequential(base, linear).
  d.provenance["aikd.backbone_prefix"] = "base.";
  d.provenance["aikd.head_prefix"] = "linear.";

  std::unique_ptr<Model> out = ModelBuilder::make(d);
  share_tensors(model.backbone(), out->backbone());
  for (const nn::NamedTensor& spec : out->head()->tensors()) {
    std::vector<float> values;
    if (spec.role == nn::TensorRole::kBias) {
      values.push_back(static_cast<float>(probe.bias));
    } else {
      for (const double w : probe.weight) values.push_back(static_cast<float>(w));
    }
    *spec.tensor = Tensor::from<float>(values, spec.shape);
    check_values(*spec.tensor, "head." + spec.name, spec.role);
  }
  return out;
}

}  // namespace aikd
