// The options of aikd-score: command line, YAML, and what they mean together.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "aikd/score_row.h"

namespace aikd::apps {

struct ScoreOptions {
  std::vector<std::string> inputs, lists;
  bool nul_separated = false;

  std::string model;
  std::string score_map;  // empty: the model's

  std::string output;  // empty: standard output
  std::string format;  // empty: by the extension of `output`, else csv
  std::string missing = "NA";
  bool time = true;
  bool resume = false, retry_failed = false;

  std::optional<double> min_score, below;
  bool by_mapped = false;
  std::optional<std::int64_t> top, top_per_folder;
  std::string sort;  // "score", "path", "none"; empty: none, or by score for top
  bool reverse = false;

  bool percentiles = false;
  std::string percentiles_to, report, embeddings;
  std::int64_t report_images = 200;

  std::string landmarks;
  bool unaligned_ok = false;
  std::string resize_order = "horizontal-first";
  bool exif = true;
  std::int64_t max_pixels = 100'000'000;

  int threads = 0;
  std::optional<int> batch;  // else by the device
  std::string device = "auto";
  std::string precision = "fp32";
  bool autotune = false;

  std::optional<bool> progress;
  bool quiet = false, verbose = false;

  bool list_devices = false, build_info = false, cite = false, self_test = false, dump_config = false;
  std::vector<std::string> notes;  // about the configuration file, for stderr

  // --format, or by the extension of the output.
  RowFormat row_format() const;
  bool filters() const { return min_score || below || top || top_per_folder; }
};

// Nothing: --help or --version was printed. Error(kUsage) for a wrong command line or configuration file;
// options of the command line win over the file's.
std::optional<ScoreOptions> parse_options(int argc, char** argv);

// The effective options as YAML that -c reads back.
std::string dump_config(const ScoreOptions& options);

}  // namespace aikd::apps
