// The command line of aikd-train: every option of aikd/train_config.h, from the same table as the
// configuration file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "aikd/train_config.h"

namespace aikd::apps {

struct TrainCommand {
  TrainConfig config;
  std::vector<std::string> notes;  // about the configuration file
  bool overwrite = false, quiet = false, progress = false;
  bool dump_config = false, list_devices = false, cite = false;
};

// Nothing where --help or --version was asked for. Error(kUsage).
std::optional<TrainCommand> parse_train_command(int argc, char** argv);

}  // namespace aikd::apps
