// Everything a training run can be told, each option defined once: a table from which the YAML reader, the
// command line, --dump-config and the check on resume are all built. docs/training-config.md lists it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nn/optimiser.h"
#include "nn/schedule.h"

namespace aikd {

enum class TrainMethod {
  kAikd,      // AI-KD, arXiv 2404.09555: frozen teacher, misaligned student, MLP head
  kDiffiqaR,  // DifFIQA(R), method 2.6: one network, linear head, quality loss only
};
enum class QualityLoss { kL1, kSmoothL1 };
enum class ClipOver { kTrained, kAll };
enum class Precision { kFp32, kBf16, kFp16 };
enum class SplitKind { kStride, kIdentity, kList };
// By which number of a validation the best model is chosen; the least is the best.
enum class KeepBest {
  kLoss,               // weighted sum of both losses on misaligned crops: what training minimises
  kQualityMisaligned,  // quality loss on misaligned crops
  kQualityAligned,     // quality loss on aligned crops: the published scripts'
};

// Defaults are the paper's method where it says so, else the published script's (method 3.3); what stands
// here differs from the script only with a reason beside it.
struct TrainConfig {
  TrainMethod method = TrainMethod::kAikd;
  bool as_published = false;  // see train_defaults()

  // Data. DatasetOptions (aikd/dataset.h) says what they mean.
  std::vector<std::string> images, lists, landmarks, labels;
  std::string list_root, key_root, label_column;
  std::string label_map = "minmax";  // the script trains on raw labels, whose scale differs by label source
  bool drop_degenerate = false;
  bool exif = true;
  std::int64_t max_pixels = 100'000'000;
  bool misalign = true;
  double perturb = 3;           // p, pixels of the source image
  double perturb_relative = 0;  // > 0: p as a share of the distance of the eyes, instead

  // Division into training and validation.
  SplitKind split = SplitKind::kStride;
  std::int64_t val_stride = 100;     // every 100th in the order of quality: 1 %
  double val_fraction = 0.1;         // of identities
  std::int64_t identity_folder = 1;  // which folder of a key names the person; -1: the one of the image
  std::string val_identities;        // a file, for SplitKind::kList

  // Model.
  std::string teacher, student;  // student "": starts as a copy of the teacher
  std::int64_t head_width = 1024;

  // Losses.
  QualityLoss quality_loss = QualityLoss::kL1;  // the paper's L_1; the script has SmoothL1
  double quality_beta = 0.5;                    // SmoothL1 only
  double quality_weight = 1, cosine_weight = 1;

  // Optimiser.
  nn::OptimiserKind optimiser = nn::OptimiserKind::kSgd;
  double head_lr = 0.05, backbone_lr = 0.05;
  // The script has 0.1 for the backbone, 0.9 for the head: taken for a slip (method 3.2, item 8).
  double head_momentum = 0.9, backbone_momentum = 0.9;
  // None on the backbone, as in the script: it would pull away from the teacher that it starts at.
  double head_weight_decay = 5e-4, backbone_weight_decay = 0;
  double adam_beta1 = 0.9, adam_beta2 = 0.999, adam_eps = 1e-8;
  static constexpr std::int64_t kAllTensors = -1;
  std::int64_t limit = 100;  // last parameter tensors of the backbone that are trained
  double clip = 5;           // norm of all gradients together; 0: not clipped
  // Gradients that move nothing have no say in how far the others go (method 3.2, item 5).
  ClipOver clip_over = ClipOver::kTrained;

  // Schedule, all in shares of ONE epoch's steps as in the script.
  double pretrain = 0.3;
  double warmup = 0.5;  // of pretrain: the full rate at 15 % of the first epoch
  nn::WarmUp warmup_shape = nn::WarmUp::kSine;
  bool warmup_from_zero = false;  // nn/schedule.h
  nn::Decay decay = nn::Decay::kConstant;
  double lr_end = 0;  // kCosine: the factor at the end

  // EMA of the student with its BatchNorm statistics; what is averaged is validated and saved. The script's
  // never averaged (method 3.2, item 6). With its warm-up (nn/ema.h) a short run forgets its start.
  double ema = 0.999;  // decay; 0: off
  bool ema_warmup = true;

  // Numbers.
  Precision precision = Precision::kFp32;
  double loss_scale = 128, loss_scale_growth = 2, loss_scale_backoff = 0.5;  // fp16
  std::int64_t loss_scale_interval = 0;  // steps without overflow until it grows; 0: the pretrain steps

