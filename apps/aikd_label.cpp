// aikd-label: quality labels for training, one row per face image.
#include <unistd.h>

#include "apps/aikd_label/label_command.h"
#include "apps/common/program.h"

namespace {

int body(int argc, char** argv) {
  const auto options = aikd::apps::parse_label_options(argc, argv);
  if (!options.has_value()) return aikd::apps::kExitOk;
  aikd::apps::Console console(
      "aikd-label", options->quiet,
      !options->quiet && (options->progress || aikd::apps::is_terminal(STDERR_FILENO)));
  return aikd::apps::label(*options, console);
}

}  // namespace

int main(int argc, char** argv) {
  return aikd::apps::run_program(argc, argv, body);
}
