// The closing page of a training run: curves, the distribution of scores before and after, and what landmark
// jitter does to scores and embeddings. One offline HTML file with inline SVG; no script, nothing is fetched.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

namespace aikd {

// A number as it changed over the steps.
struct ReportCurve {
  std::string name;
  std::vector<std::pair<double, double>> points;  // (step, value); NaN: not a number then
};

// A quantity measured on the same images with their landmarks moved by U[-p, p] for growing p.
struct JitterCurve {
  std::string name;            // "before", "after"
  std::vector<double> pixels;  // p, ascending, usually from 0
  // One list per p: a value per image (those that are not finite are left out).
  std::vector<std::vector<float>> values;
};

struct TrainReportData {
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  std::string title = {};
  Pairs facts = {};                     // "Method", "Teacher", "Device", ...
  Pairs finals = {};                    // "best quality loss, misaligned": "0.0412 at step 480", ...
  std::vector<std::string> notes = {};  // "Stopped by a signal at step 480.", ...
  std::vector<ReportCurve> train_losses = {}, validation_losses = {}, learning_rates = {};
  std::vector<ReportCurve> gradient_norms = {}, other = {};
  // Of the validation images on aligned crops, by the model training began with and the one it ended with;
  // empty: not measured.
  std::vector<float> scores_before = {}, scores_after = {};
  std::vector<JitterCurve> score_jitter = {}, cosine_jitter = {};
  Pairs config = {};  // option and value
};

// Curves from rows of metrics.jsonl and validation.jsonl (run_directory.h), by the names that aikd-train
// gives its columns (docs/training-config.md): loss*, quality* and cosine* are losses, lr_* learning rates,
// grad_norm and clip_* gradients; spearman* and the like go to `other`. Columns that are no curves (step,
// epoch, images_per_second, memory_mb, eta_seconds) are left out. Appends to what `data` has.
void add_rows(TrainReportData& data, const std::vector<nlohmann::ordered_json>& metrics,
              const std::vector<nlohmann::ordered_json>& validation);

// Median and quantiles (type 7) of each list of a JitterCurve. Error(kInternal) as below.
struct JitterQuantiles {
  std::vector<double> q05, q25, median, q75, q95;  // NaN for a list without finite values
};
JitterQuantiles jitter_quantiles(const JitterCurve& curve);

// Error(kInternal) when a JitterCurve has another number of lists than of p.
std::string render_train_report(const TrainReportData& data);

}  // namespace aikd
