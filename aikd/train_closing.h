// The end of a run: report.html, and invariance.csv with what landmark jitter does to the model before and
// after training.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "aikd/model.h"
#include "aikd/run_directory.h"
#include "aikd/train_config.h"
#include "aikd/train_data.h"
#include "tensor/context.h"

namespace aikd {

struct ClosingReport {
  const RunDirectory* directory = nullptr;
  const TrainConfig* config = nullptr;
  const TrainData* data = nullptr;
  const Model* start = nullptr;    // what training began with
  const Model* teacher = nullptr;  // may be null
  std::int64_t bad_images = 0;
  std::string device;
  std::vector<std::string> notes;
};

// Reads the rows of the logs and, with `measure`, best.safetensors. Error(kOutput).
void write_closing_report(const ClosingReport& report, bool measure, Context& context);

}  // namespace aikd
