#include "aikd/train_closing.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "aikd/invariance.h"
#include "aikd/train_report.h"
#include "aikd/train_step.h"
#include "io/atomic_file.h"
#include "io/table.h"
#include "tensor/error.h"

namespace aikd {
namespace {

using nlohmann::ordered_json;

void write_text(const std::filesystem::path& path, const std::string& text) {
  io::AtomicFile file(path);
  file.write(text.data(), text.size());
  file.commit();
}

std::string text_of(const ordered_json& value) {
  return value.is_number() ? io::format_fixed(value.get<double>(), 4) : value.dump();
}

// The best validation, by the "best" that its row says, and the last one.
void add_finals(const std::vector<ordered_json>& rows, TrainReportData& data) {
  if (rows.empty()) return;
  const ordered_json* best = &rows.front();
  for (const ordered_json& row : rows)
    if (row.value("best", false)) best = &row;
  const auto add = [&](const char* label, const ordered_json& row) {
    for (const char* name : {"loss_misaligned", "loss_aligned", "quality_misaligned", "quality_aligned",
                             "spearman_invariance", "embedding_cosine", "spearman_aligned"})
      if (row.contains(name))
        data.finals.emplace_back(concat(label, ", ", name),
                                 concat(text_of(row.at(name)), " at step ", row.at("step").dump()));
  };
  add("first", rows.front());
  add("best", *best);
  if (best != &rows.back()) add("last", rows.back());
}

InvarianceOptions jitter_options(const TrainConfig& config) {
  InvarianceOptions options;
  options.relative = config.perturb_relative > 0;
  const double p = options.relative ? 100 * config.perturb_relative : config.perturb > 0 ? config.perturb : 3;
  options.pixels = {0, p / 2, p, 2 * p};
  options.seed = static_cast<std::uint64_t>(config.seed);
  options.max_images = config.jitter_images;
  options.decode.limits.max_pixels = config.max_pixels;
  options.decode.apply_exif_orientation = config.exif;
  options.batch = static_cast<int>(config.val_batch);
  options.precision = plan_precision(config.precision);
  return options;
}

void add_jitter(const ClosingReport& report, Context& context, TrainReportData& data) {
  const InvarianceOptions options = jitter_options(*report.config);
  const auto& indices = report.data->split.validation;
  std::string rows = invariance_header();
  const auto measure = [&](const char* name, const Model& model, std::vector<float>& scores) {
    const InvarianceResult result =
        measure_invariance(model, report.data->dataset, indices, context, options);
    rows += invariance_rows(name, result);
    scores = result.scores.front();
    data.score_jitter.push_back({name, result.pixels, result.scores});
    data.cosine_jitter.push_back({name, result.pixels, result.cosines});
  };
  measure("before", *make_student(*report.start, *report.config), data.scores_before);
  measure("after", *Model::load(report.directory->file(RunDirectory::kBest)), data.scores_after);
  write_text(report.directory->file(RunDirectory::kInvariance), rows);
}

}  // namespace

void write_closing_report(const ClosingReport& report, bool measure, Context& context) {
  const TrainConfig& config = *report.config;
  TrainReportData data;
  data.title = config.method == TrainMethod::kAikd ? "AI-KD training" : "DifFIQA(R) training";
  data.facts = {{"Network", report.start->architecture()},
                {"Teacher", report.teacher == nullptr ? "none" : report.teacher->sha256()},
                {"Began with", report.start->sha256()},
                {"Images", concat(report.data->split.training.size(), " for training, ",
                                  report.data->split.validation.size(), " for validation, ",
                                  report.bad_images, " could not be used")},
                {"Labels", "mapped by " + report.data->label_map.to_string().substr(0, 200)},
                {"Device", report.device}};
  data.notes = report.notes;
  const std::vector<ordered_json> validation =
      read_rows(report.directory->file(RunDirectory::kValidation)).rows;
  add_rows(data, read_rows(report.directory->file(RunDirectory::kMetrics)).rows, validation);
  add_finals(validation, data);
  if (measure && std::filesystem::exists(report.directory->file(RunDirectory::kBest))) {
    try {
      add_jitter(report, context, data);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kOutput) throw;
      data.notes.push_back(error.what());
    }
  }
  for (const TrainOption& option : train_options()) {
    std::string values;
    for (const std::string& value : option.get(config)) values += (values.empty() ? "" : ", ") + value;
    data.config.emplace_back(option.name, values);
  }
  write_text(report.directory->file(RunDirectory::kReport), render_train_report(data));
}

}  // namespace aikd
