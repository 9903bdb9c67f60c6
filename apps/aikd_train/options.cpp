#include "apps/aikd_train/options.h"

#include <CLI/CLI.hpp>
#include <deque>

#include "apps/common/program.h"
#include "tensor/error.h"

namespace aikd::apps {
namespace {

constexpr const char* kFooter =
    "Images, landmarks (CSV, JSON or the original's pickle) and quality labels (CSV of aikd-label, or the "
    "original's pickle) are joined by name.\n"
    "\nExample:\n"
    "  aikd-label froq -m teacher.safetensors --landmarks points.csv faces -o labels.csv\n"
    "  aikd-train --teacher teacher.safetensors --images faces --landmarks points.csv --labels labels.csv "
    "--run runs/first\n"
    "  aikd-score -m runs/first/best.safetensors --landmarks points.csv faces\n"
    "\nThe same command goes on with a run that was interrupted. The run directory, every option and what "
    "differs from the published script: docs/training-config.md.\n"
    "\nExit codes: 0 finished; 2 usage, configuration or data; 3 model, device, or the loss ran away; 4 "
    "output (what was saved before is as it was); 128+n ended by signal n, saved.\n";

// What the command line gave for one option.
struct Given {
  const TrainOption* option = nullptr;
  CLI::Option* handle = nullptr;
  std::vector<std::string> values;
  bool flag = false;
};

void add(CLI::App& app, Given& given, const TrainConfig& defaults) {
  const TrainOption& option = *given.option;
  const std::string name = "--" + option.name;
  std::string shown;
  for (const std::string& value : option.get(defaults)) shown += (shown.empty() ? "" : " ") + value;
  if (option.kind == TrainOption::Kind::kFlag) {
    given.handle = app.add_flag(name + ",!--no-" + option.name, given.flag,
                                option.help + (shown == "true" ? " (default)" : ""));
  } else if (option.kind == TrainOption::Kind::kList) {
    given.handle = app.add_option(name, given.values, option.help)
                       ->type_name(option.type)
                       ->take_all()
                       ->expected(1, 100'000);
  } else {
    given.handle = app.add_option(name, given.values, option.help)->type_name(option.type)->expected(1);
    if (!shown.empty()) given.handle->default_str(shown);
  }
  given.handle->group(option.group);
}

}  // namespace

std::optional<TrainCommand> parse_train_command(int argc, char** argv) {
  TrainCommand command;
  CLI::App app("Distils AI-KD, a face image quality model that is right whatever the alignment.",
               "aikd-train");
  app.footer(kFooter);
  app.set_version_flag("--version", version_line("aikd-train"));
  app.get_formatter()->column_width(40);
  std::string config;
  constexpr const char* kRunning = "Running";
  app.add_option("-c,--config", config,
                 "YAML with the same options, or the original's train_config.yaml; the command line wins")
      ->type_name("FILE")
      ->group(kRunning);
  app.add_flag("--overwrite", command.overwrite, "Begin anew where there is a run already")->group(kRunning);
  app.add_flag("-q,--quiet", command.quiet, "Only warnings and errors on stderr")->group(kRunning);
  app.add_flag("--progress", command.progress, "Show progress also where stderr is no terminal")
      ->group(kRunning);
  app.add_flag("--dump-config", command.dump_config, "Print the resolved configuration and end")
      ->group(kRunning);
  app.add_flag("--list-devices", command.list_devices, "Print the devices and end")->group(kRunning);
  app.add_flag("--cite", command.cite, "Print how to cite the method and end")->group(kRunning);
  const TrainConfig defaults = train_defaults(TrainMethod::kAikd, false);
  std::deque<Given> all;  // addresses stay
  for (const TrainOption& option : train_options()) {
    all.emplace_back().option = &option;
    add(app, all.back(), defaults);
  }
  if (!parse_command_line(app, argc, argv)) return std::nullopt;
  if (command.list_devices || command.cite) return command;

  std::vector<TrainSetting> settings;
  if (!config.empty()) settings = read_train_config(config, command.notes);
  for (const Given& given : all) {
    if (given.handle->count() == 0) continue;
    const bool is_flag = given.option->kind == TrainOption::Kind::kFlag;
    settings.push_back(
        {.name = given.option->name,
         .values = is_flag ? std::vector<std::string>{given.flag ? "true" : "false"} : given.values,
         .where = ""});
  }
  command.config = make_train_config(settings);
  return command;
}

}  // namespace aikd::apps
