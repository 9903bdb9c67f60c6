// The training configurations of the original's authors, read as settings of ours:
//   github.com/LSIbabnikz/AI-KD     configs/train_config.yaml
//   github.com/LSIbabnikz/DifFIQA   diffiqa(r)/configs/train_config.yaml  (same shape; loss.module,
//   val_split)
#pragma once

#include <span>
#include <string>
#include <vector>

#include "aikd/train_config.h"
#include "io/config.h"

namespace aikd {

// `entries` of the file `name`. What stands in the file is taken as it is, momentum 0.1 and SmoothL1
// included; what the script does and the file does not say (clipping over all gradients, raw labels, ...) is
// left to --as-published, but for EXIF orientation, which is ignored. A note says so, and each key that has
// no effect here gives another, with the reason. Error(kUsage), with the line: a key that is not known (with
// the nearest one), a module that is not one of torch's that we have, a group of the optimiser for another
// part of the model.
std::vector<TrainSetting> original_train_settings(std::span<const io::ConfigEntry> entries,
                                                  const std::string& name, std::vector<std::string>& notes);

}  // namespace aikd
