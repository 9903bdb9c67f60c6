#include "aikd/train_data.h"

#include <numeric>
#include <vector>

#include "tensor/error.h"

namespace aikd {
namespace {

Split split_of(const Dataset& dataset, const TrainConfig& config) {
  switch (config.split) {
    case SplitKind::kIdentity:
      return split_by_identity(dataset, config.val_fraction, static_cast<std::uint64_t>(config.seed));
    case SplitKind::kList:
      return split_by_list(dataset, config.val_identities);
    case SplitKind::kStride:
      break;
  }
  return split_by_stride(dataset, config.val_stride);
}

Perturbation perturbation_of(const TrainConfig& config) {
  return {.pixels = config.perturb,
          .relative = config.perturb_relative,
          .seed = static_cast<std::uint64_t>(config.seed)};
}

}  // namespace

TrainData read_train_data(const TrainConfig& config) {
  const auto named = [](bool ok, const char* what, const char* option) {
    require(ok, ErrorKind::kUsage, "No ", what, " were named: give them with ", option, ".");
  };
  named(!config.images.empty() || !config.lists.empty(), "images", "--images or --list");
  named(!config.landmarks.empty(), "landmarks", "--landmarks");
  named(!config.labels.empty(), "quality labels", "--labels (aikd-label makes them)");
  DatasetOptions options;
  options.images = config.images;
  options.lists = config.lists;
  options.list_root = config.list_root;
  options.key_root = config.key_root;
  options.landmarks = config.landmarks;
  options.labels = config.labels;
  options.label_column = config.label_column;
  options.identity_folder = static_cast<int>(config.identity_folder);
  options.drop_degenerate = config.drop_degenerate;
  TrainData data;
  data.dataset = Dataset::read(options);
  data.split = split_of(data.dataset, config);
  std::vector<std::size_t> all(data.dataset.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  data.label_map = LabelMap::fit(config.label_map, data.dataset.labels(all));
  require(data.split.training.size() >= static_cast<std::size_t>(config.batch), ErrorKind::kUsage,
          "There are ", data.split.training.size(), " training images, fewer than one batch of ",
          config.batch, "; use a smaller --batch.");
  return data;
}

LoaderOptions loader_options(const TrainConfig& config, const TrainData& data, const Preprocessing& input,
                             int processors) {
  LoaderOptions options;
  options.batch = static_cast<int>(config.batch);
  options.workers = config.workers > 0 ? static_cast<int>(config.workers) : processors;
  options.prefetch = static_cast<int>(config.prefetch);
  options.seed = static_cast<std::uint64_t>(config.seed);
  if (config.misalign) {
    options.perturbation = perturbation_of(config);
  } else {
    options.perturbation = {.pixels = 0, .relative = 0, .seed = static_cast<std::uint64_t>(config.seed)};
  }
  options.label_map = data.label_map;
  options.decode.limits.max_pixels = config.max_pixels;
  options.decode.apply_exif_orientation = config.exif;
  options.width = input.width;
  options.height = input.height;
  return options;
}

std::unique_ptr<TrainLoader> training_loader(const TrainData& data, const LoaderOptions& options,
                                             const TrainLoader::OnBad& on_bad) {
  return std::make_unique<TrainLoader>(data.dataset, data.split.training, options, on_bad);
}

std::unique_ptr<TrainLoader> validation_loader(const TrainConfig& config, const TrainData& data,
                                               LoaderOptions options, const TrainLoader::OnBad& on_bad) {
  options = options.for_validation();
  options.batch = static_cast<int>(config.val_batch);
  options.perturbation = perturbation_of(config);
  return std::make_unique<TrainLoader>(data.dataset, data.split.validation, options, on_bad);
}

}  // namespace aikd