  // The run.
  std::int64_t epochs = 1, max_steps = 0;  // max_steps 0: the epochs decide
  std::int64_t batch = 64, val_batch = 64;
  std::int64_t workers = 0, prefetch = 4, threads = 0;  // 0: as many as there are processors
  std::string device = "auto";
  std::int64_t seed = 42069;
  double validate_every = 0.1;           // of one epoch
  bool validate_after_pretrain = false;  // the script's first validation comes behind pretrain
  KeepBest keep_best = KeepBest::kLoss;
  std::string run;  // directory
  std::int64_t log_every = 10;
  std::int64_t checkpoint_every = 0;  // steps; 0: by time only
  double checkpoint_minutes = 10;     // 0: only at validations and at the end
  bool check_nan = false;
  // Stop when the loss, averaged over log_every steps, is more than this many times what it was over the
  // first ones; 0: only where it is no number.
  double divergence_limit = 10;
  bool tensorboard = false, report = true;
  std::int64_t jitter_images = 256;  // of the validation part, for invariance.csv: eight passes each; 0: all

  bool operator==(const TrainConfig&) const = default;
};

// What a method starts from before anything is set. With as_published the published script's choices, as
// far as they can be told: AI-KD SmoothL1, backbone momentum 0.1, clip over all, raw labels, no EMA, first
// step with rate 0, validation behind pretrain, best by quality on aligned crops, EXIF ignored. What it
// leaves out, and why, is in docs/training-config.md.
TrainConfig train_defaults(TrainMethod method, bool as_published);

struct TrainOption {
  enum class Kind { kFlag, kValue, kList };
  // Whether a resumed run may have another value than the one it began with.
  enum class Resume {
    kFixed,     // the numbers of the run would change
    kFree,      // they do not
    kByContent  // a path: what it leads to is compared by fingerprints (aikd/checkpoint.h)
  };
  std::string name;   // "val-stride": key in YAML; "--val-stride" (a flag also "--no-...") for a program
  std::string group;  // heading of --help
  std::string type;   // "N", "X", "FILE", "fp32|bf16|fp16"; "" of a flag
  std::string help;
  Kind kind = Kind::kValue;
  Resume resume = Resume::kFixed;
  // `values`: one for a flag ("true", "false", also 1/0, yes/no, on/off) and a value, any number for a list.
  // Error(kUsage) with what was expected and got, for a wrong type or a value out of range.
  std::function<void(TrainConfig&, const std::vector<std::string>& values)> set;
  std::function<std::vector<std::string>(const TrainConfig&)> get;  // what set() reads back equal
};

const std::vector<TrainOption>& train_options();
const TrainOption* find_train_option(std::string_view name) noexcept;

// One thing said by somebody.
struct TrainSetting {
  std::string name;  // of the option
  std::vector<std::string> values;
  std::string where;  // "The configuration 'c.yaml', line 3: " or "": begins the sentence of an error
};

// Settings of a YAML file: own keys (names of options; "no-misalign: true" is "misalign: false"; null leaves
// the default) or the original's train_config.yaml (train_config_original.h), told apart by nested keys.
// Error(kUsage) for an unknown key, with the nearest known one. `notes` gets sentences for the user.
std::vector<TrainSetting> read_train_config(const std::filesystem::path& path,
                                            std::vector<std::string>& notes);
std::vector<TrainSetting> parse_train_config(std::string_view text, const std::string& name,
                                             std::vector<std::string>& notes);

// Defaults of the method that the settings name, then the settings in their order: the command line's
// behind those of the file. Ends with check_train_config().
TrainConfig make_train_config(std::span<const TrainSetting> settings);

// Error(kUsage) for options that do not go together.
void check_train_config(const TrainConfig& config);

// YAML that parse_train_config() and make_train_config() turn into an equal TrainConfig.
std::string dump_train_config(const TrainConfig& config);

// What the shares of an epoch are in steps, L steps per epoch (int() cuts, as the script's does).
struct TrainPhases {
  std::int64_t total_steps = 0;     // min(epochs L, max_steps)
  std::int64_t pretrain_end = 0;    // int(pretrain L)
  std::int64_t warmup_steps = 0;    // int(warmup pretrain_end)
  std::int64_t validate_steps = 1;  // max(1, int(validate_every L)): the script divides by 0 in short runs
  bool validate_after_pretrain = false;
  // Whether to validate when `done` steps have been taken: at multiples, and at the end of the run (the
  // script: not unless it is a multiple); with validate_after_pretrain only for done > pretrain_end.
  bool validates(std::int64_t done) const noexcept;
};
TrainPhases train_phases(const TrainConfig& config, std::int64_t steps_per_epoch);
nn::ScheduleOptions train_schedule(const TrainConfig& config, const TrainPhases& phases);

// The candidate that `word` was meant to be, by edit distance; "" when none is near enough.
std::string nearest_name(std::string_view word, std::span<const std::string> candidates);

}  // namespace aikd
