// YAML configuration as a flat list of keys: nested keys are joined with dots
// ("dataloader.params.batch_size").
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace aikd::io {

struct ConfigEntry {
  std::string key;
  std::vector<std::string> values;  // one for a scalar, several for a list, none for null or an empty list
  int line = 0;                     // 1-based
};

// In the order of the file. Error(kUsage), naming the file and line, for text that is not YAML, a root that
// is not a mapping, a key given twice, a list that holds anything but scalars, or nesting deeper than 16.
std::vector<ConfigEntry> read_config(const std::filesystem::path& path);
std::vector<ConfigEntry> parse_config(std::string_view text, const std::string& name);

// "key: value\n", quoted where YAML would read the value as anything but this string.
std::string yaml_line(std::string_view key, const std::vector<std::string>& values, bool list);

}  // namespace aikd::io
