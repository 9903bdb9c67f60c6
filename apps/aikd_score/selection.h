// Which scored rows are printed, and in which order, when that is not simply all of them as they come.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "aikd/score_row.h"
#include "apps/aikd_score/options.h"

namespace aikd::apps {

// Whether a scored row passes --min-score and --below. A row without a mapped score fails when they are meant
// on that scale.
bool passes(const ScoreRow& row, const ScoreOptions& options);

// Keeps rows until the end of a run for --sort, --top and --top-per-folder; with a top, only as many as can
// be in the result.
class Selection {
 public:
  explicit Selection(const ScoreOptions& options) : options_(options) {}
  // Whether rows have to wait at all.
  static bool needed(const ScoreOptions& options);

  void add(const ScoreRow& row);
  std::vector<ScoreRow> take();

 private:
  struct Kept {
    ScoreRow row;
    std::int64_t order = 0;  // of the input: breaks ties
  };
  // Better first: higher score, then earlier input.
  static bool better(const Kept& a, const Kept& b);
  // A heap of at most `limit` rows whose first is the worst.
  static void keep_best(std::vector<Kept>& heap, Kept row, std::int64_t limit);
  void sort(std::vector<Kept>& rows) const;

  const ScoreOptions& options_;
  std::int64_t order_ = 0;
  std::vector<Kept> rows_;
  std::map<std::string, std::vector<Kept>> folders_;
};

}  // namespace aikd::apps
