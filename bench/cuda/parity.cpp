#include "bench/cuda/parity.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <numeric>

#include "aikd/model.h"
#include "aikd/preprocess.h"
#include "aikd/scorer.h"
#include "io/image.h"
#include "kernels/isa.h"
#include "tensor/error.h"

namespace aikd::bench {
namespace {

namespace fs = std::filesystem;
using nn::Precision;

struct Bound {
  Precision precision;
  double error;  // of embeddings (relative L2) and scores
};
// fp32: what the project promises. The others: rounding the operands of 100 layers leaves 3e-3 (fp16) and
// 2e-2 (bf16) of relative error on random weights; the bounds are some times that.
constexpr Bound kBounds[] = {
    {Precision::kFp32, 1e-5}, {Precision::kTf32, 1e-2}, {Precision::kFp16, 2e-2}, {Precision::kBf16, 1e-1}};

std::vector<std::uint8_t> read_faces(const ParityOptions& options, const Preprocessing& input,
                                     std::int64_t* count) {
  require(fs::is_directory(options.images), ErrorKind::kUsage, "--images: '", options.images,
          "' is no folder.");
  std::vector<fs::path> paths;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(options.images)) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".png" || extension == ".jpg") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  if (paths.size() > static_cast<std::size_t>(options.limit))
    paths.resize(static_cast<std::size_t>(options.limit));
  require(paths.size() >= 3, ErrorKind::kUsage, "--images: '", options.images, "' holds ", paths.size(),
          " images (.png, .jpg); 3 or more are needed.");
  std::vector<std::uint8_t> pixels;
  for (const fs::path& path : paths) {
    const io::Image face = resize(io::read_image(path).image, input.width, input.height);
    pixels.insert(pixels.end(), face.pixels.begin(), face.pixels.end());
  }
  *count = static_cast<std::int64_t>(paths.size());
  return pixels;
}

struct Result {
  std::vector<float> embeddings;
  std::vector<double> scores;
};

Result score(const std::shared_ptr<const Model>& model, Context& context, const nn::PlanOptions& options,
             const std::vector<std::uint8_t>& faces, std::int64_t n, bool* repeats) {
  Scorer scorer(model, context, options);
  Result result;
  result.embeddings.resize(static_cast<std::size_t>(n * model->embedding_size()));
  const std::vector<Score> scores = scorer.score(faces, n, result.embeddings);
  for (const Score& s : scores) result.scores.push_back(static_cast<double>(s.raw));
  if (repeats == nullptr) return result;
  std::vector<float> again(result.embeddings.size());
  const std::vector<Score> second = scorer.score(faces, n, again);
  *repeats =
      again == result.embeddings && std::equal(scores.begin(), scores.end(), second.begin(),
                                               [](const Score& a, const Score& b) { return a.raw == b.raw; });
  return result;
}

// Mean rank of each value, 1 for the smallest.
std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> rank(values.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (std::size_t i = begin; i < end; ++i) rank[order[i]] = 0.5 * static_cast<double>(begin + 1 + end);
    begin = end;
  }
  return rank;
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const double ma = mean_of(a), mb = mean_of(b);
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - ma) * (b[i] - mb);
    aa += (a[i] - ma) * (a[i] - ma);
    bb += (b[i] - mb) * (b[i] - mb);
  }
  return ab / std::sqrt(aa * bb);
}

struct EmbeddingErrors {
  double mean = 0, most = 0;
};

// Relative L2 error of the first n embeddings.
EmbeddingErrors compare_embeddings(const Result& got, const Result& expected, std::int64_t n,
                                   std::int64_t size) {
  EmbeddingErrors errors;
  const auto width = static_cast<std::size_t>(size);
  for (std::size_t face = 0; face < static_cast<std::size_t>(n); ++face) {
    double difference = 0, squares = 0;
    for (std::size_t j = face * width; j < (face + 1) * width; ++j) {
      const double e = static_cast<double>(expected.embeddings[j]),
                   d = static_cast<double>(got.embeddings[j]) - e;
      difference += d * d;
      squares += e * e;
    }
    const double error = std::sqrt(difference / squares);
    errors.mean += error / static_cast<double>(n);
    if (!(error <= errors.most)) errors.most = error;  // NaN stays
  }
  return errors;
}

