#include "aikd/label_run.h"

#include <deque>
#include <limits>
#include <utility>

#include "io/table.h"

namespace aikd {
namespace {

struct Labelled {
  double label;
  std::vector<double> parts;
};

// Rows come in the order of the batches, so the labels of double precision wait in a queue for their rows.
class Adapter final : public ScoreSink {
 public:
  Adapter(LabelSink& sink, std::deque<Labelled>& waiting) : sink_(sink), waiting_(waiting) {}
  void row(const ScoredFace& face) override {
    LabelledFace out{face.row, std::numeric_limits<double>::quiet_NaN(), {}};
    Labelled labelled;
    if (face.row.ok() || face.row.status == ScoreStatus::kNonFinite) {
      labelled = std::move(waiting_.front());
      waiting_.pop_front();
    }
    if (face.row.ok()) {
      out.label = labelled.label;
      out.parts = labelled.parts;
    }
    sink_.row(out);
  }
  void flush() override { sink_.flush(); }
  void passed_over(const std::string& path) override { sink_.passed_over(path); }

 private:
  LabelSink& sink_;
  std::deque<Labelled>& waiting_;
};

}  // namespace

ScoreRunCounts run_labels(ScoreSource& source, LabelGenerator& generator, std::size_t parts, LabelSink& sink,
                          const ScoreRunOptions& options) {
  std::deque<Labelled> waiting;
  Adapter adapter(sink, waiting);
  ScoreRunOptions run = options;
  run.embedding_size = 0;
  std::vector<double> labels, all_parts;
  const ScoreBatch label_batch = [&](std::span<const std::uint8_t> crops, std::int64_t n, std::span<float>) {
    const auto count = static_cast<std::size_t>(n);
    labels.assign(count, std::numeric_limits<double>::quiet_NaN());
    all_parts.assign(count * parts, std::numeric_limits<double>::quiet_NaN());
    generator.label(crops, n, labels, all_parts);
    std::vector<Score> scores(count);
    for (std::size_t i = 0; i < count; ++i) {
      scores[i].raw = static_cast<float>(labels[i]);
      const auto first = all_parts.begin() + static_cast<std::ptrdiff_t>(i * parts);
      waiting.push_back({labels[i], {first, first + static_cast<std::ptrdiff_t>(parts)}});
    }
    return scores;
  };
  return run_scores(source, label_batch, adapter, run);
}

std::string label_header(const LabelMethod& method) {
  std::vector<std::string> fields{"path", "label"};
  fields.insert(fields.end(), method.parts.begin(), method.parts.end());
  fields.insert(fields.end(), {"status", "error"});
  return io::delimited_record(fields, ',');
}

std::string label_row(const LabelledFace& face, std::size_t parts) {
  const bool ok = face.row.ok();
  std::vector<std::string> fields{face.row.path, ok ? io::format_number(face.label) : "NA"};
  for (std::size_t i = 0; i < parts; ++i) fields.push_back(ok ? io::format_number(face.parts[i]) : "NA");
  fields.insert(fields.end(), {std::string(name_of(face.row.status)), face.row.error});
  return io::delimited_record(fields, ',');
}

}  // namespace aikd
