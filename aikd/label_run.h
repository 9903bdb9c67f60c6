// Labelling many images: run_scores (aikd/score_run.h) with a label generator for its network.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aikd/labels.h"
#include "aikd/score_run.h"

namespace aikd {

struct LabelledFace {
  const ScoreRow& row;            // path, status and error; its score is the label as float
  double label = 0;               // NaN unless row.ok()
  std::span<const double> parts;  // empty unless row.ok()
};

// Called as ScoreSink is: in input order, on the thread that called run_labels.
class LabelSink {
 public:
  virtual ~LabelSink() = default;
  virtual void row(const LabelledFace& face) = 0;
  virtual void flush() = 0;
  virtual void passed_over(const std::string& path) = 0;
};

// As run_scores; options.embedding_size is not used. A label that is not finite makes its row kNonFinite.
ScoreRunCounts run_labels(ScoreSource& source, LabelGenerator& generator, std::size_t parts, LabelSink& sink,
                          const ScoreRunOptions& options);

// CSV: path,label,<parts...>,status,error. Labels and parts as the shortest decimals that read back as the
// same double, NA in a row that failed.
std::string label_header(const LabelMethod& method);
std::string label_row(const LabelledFace& face, std::size_t parts);

}  // namespace aikd
