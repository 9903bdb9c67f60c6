// What a run trains on, as its configuration says: images joined with landmarks and labels, the division into
// training and validation, the map of the labels, and the two loaders.
#pragma once

#include <memory>

#include "aikd/dataset.h"
#include "aikd/label_map.h"
#include "aikd/preprocess.h"
#include "aikd/train_config.h"
#include "aikd/train_loader.h"

namespace aikd {

struct TrainData {
  Dataset dataset;
  Split split;
  LabelMap label_map;  // fitted to all labels, as DifFIQA(R) does (method 2.6)
};

// Error(kUsage) with a sentence: no images, labels or landmarks named, files that cannot be read, labels that
// are no numbers or all equal, an empty side of the split, fewer training images than one batch.
TrainData read_train_data(const TrainConfig& config);

// Both loaders read from `data`, which must outlive them.
LoaderOptions loader_options(const TrainConfig& config, const TrainData& data, const Preprocessing& input,
                             int processors);
std::unique_ptr<TrainLoader> training_loader(const TrainData& data, const LoaderOptions& options,
                                             const TrainLoader::OnBad& on_bad);
// Landmarks are always moved for its misaligned crops, also where training does not move them: it is what the
// model is measured by.
std::unique_ptr<TrainLoader> validation_loader(const TrainConfig& config, const TrainData& data,
                                               LoaderOptions options, const TrainLoader::OnBad& on_bad);

}  // namespace aikd
