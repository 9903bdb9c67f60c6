// A linear probe: a linear head on frozen embeddings, fitted in closed form. It makes a model out of any
// backbone and some labels, and measures what the embeddings already know.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "aikd/model.h"

namespace aikd {

struct LinearProbe {
  std::vector<double> weight;  // per feature, of the features as they come
  double bias = 0;
  double lambda = 0;     // chosen ridge penalty, in units of the standardised problem below
  double loo_error = 0;  // mean squared leave-one-out error at that penalty
  double predict(std::span<const float> features) const;
};

// Ridge regression: minimises |y - mean(y) - Z b|^2 + lambda |b|^2 over b, Z the features less their means
// and divided by their standard deviations (features that do not vary get the weight 0). lambda is the one of
// n * 10^-6, 10^-5.5, ..., 10^3 with the least leave-one-out error, which is exact from one singular value
// decomposition Z = U S V': e_i = (y_i - y^_i) / (1 - h_ii), h_ii = 1/n + sum_k U_ik^2 s_k^2 / (s_k^2 +
// lambda). In double. features: n x d, n = labels.size() >= 3. Error(kInput) for too few rows, values that
// are not finite, or labels or features that do not vary.
LinearProbe fit_linear_probe(std::span<const float> features, std::size_t d, std::span<const double> labels);

// 1 - sum (y - y^)^2 / sum (y - mean y)^2; NaN where the truth does not vary.
double r_squared(std::span<const double> truth, std::span<const double> predicted);
// Pearson's correlation of ranks, ties by their mean rank; NaN where one side does not vary or holds a value
// that is not finite.
double spearman(std::span<const double> a, std::span<const double> b);

// The backbone of `model` (whose own head, if any, is left out) with the probe as its linear head.
// `provenance` is added to the backbone's metadata. The tensors are shared with `model`.
std::unique_ptr<Model> with_linear_head(const Model& model, const LinearProbe& probe, const ScoreMap& map,
                                        const std::map<std::string, std::string>& provenance);

}  // namespace aikd
