#include "apps/aikd_score/outputs.h"

#include <algorithm>
#include <filesystem>

#include "aikd/report.h"
#include "aikd/score_percentiles.h"
#include "io/pickle.h"
#include "io/table.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd::apps {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kShownFailures = 500;
constexpr int kThumbnailQuality = 85;

void write_whole(const fs::path& path, std::string_view text) {
  io::AtomicFile file(path);
  file.write(text.data(), text.size());
  file.commit();
}

bool to_standard_output(const ScoreOptions& options) {
  return options.output.empty() || options.output == "-";
}

// A pickle is one object: written whole at the end, beside an old file until then.
std::string row_path(const ScoreOptions& options, RowFormat format) {
  return format == RowFormat::kPickle ? "" : options.output;
}

}  // namespace

Outputs::Outputs(const ScoreOptions& options, OutputSettings settings, const InputFiles& inputs,
                 Console& console)
    : options_(options),
      settings_(std::move(settings)),
      inputs_(inputs),
      console_(console),
      rows_(row_path(options, settings_.style.format),
            settings_.append ? OutputFile::Mode::kAppend : OutputFile::Mode::kReplace),
      selection_(options),
      header_due_(!settings_.append),
      scores_(std::move(settings_.scores_before)) {
  if (settings_.style.format == RowFormat::kPickle && !to_standard_output(options))
    pickle_file_ = std::make_unique<io::AtomicFile>(options.output);
  if (!options.report.empty()) {
    std::error_code error;
    fs::create_directories(options.report, error);
    require(fs::is_directory(options.report), ErrorKind::kOutput, "The report's folder ",
            io::in_quotes(options.report, 1000),
            " cannot be made: ", error ? error.message() : std::string("a file of this name is in the way"),
            ".");
  }
  if (!options.embeddings.empty()) {
    embeddings_ = std::make_unique<EmbeddingsFile>(
        options.embeddings, settings_.embedding_size,
        std::map<std::string, std::string>{{"aikd.model_sha256", settings_.style.model_sha256}});
  }
}

void Outputs::row(const ScoredFace& face) {
  ++done_;
  const ScoreRow& row = face.row;
  if (!row.ok()) {
    keep_failure(row);
    return;
  }
  ++scored_count_;
  if (options_.percentiles || !options_.percentiles_to.empty() || !options_.report.empty())
    scores_.push_back(row.score);
  if (!options_.report.empty()) scored_.emplace_back(row.score, row.path);
  if (embeddings_ != nullptr) embeddings_->add(row.path, row.score, face.embedding);
  if (!passes(row, options_)) return;
  ++passing_;
  if (Selection::needed(options_)) {
    selection_.add(row);
  } else {
    print(row);
  }
}

void Outputs::keep_failure(const ScoreRow& row) {
  ++failed_;
  ++failed_by_status_[row.status];
  if (!options_.report.empty() && failures_.size() < kShownFailures) failures_.push_back(row);
  const RowFormat format = settings_.style.format;
  const bool row_tells_why =
      (format == RowFormat::kCsv || format == RowFormat::kTsv || format == RowFormat::kJsonl) &&
      !options_.filters();
  if (!row_tells_why || options_.verbose)
    console_.warn(concat(io::in_quotes(row.path, 1000), ": ", name_of(row.status), ": ",
                         io::escape_for_terminal(row.error, 1000)));
  if (options_.filters()) return;
  if (Selection::needed(options_)) {
    failed_rows_.push_back(row);
  } else {
    print(row);
  }
}

void Outputs::print(const ScoreRow& row) {
  if (settings_.style.format == RowFormat::kPickle) {
    float score = row.score;
    if (row.ok() || io::parse_number(settings_.style.missing, score)) pickle_.emplace_back(row.path, score);
    return;
  }
  if (header_due_) rows_.write(row_header(settings_.style));
  header_due_ = false;
  rows_.write(format_row(row, settings_.style));
}

