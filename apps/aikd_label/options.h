// The command line of aikd-label.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace aikd::apps {

struct LabelOptions {
  std::string method, model, landmarks, output, pickle, key_root;
  std::vector<std::string> inputs, lists;
  std::map<std::string, double> method_options;  // those that were given
  bool nul_separated = false, unaligned_ok = false, no_exif = false, quiet = false, progress = false;
  std::int64_t max_pixels = 100'000'000;
  int threads = 0, batch = 8;
};

// Nothing where --help or --version was asked for. Error(kUsage).
std::optional<LabelOptions> parse_label_options(int argc, char** argv);

}  // namespace aikd::apps