// How far exact fp32 is from itself on this model: the CPU once more, by instructions that round between
// product and sum. What the card differs by in fp32 is to be read beside it; no bound is judged by it.
void report_yardstick(const std::shared_ptr<const Model>& model, Report& report, const ParityOptions& options,
                      const std::vector<std::uint8_t>& faces, std::int64_t n, const Result& expected) {
  const std::string in_use = kernels::isa_name();
  if (in_use == "sse4" || in_use == "scalar" || !kernels::force_isa("sse4")) return;
  const std::int64_t few = std::min<std::int64_t>(n, 8);  // several times slower
  const std::vector<std::uint8_t> first(faces.begin(),
                                        faces.begin() + static_cast<std::ptrdiff_t>(faces.size()) / n * few);
  Context cpu(Device::cpu());
  const Result got = score(model, cpu, {.max_batch = options.batch}, first, few, nullptr);
  kernels::force_isa(in_use);
  const EmbeddingErrors embedding = compare_embeddings(got, expected, few, model->embedding_size());
  double most = 0;  // over the deviation of all faces, as below
  const double deviation = compare_scores(expected.scores, expected.scores).deviation;
  for (std::size_t i = 0; i < got.scores.size(); ++i) {
    const double difference = std::fabs(got.scores[i] - expected.scores[i]);
    most = std::max(most, difference / std::max(std::fabs(expected.scores[i]), deviation));
  }
  std::printf("  CPU, %s against %s, %ld faces: embedding %.2e (max %.2e), score %.2e: fp32's own spread\n",
              "sse4", in_use.c_str(), static_cast<long>(few), embedding.mean, embedding.most, most);
  report.row({{"kind", "parity_yardstick"},
              {"isa", "sse4"},
              {"against", in_use},
              {"faces", few},
              {"embedding_mean", embedding.mean},
              {"embedding_max", embedding.most},
              {"score_max_relative", most}});
}

}  // namespace

ScoreErrors compare_scores(const std::vector<double>& got, const std::vector<double>& expected) {
  ScoreErrors errors;
  const double mean = mean_of(expected);
  double squares = 0;
  for (const double s : expected) squares += (s - mean) * (s - mean);
  errors.deviation = std::sqrt(squares / static_cast<double>(expected.size()));
  const auto raise = [](double& most, double value) {
    if (!(value <= most)) most = value;  // NaN stays
  };
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::fabs(got[i] - expected[i]), size = std::fabs(expected[i]);
    errors.mean_difference += difference / static_cast<double>(expected.size());
    raise(errors.max_difference, difference);
    raise(errors.max_relative, difference / std::max(size, errors.deviation));
    raise(errors.max_plain_relative, difference / size);
  }
  errors.spearman = correlation(ranks(got), ranks(expected));
  return errors;
}

bool check_parity(Card& card, Report& report, const ParityOptions& options) {
  const std::shared_ptr<const Model> model = Model::load(options.model);
  std::int64_t n = 0;
  const std::vector<std::uint8_t> faces = read_faces(options, model->preprocessing(), &n);
  Context cpu(Device::cpu());
  const Result expected = score(model, cpu, {.max_batch = options.batch}, faces, n, nullptr);
  const char* const convolutions = card.has_cudnn() ? "cuDNN" : "hand-written";
  std::printf("parity: %s, %ld faces, against the CPU in fp32; convolutions: %s\n",
              model->architecture().c_str(), static_cast<long>(n), convolutions);
  std::printf("  %-5s %11s %11s | %11s %11s %11s %9s | %8s\n", "", "embedding", "max", "score", "max |diff|",
              "plain rel.", "Spearman", "repeats");

  report_yardstick(model, report, options, faces, n, expected);
  bool good = true;
  for (const Bound& bound : kBounds) {
    bool repeats = false;
    const Result got = score(model, card.context(),
                             {.max_batch = options.batch, .precision = bound.precision}, faces, n, &repeats);
    const EmbeddingErrors embedding = compare_embeddings(got, expected, n, model->embedding_size());
    const ScoreErrors errors = compare_scores(got.scores, expected.scores);
    const bool kept = embedding.most <= bound.error && errors.max_relative <= bound.error && repeats;
    good = good && kept;
    std::printf("  %-5s %11.2e %11.2e | %11.2e %11.2e %11.2e %9.6f | %8s | bound %.0e %s\n",
                nn::name_of(bound.precision), embedding.mean, embedding.most, errors.max_relative,
                errors.max_difference, errors.max_plain_relative, errors.spearman, repeats ? "yes" : "NO",
                bound.error, kept ? "kept" : "BROKEN");
    report.row({{"kind", "parity"},
                {"convolutions", convolutions},
                {"precision", nn::name_of(bound.precision)},
                {"faces", n},
                {"embedding_mean", embedding.mean},
                {"embedding_max", embedding.most},
                {"score_max_relative", errors.max_relative},
                {"score_max_plain_relative", errors.max_plain_relative},
                {"score_max_difference", errors.max_difference},
                {"score_mean_difference", errors.mean_difference},
                {"score_deviation", errors.deviation},
                {"spearman", errors.spearman},
                {"repeats", repeats},
                {"bound", bound.error},
                {"kept", kept}});
  }
  return good;
}

}  // namespace aikd::bench