void Outputs::flush() {
  rows_.flush();
  std::optional<std::int64_t> total = inputs_.total();
  console_.progress(done_, total, failed_);
}

void Outputs::passed_over(const std::string& path) {
  ++done_;
  if (options_.verbose) console_.note(concat(io::in_quotes(path, 1000), " is no image; passed over."));
}

void Outputs::finish() {
  console_.finish_progress();
  if (Selection::needed(options_))
    for (const ScoreRow& row : selection_.take()) print(row);
  for (const ScoreRow& row : failed_rows_) print(row);
  if (settings_.style.format == RowFormat::kPickle) {
    const std::vector<std::uint8_t> bytes = io::write_score_pickle(pickle_);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (pickle_file_ == nullptr) {
      rows_.write(text);
    } else {
      pickle_file_->write(text.data(), text.size());
      pickle_file_->commit();
    }
  } else if (header_due_) {
    rows_.write(row_header(settings_.style));  // no row passed: still a table
  }
  rows_.close();
  if (embeddings_ != nullptr) embeddings_->finish();
  std::sort(scores_.begin(), scores_.end());
  write_percentiles();
  if (!options_.report.empty()) write_report();
}

void Outputs::write_percentiles() {
  if (!options_.percentiles_to.empty()) {
    std::string table = "percentile,score,mapped\n";
    for (int p = 0; p <= 100 && !scores_.empty(); ++p) {
      const double value = percentile(scores_, p), mapped = settings_.map.map(value);
      table += concat(p, ",", io::format_number(value), ",",
                      settings_.map.defined() ? io::format_fixed(mapped, 2) : "NA", "\n");
    }
    write_whole(options_.percentiles_to, table);
  }
  if (!options_.percentiles) return;
  if (scores_.empty()) {
    console_.warn("No image was scored: there are no percentiles.");
    return;
  }
  std::string table = concat("Percentiles of ", scores_.size(), " scores\n");
  for (const int p : kShownPercentiles) {
    const double value = percentile(scores_, p);
    std::string line = concat(p, "%");
    line.insert(0, 6 - line.size(), ' ');
    table += line + "  " + io::format_number(static_cast<float>(value));
    if (settings_.map.defined()) table += "  (" + io::format_fixed(settings_.map.map(value), 1) + ")";
    table += '\n';
  }
  console_.print(table);
}

void Outputs::write_report() {
  ReportData data;
  data.title = "Face image quality";
  data.facts = settings_.facts;
  data.scores = scores_;
  data.map = settings_.map;
  data.failures = std::move(failures_);
  data.failed = failed_;
  // Stable: equal scores stay in the order of the inputs.
  std::stable_sort(scored_.begin(), scored_.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const std::int64_t rank :
       sheet_ranks(static_cast<std::int64_t>(scored_.size()), options_.report_images)) {
    const auto& [score, path] = scored_[static_cast<std::size_t>(rank)];
    ReportImage image;
    image.path = path;
    image.score = score;
    image.mapped = settings_.map.map(static_cast<double>(score));
    image.rank = rank + 1;
    // Made anew for the few that are shown, so that a run of a million images need not keep a million crops.
    if (const PreparedFace face = prepare_face(path, settings_.prepare); face.row.ok())
      image.jpeg = io::encode_jpeg(face.crop, kThumbnailQuality);
    data.sheet.push_back(std::move(image));
  }
  write_whole(fs::path(options_.report) / "index.html", render_report(data));
}

std::string Outputs::summary() const {
  std::string text = concat(scored_count_, scored_count_ == 1 ? " image scored" : " images scored");
  if (options_.min_score || options_.below) text += concat(", of which ", passing_, " chosen");
  text += concat(", ", failed_, " failed");
  std::string parts;
  for (const auto& [status, count] : failed_by_status_)
    parts += concat(parts.empty() ? "" : ", ", count, " ", name_of(status));
  return parts.empty() ? text : text + " (" + parts + ")";
}

}  // namespace aikd::apps
