#include "aikd/verification.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "io/safetensors.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd {
namespace {

namespace fs = std::filesystem;

std::string file_name(const std::string& path) {
  return path.substr(path.find_last_of('/') + 1);
}

bool ends_in(const std::string& path, const std::string& name) {
  return path.size() > name.size() && path[path.size() - name.size() - 1] == '/' &&
         path.compare(path.size() - name.size(), name.size(), name) == 0;
}

const Tensor& tensor_of(const io::SafetensorsFile& file, const std::string& name, DType dtype,
                        std::size_t rank, const fs::path& path) {
  const Tensor* tensor = file.find(name);
  if (tensor == nullptr) {
    fail(ErrorKind::kInput, "The embeddings ", io::in_quotes(path.string(), 1000), " have no tensor \"", name,
         "\"; aikd-score --embeddings writes it.");
  }
  if (tensor->dtype() != dtype || tensor->shape().rank() != rank) {
    fail(ErrorKind::kInput, "The tensor \"", name, "\" of ", io::in_quotes(path.string(), 1000), " must be ",
         name_of(dtype), " with ", rank, rank == 1 ? " dimension" : " dimensions", ", got ",
         name_of(tensor->dtype()), " ", tensor->shape(), ".");
  }
  return *tensor;
}

}  // namespace

EmbeddingSet EmbeddingSet::read(const fs::path& path) {
  const io::SafetensorsFile file = io::read_safetensors(path);
  const Tensor& embeddings = tensor_of(file, "embeddings", DType::kF32, 2, path);
  const std::span<const std::uint8_t> bytes =
      tensor_of(file, "paths", DType::kU8, 1, path).values<std::uint8_t>();
  require(bytes.empty() || bytes.back() == 0, ErrorKind::kInput, "The paths in ",
          io::in_quotes(path.string(), 1000), " do not end in a NUL byte.");
  std::vector<std::string> paths;
  for (auto at = bytes.begin(); at != bytes.end();) {
    const auto end = std::find(at, bytes.end(), std::uint8_t{0});
    paths.emplace_back(at, end);
    at = end + 1;
  }
  return {embeddings, std::move(paths), path.string()};
}

EmbeddingSet::EmbeddingSet(Tensor embeddings, std::vector<std::string> paths, const std::string& source)
    : embeddings_(std::move(embeddings)), paths_(std::move(paths)) {
  const auto n = embeddings_.shape()[0], d = embeddings_.shape()[1];
  require(static_cast<std::int64_t>(paths_.size()) == n, ErrorKind::kInput, "The embeddings ",
          io::in_quotes(source, 1000), " have ", n, " rows and ", paths_.size(), " paths.");
  const std::span<const float> values = embeddings_.values<float>();
  for (std::size_t i = 0; i < paths_.size(); ++i) {
    double sum = 0;
    for (const float v : values.subspan(i * static_cast<std::size_t>(d), static_cast<std::size_t>(d))) {
      sum += static_cast<double>(v) * static_cast<double>(v);
    }
    if (!(std::isfinite(sum) && sum > 0)) {
      fail(ErrorKind::kInput, "The embedding of ", io::in_quotes(paths_[i], 1000), " in ",
           io::in_quotes(source, 1000), " has the norm ", std::sqrt(sum),
           "; a positive, finite one is needed.");
    }
    norms_.push_back(std::sqrt(sum));
    if (!exact_.emplace(paths_[i], i).second) {
      fail(ErrorKind::kInput, "The path ", io::in_quotes(paths_[i], 1000), " is in the embeddings ",
           io::in_quotes(source, 1000), " twice.");
    }
    by_file_name_.emplace(file_name(paths_[i]), i);
  }
}

std::size_t EmbeddingSet::find(const std::string& name) const {
  if (const auto found = exact_.find(name); found != exact_.end()) return found->second;
  std::size_t row = kNone;
  const auto [begin, end] = by_file_name_.equal_range(file_name(name));
  for (auto it = begin; it != end; ++it) {
    if (!ends_in(paths_[it->second], name)) continue;
    if (row != kNone) {
      fail(ErrorKind::kInput, "The name ", io::in_quotes(name, 1000), " could be ",
           io::in_quotes(paths_[std::min(row, it->second)], 1000), " or ",
           io::in_quotes(paths_[std::max(row, it->second)], 1000), "; say which by --root.");
    }
    row = it->second;
  }
  return row;
}

double EmbeddingSet::cosine(std::size_t a, std::size_t b) const {
  const auto d = static_cast<std::size_t>(dimensions());
  const std::span<const float> values = embeddings_.values<float>();
  double sum = 0;
  for (std::size_t i = 0; i < d; ++i) {
    sum += static_cast<double>(values[a * d + i]) * static_cast<double>(values[b * d + i]);
  }
  return sum / (norms_[a] * norms_[b]);
}

