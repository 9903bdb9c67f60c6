// What made a table of scores: stands beside it as OUT.meta.json, so that --resume never mixes two models or
// two settings in one table, and so that a table can be traced.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "aikd/model.h"
#include "aikd/score_map.h"
#include "apps/aikd_score/options.h"

namespace aikd::apps {

// {"aikd-score": version, "model": {...}, "settings": {...}}; `settings` holds all that changes a score.
nlohmann::ordered_json describe_run(const Model& model, const ScoreMap& map, const ScoreOptions& options);
std::string sidecar_path(const std::string& output);
void write_sidecar(const std::string& output, const nlohmann::ordered_json& run);  // Error(kOutput)

struct ResumedRows {
  std::set<std::string> done;  // paths whose rows stand in the table
  std::vector<float> scores;   // of the scored ones
  std::int64_t failed = 0;     // failed rows that stay
};
// Reads the table that options.output names, cuts off a last row that was not finished, and with
// --retry-failed takes the failed rows out. A table that does not exist (or is empty) gives nothing.
// Error(kUsage) when the table was made with another model or other settings, or when the sidecar that tells
// is missing.
ResumedRows resume_rows(const ScoreOptions& options, const nlohmann::ordered_json& run);

}  // namespace aikd::apps
