// aikd-train: distils AI-KD (or DifFIQA(R)) from a face recognition model.
#include <unistd.h>

#include <csignal>
#include <iostream>

#include "aikd/train_step.h"
#include "aikd/trainer.h"
#include "apps/aikd_train/options.h"
#include "apps/common/devices.h"
#include "apps/common/program.h"
#include "apps/common/signals.h"
#include "apps/common/terminal.h"
#include "io/table.h"
#include "kernels/isa.h"

namespace {

using namespace aikd;
using namespace aikd::apps;

int run(const TrainCommand& command) {
  const TrainConfig& config = command.config;
  Console console("aikd-train", command.quiet,
                  !command.quiet && (command.progress || is_terminal(STDERR_FILENO)));
  for (const std::string& note : command.notes) console.note(note);
  watch_stop_signals();
  Context context(Device::parse(config.device), static_cast<int>(config.threads),
                  static_cast<std::uint64_t>(config.seed));
  if (const std::string problem = kernels::isa_problem(); !problem.empty()) console.warn(problem);
  console.note(device_sentence(config.device, nn::name_of(plan_precision(config.precision)), context));

  TrainCallbacks callbacks;
  callbacks.note = [&](const std::string& sentence) { console.note(sentence); };
  callbacks.warn = [&](const std::string& sentence) { console.warn(sentence); };
  callbacks.stop = [] { return stop_signal() != 0; };
  callbacks.progress = [&](const Progress& progress, double loss) {
    console.progress_line(concat(progress_line(progress), ", loss ", io::format_fixed(loss, 4)),
                          progress.step == progress.total_steps);
  };
  const TrainOutcome outcome = train(config, command.overwrite, context, callbacks);
  console.finish_progress();
  const std::string best = outcome.best_step < 0
                               ? std::string("no validation has been made")
                               : concat("best at step ", outcome.best_step, " with ",
                                        io::format_fixed(outcome.best_value, 4), " (best.safetensors)");
  switch (outcome.end) {
    case TrainOutcome::End::kDiverged:
      console.warn(concat(outcome.sentence, " The run ended at step ", outcome.step,
                          "; its last checkpoint was left as it was; ", best, "."));
      return kExitModel;
    case TrainOutcome::End::kStopped:
      console.warn(concat("stopped by signal ", stop_signal(), " at step ", outcome.step,
                          "; everything is saved, and the same command goes on; ", best, "."));
      return 128 + stop_signal();
    case TrainOutcome::End::kFinished:
      break;
  }
  console.note(concat("finished at step ", outcome.step, "; ", best, "; report.html and the models are in ",
                      config.run, "."));
  return kExitOk;
}

int body(int argc, char** argv) {
  // A file size limit is an error of writing, told as one, and no reason to die in the middle of a file.
  std::signal(SIGXFSZ, SIG_IGN);
  const std::optional<TrainCommand> command = parse_train_command(argc, argv);
  if (!command.has_value()) return kExitOk;
  if (command->list_devices) {
    print_devices(std::cout);
  } else if (command->cite) {
    std::cout << citation();
  } else if (command->dump_config) {
    std::cout << dump_train_config(command->config);
  } else {
    return run(*command);
  }
  return kExitOk;
}

}  // namespace

int main(int argc, char** argv) {
  return aikd::apps::run_program(argc, argv, body);
}