namespace {

double mean(const std::vector<double>& v) {
  return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
}

double sample_variance(const std::vector<double>& v) {
  if (v.size() < 2) return 0;
  const double m = mean(v);
  double sum = 0;
  for (const double x : v) sum += (x - m) * (x - m);
  return sum / static_cast<double>(v.size() - 1);
}

// How many of ascending `sorted` are greater than `threshold`.
std::size_t count_above(const std::vector<double>& sorted, double threshold) {
  return static_cast<std::size_t>(sorted.end() - std::upper_bound(sorted.begin(), sorted.end(), threshold));
}

// The threshold that classifies most of `pairs` (ascending by similarity) outside `fold` rightly.
double best_threshold(const std::vector<ScoredPair>& pairs, int fold) {
  std::int64_t right = 0;  // with a threshold below all: every pair is called genuine
  for (const ScoredPair& p : pairs) right += p.fold != fold && p.same ? 1 : 0;
  std::int64_t best = -1;
  double threshold = 0;
  const ScoredPair* previous = nullptr;
  for (const ScoredPair& p : pairs) {
    if (p.fold == fold) continue;
    if (right > best && (previous == nullptr || previous->similarity < p.similarity)) {
      best = right;
      threshold = previous == nullptr ? p.similarity - 1.0 : 0.5 * (previous->similarity + p.similarity);
    }
    right += p.same ? -1 : 1;
    previous = &p;
  }
  if (right > best && previous != nullptr) threshold = previous->similarity + 1.0;
  return threshold;
}

void fold_accuracies(std::vector<ScoredPair> pairs, int folds, Verification& out) {
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const ScoredPair& a, const ScoredPair& b) { return a.similarity < b.similarity; });
  std::vector<double> accuracies;
  for (int fold = 0; fold < folds; ++fold) {
    FoldResult result;
    std::size_t right = 0;
    result.threshold = best_threshold(pairs, fold);
    for (const ScoredPair& p : pairs) {
      if (p.fold != fold) continue;
      ++result.pairs;
      right += (p.similarity > result.threshold) == p.same ? 1 : 0;
    }
    if (result.pairs == 0) continue;  // all its pairs were missing
    result.accuracy = static_cast<double>(right) / static_cast<double>(result.pairs);
    accuracies.push_back(result.accuracy);
    out.folds.push_back(result);
  }
  require(out.folds.size() >= 2, ErrorKind::kInput,
          "Thresholds are chosen on the other folds, so at least two folds with pairs are needed, got ",
          out.folds.size(), ".");
  out.accuracy = mean(accuracies);
  out.standard_error = std::sqrt(sample_variance(accuracies) / static_cast<double>(accuracies.size()));
}

void equal_error_rate(const std::vector<double>& genuine, const std::vector<double>& impostor,
                      Verification& out) {
  std::vector<double> thresholds = genuine;
  thresholds.insert(thresholds.end(), impostor.begin(), impostor.end());
  std::sort(thresholds.begin(), thresholds.end());
  thresholds.erase(std::unique(thresholds.begin(), thresholds.end()), thresholds.end());
  const auto g = static_cast<double>(genuine.size()), i = static_cast<double>(impostor.size());
  double fmr = 1, fnmr = 0, last = thresholds.front();  // a threshold below all
  for (const double t : thresholds) {
    const double next_fmr = static_cast<double>(count_above(impostor, t)) / i;
    const double next_fnmr = 1.0 - static_cast<double>(count_above(genuine, t)) / g;
    if (next_fnmr >= next_fmr) {
      const double before = fmr - fnmr, after = next_fnmr - next_fmr, w = before / (before + after);
      out.eer = fmr + w * (next_fmr - fmr);
      out.eer_threshold = last + w * (t - last);
      return;
    }
    fmr = next_fmr;
    fnmr = next_fnmr;
    last = t;
  }
}

}  // namespace

Verification verify(const std::vector<ScoredPair>& pairs, int folds) {
  std::vector<double> genuine, impostor;
  for (const ScoredPair& p : pairs) {
    require(std::isfinite(p.similarity), ErrorKind::kInput, "The similarity of a pair is ", p.similarity,
            "; a finite number is needed.");
    (p.same ? genuine : impostor).push_back(p.similarity);
  }
  require(!genuine.empty() && !impostor.empty(), ErrorKind::kInput,
          "Verification needs pairs of one person and pairs of two people, got ", genuine.size(), " and ",
          impostor.size(), ".");
  std::sort(genuine.begin(), genuine.end());
  std::sort(impostor.begin(), impostor.end());
  Verification out;
  out.genuine = genuine.size();
  out.impostor = impostor.size();
  fold_accuracies(pairs, folds, out);

  double wins = 0;
  for (const double s : genuine) {
    const auto [lo, hi] = std::equal_range(impostor.begin(), impostor.end(), s);
    wins += static_cast<double>(lo - impostor.begin()) + 0.5 * static_cast<double>(hi - lo);
  }
  out.auc = wins / (static_cast<double>(genuine.size()) * static_cast<double>(impostor.size()));
  equal_error_rate(genuine, impostor, out);
  out.genuine_mean = mean(genuine);
  out.impostor_mean = mean(impostor);
  out.d_prime = (out.genuine_mean - out.impostor_mean) /
                std::sqrt(0.5 * (sample_variance(genuine) + sample_variance(impostor)));
  for (const double fmr : {1e-2, 1e-3, 1e-4}) {
    const auto n = static_cast<double>(impostor.size());
    const auto k = static_cast<std::size_t>(std::floor((n - 1.0) * fmr + 1e-9));
    ErrorAtRate at;
    at.fmr = fmr;
    at.threshold = impostor[impostor.size() - 1 - k];
    at.fmr_reached = static_cast<double>(count_above(impostor, at.threshold)) / n;
    at.fnmr =
        1.0 - static_cast<double>(count_above(genuine, at.threshold)) / static_cast<double>(genuine.size());
    at.measurable = n * fmr >= 1.0 - 1e-9;
    out.at.push_back(at);
  }
  return out;
}

}  // namespace aikd
