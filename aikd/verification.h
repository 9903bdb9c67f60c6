// Face verification: how well embeddings tell "the same person" from "two people" on a list of pairs.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tensor/tensor.h"

namespace aikd {

// Embeddings of images by path, as `aikd-score --embeddings` writes them: a safetensors file with
// `embeddings` F32 [n, d] and `paths` U8, n paths each ended by a NUL byte.
class EmbeddingSet {
 public:
  // Error(kInput) with a sentence for everything that is missing or does not fit together, a path given
  // twice, and a row that is not finite or all zero.
  static EmbeddingSet read(const std::filesystem::path& path);
  EmbeddingSet(Tensor embeddings, std::vector<std::string> paths, const std::string& source);

  std::size_t size() const noexcept { return paths_.size(); }
  std::int64_t dimensions() const noexcept { return embeddings_.shape()[1]; }
  const std::vector<std::string>& paths() const noexcept { return paths_; }
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  // The row whose path is `name`, or else the one whose path ends in "/name"; kNone when there is none.
  // Error(kInput) when several end so.
  std::size_t find(const std::string& name) const;
  // Cosine of the angle between two rows, in double.
  double cosine(std::size_t a, std::size_t b) const;

 private:
  Tensor embeddings_;
  std::vector<std::string> paths_;
  std::vector<double> norms_;
  std::unordered_map<std::string, std::size_t> exact_;
  std::unordered_multimap<std::string, std::size_t> by_file_name_;
};

struct NamedPair {
  std::string a, b;
  bool same = false;
  int fold = 0;  // 0..folds-1
};

struct PairList {
  std::vector<NamedPair> pairs;
  int folds = 10;
};

// Two formats, told apart by the first line:
//   LFW's pairs.txt: "10 300" (or "300": one fold), then for each fold 300 lines `name i j` (the same person)
//   and 300 lines `name i other j`; they become Name/Name_0001 with `extension` (".jpg").
//   Lists of `a b 1` (the same person) and `a b 0`, separated by tabs or spaces; '#' begins a comment line;
//   ten folds of consecutive pairs, the first ones longer where they are not equal.
// Error(kInput) names the file, the line and what is wrong.
PairList read_pairs(const std::filesystem::path& path, const std::string& extension = ".jpg");
PairList parse_pairs(std::string_view text, const std::string& source, const std::string& extension = ".jpg");

struct ScoredPair {
  double similarity = 0;  // larger: more alike
  bool same = false;
  int fold = 0;
};

struct ErrorAtRate {
  double fmr = 0;        // asked for
  double threshold = 0;  // accepted as the same person: similarity > threshold
  double fmr_reached = 0, fnmr = 0;
  bool measurable = true;  // false: fewer than 1 / fmr impostor pairs
};

struct FoldResult {
  double threshold = 0;  // chosen on the other folds
  double accuracy = 0;   // on this one
  std::size_t pairs = 0;
};

struct Verification {
  std::size_t genuine = 0, impostor = 0;
  // Mean and standard error (sample deviation / sqrt(folds)) over the folds, as LFW's protocol has it.
  std::vector<FoldResult> folds;
  double accuracy = 0, standard_error = 0;
  // Area under the ROC: the chance that a genuine pair is more alike than an impostor pair, ties count half.
  double auc = 0;
  double eer = 0, eer_threshold = 0;
  double d_prime = 0;  // (mean g - mean i) / sqrt((variance g + variance i) / 2), sample variances
  double genuine_mean = 0, impostor_mean = 0;
  std::vector<ErrorAtRate> at;  // FMR 1e-2, 1e-3, 1e-4
};

// Needs a genuine and an impostor pair, and two folds with pairs. Error(kInput) otherwise, or for a
// similarity that is not finite.
//
// Thresholds of the folds lie half-way between neighbouring similarities; of those that are equally good the
// lowest is taken. FNMR at FMR f: k = floor((N - 1) f) impostors of N may be accepted, the threshold is the
// (k + 1)-th best impostor, and acceptance is strict (the rule of the evaluations this method is compared
// in). EER: where the lines between the points (FMR, FNMR) of all thresholds cross FMR = FNMR.
Verification verify(const std::vector<ScoredPair>& pairs, int folds);

}  // namespace aikd
