// A training run from its configuration to its models: data, steps, validation, logs, checkpoints, resuming,
// report. Nothing is printed; a program is told by callbacks.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "aikd/run_directory.h"
#include "aikd/train_config.h"
#include "tensor/context.h"

namespace aikd {

struct TrainCallbacks {
  std::function<void(const std::string&sentence)> note, warn;
  // After every step; `loss` of that step.
  std::function<void(const Progress& progress, double loss)> progress;
  // Asked after every step; true: save and return.
  std::function<bool()> stop;
};

struct TrainOutcome {
  enum class End {
    kFinished,
    kStopped,   // asked to; everything is saved, the same command goes on
    kDiverged,  // the loss ran away or is no number; the checkpoint before it stays
  };
  End end = End::kFinished;
  std::string sentence;  // why it ended, for kDiverged
  std::int64_t step = 0, best_step = -1;
  double best_value = 0;
  std::int64_t bad_images = 0;
  bool resumed = false;
};

// Trains in config.run, going on with what is there, or anew with `overwrite`. All input is checked before
// the directory is touched. Errors end in a sentence: kUsage (data, options, a run that does not fit),
// kModel, kDevice, kOutput (the disk is full: what was saved before is as it was). `context` is the device.
TrainOutcome train(const TrainConfig& config, bool overwrite, Context& context,
                   const TrainCallbacks& callbacks);

}  // namespace aikd
