// Configuration files of aikd-score: its own (keys are the long options) and the original's
// configs/inference_config.yaml.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

namespace aikd::apps {

// Sets the options that the command line left alone. `notes` gets sentences on keys without effect.
// Error(kUsage) for an unknown key, naming the nearest known one, and for a value the option refuses.
void apply_config(CLI::App& app, const std::string& path, std::vector<std::string>& notes);

// Options of this group cannot stand in a file.
inline constexpr const char* kActions = "Instead of scoring";

}  // namespace aikd::apps
