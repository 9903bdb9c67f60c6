// Everything that leaves a run: rows, pickle, embeddings, percentiles, report, failures on stderr.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "aikd/score_map.h"
#include "aikd/score_run.h"
#include "apps/aikd_score/embeddings_file.h"
#include "apps/aikd_score/options.h"
#include "apps/aikd_score/selection.h"
#include "apps/common/inputs.h"
#include "apps/common/output.h"
#include "apps/common/terminal.h"
#include "io/atomic_file.h"

namespace aikd::apps {

struct OutputSettings {
  RowStyle style;
  bool append = false;               // the table has rows already
  std::vector<float> scores_before;  // of those rows
  std::int64_t embedding_size = 0;
  ScoreMap map;
  std::vector<std::pair<std::string, std::string>> facts;  // for the report
  PrepareOptions prepare;                                  // for the pictures of the report
};

class Outputs final : public ScoreSink {
 public:
  // Opens every output, so that one that cannot be written is known before the first image. `inputs` is asked
  // for the total of the progress bar.
  Outputs(const ScoreOptions& options, OutputSettings settings, const InputFiles& inputs, Console& console);

  void row(const ScoredFace& face) override;
  void flush() override;
  void passed_over(const std::string& path) override;

  // Rows that waited, pickle, embeddings, percentiles, report. Also after a signal.
  void finish();
  bool writes_regular_file() const noexcept { return rows_.is_regular_file(); }
  // "3 of 10 rows pass", "2 truncated": for the summary.
  std::string summary() const;

 private:
  void print(const ScoreRow& row);
  void keep_failure(const ScoreRow& row);
  void write_percentiles();
  void write_report();

  const ScoreOptions& options_;
  OutputSettings settings_;
  const InputFiles& inputs_;
  Console& console_;
  OutputFile rows_;
  Selection selection_;
  bool header_due_ = false;
  std::vector<std::pair<std::string, float>> pickle_;
  std::unique_ptr<io::AtomicFile> pickle_file_;
  std::unique_ptr<EmbeddingsFile> embeddings_;
  std::vector<std::pair<float, std::string>> scored_;  // for the report: score and path
  std::vector<float> scores_;
  std::vector<ScoreRow> failures_;     // for the report
  std::vector<ScoreRow> failed_rows_;  // that wait for the end of a sorted table
  std::map<ScoreStatus, std::int64_t> failed_by_status_;
  std::int64_t done_ = 0, failed_ = 0, scored_count_ = 0, passing_ = 0;
};

}  // namespace aikd::apps
