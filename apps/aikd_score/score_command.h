// The run itself: model, device, inputs, outputs, exit code.
#pragma once

#include <memory>

#include "aikd/model.h"
#include "apps/aikd_score/options.h"
#include "apps/common/terminal.h"
#include "tensor/device.h"

namespace aikd::apps {

// The file of options.model; for a PyTorch file its converted neighbour. Error(kUsage) when none is given,
// Error(kModel) when it cannot be used.
std::shared_ptr<const Model> load_model(const ScoreOptions& options, Console& console);
Device choose_device(const ScoreOptions& options);

int score(const ScoreOptions& options, Console& console);

}  // namespace aikd::apps
