#include "aikd/train_config.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <numeric>
#include <utility>

#include "aikd/train_config_original.h"
#include "io/config.h"
#include "io/table.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd {
namespace {

// Insertions, deletions and replacements that turn one word into the other (Levenshtein).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

void apply(const TrainSetting& setting, TrainConfig& config) {
  const TrainOption* option = find_train_option(setting.name);
  require(option != nullptr, ErrorKind::kInternal, "There is no training option ",
          io::in_quotes(setting.name), ".");
  try {
    option->set(config, setting.values);
  } catch (const Error& error) {
    std::string sentence = setting.where + error.what();
    if (setting.where.empty()) sentence[0] = static_cast<char>(std::toupper(sentence[0]));
    throw Error(error.kind(), sentence);
  }
}

// An own key: the option it names and what is said of it. Nothing said: null.
void read_own(const io::ConfigEntry& entry, const std::string& where, std::vector<TrainSetting>& out) {
  std::string key = entry.key;
  std::replace(key.begin(), key.end(), '_', '-');
  const TrainOption* option = find_train_option(key);
  const bool negated = option == nullptr && key.starts_with("no-");
  if (negated) option = find_train_option(key.substr(3));
  if (option == nullptr || (negated && option->kind != TrainOption::Kind::kFlag)) {
    std::vector<std::string> known;
    for (const TrainOption& candidate : train_options()) known.push_back(candidate.name);
    const std::string meant = nearest_name(key, known);
    fail(ErrorKind::kUsage, where, "the key ", io::in_quotes(entry.key), " is not known",
         meant.empty() ? "" : "; did you mean '", meant, meant.empty() ? "." : "'?");
  }
  if (entry.values.empty() && option->kind != TrainOption::Kind::kList) return;
  std::vector<std::string> values = entry.values;
  if (negated) {
    TrainConfig scratch;
    apply({option->name, values, where}, scratch);
    values = {option->get(scratch).front() == "true" ? "false" : "true"};
  }
  out.push_back({option->name, std::move(values), where});
}

std::vector<TrainSetting> settings_of(const std::vector<io::ConfigEntry>& entries, const std::string& name,
                                      std::vector<std::string>& notes) {
  // The original nests its keys; no own key does.
  for (const io::ConfigEntry& entry : entries)
    if (entry.key.find('.') != std::string::npos) return original_train_settings(entries, name, notes);
  std::vector<TrainSetting> settings;
  for (const io::ConfigEntry& entry : entries)
    read_own(entry, concat("The configuration ", io::in_quotes(name), ", line ", entry.line, ": "), settings);
  return settings;
}

}  // namespace

std::string nearest_name(std::string_view word, std::span<const std::string> candidates) {
  std::string best;
  std::size_t least = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance >= least) continue;
    least = distance;
    best = candidate;
  }
  return best;
}

TrainConfig train_defaults(TrainMethod method, bool as_published) {
  TrainConfig c;
  c.method = method;
  c.as_published = as_published;
  if (method == TrainMethod::kDiffiqaR) {
    // Its own script (method 2.6) but for what both methods share. One network, no teacher to stay near to
    // and aligned crops: it is AI-KD's yardstick, so that misalignment and an average would blur it.
    c.misalign = false;
    c.cosine_weight = 0;
    c.optimiser = nn::OptimiserKind::kAdam;
    c.head_lr = 1e-3;
    c.backbone_lr = 1e-4;
    c.head_weight_decay = 0;
    c.warmup_shape = nn::WarmUp::kNone;
    c.batch = c.val_batch = 128;
    c.val_stride = 10;
    c.ema = 0;
    c.keep_best = KeepBest::kQualityAligned;
  }
  if (!as_published) return c;
  c.clip_over = ClipOver::kAll;
  c.exif = false;
  if (method == TrainMethod::kDiffiqaR) return c;
  c.quality_loss = QualityLoss::kSmoothL1;
  c.backbone_momentum = 0.1;
  c.label_map = "none";
  c.ema = 0;
  c.warmup_from_zero = true;
  c.validate_after_pretrain = true;
  c.keep_best = KeepBest::kQualityAligned;
  return c;
}

std::vector<TrainSetting> parse_train_config(std::string_view text, const std::string& name,
                                             std::vector<std::string>& notes) {
  return settings_of(io::parse_config(text, name), name, notes);
}

std::vector<TrainSetting> read_train_config(const std::filesystem::path& path,
                                            std::vector<std::string>& notes) {
  return settings_of(io::read_config(path), path.string(), notes);
}

TrainConfig make_train_config(std::span<const TrainSetting> settings) {
  TrainConfig asked;
  for (const TrainSetting& setting : settings)
    if (setting.name == "method" || setting.name == "as-published") apply(setting, asked);
  TrainConfig config = train_defaults(asked.method, asked.as_published);
  for (const TrainSetting& setting : settings) apply(setting, config);
  check_train_config(config);
  return config;
}

void check_train_config(const TrainConfig& c) {
  const auto check = [](bool ok, const auto&... sentence) { require(ok, ErrorKind::kUsage, sentence...); };
  check(c.label_map == "minmax" || c.label_map == "quantile" || c.label_map == "none",
        "The option label-map must be one of minmax|quantile|none; got ", io::in_quotes(c.label_map), ".");
  check(c.identity_folder != 0, "The option identity-folder counts from 1, or is -1; got 0.");
  check(c.split != SplitKind::kList || !c.val_identities.empty(),
        "The option split is list, so that val-identities must name a file.");
  check(c.split == SplitKind::kList || c.val_identities.empty(),
        "The option val-identities needs split list; split is another.");
  check(c.quality_weight > 0 || c.cosine_weight > 0,
        "The options quality-weight and cosine-weight are both 0: there is nothing to train.");
  check(c.cosine_weight == 0 || c.limit != 0,
        "The option limit is 0, so that only the head is trained, and the cosine loss does not depend on it; "
        "set cosine-weight to 0.");
  check(c.cosine_weight == 0 || c.method == TrainMethod::kAikd,
        "The method diffiqa-r has no teacher: cosine-weight must be 0; got ",
        io::format_number(c.cosine_weight), ".");
  check(c.head_lr > 0 || (c.backbone_lr > 0 && c.limit != 0),
        "The options head-lr and backbone-lr leave nothing to train: no learning rate is above 0.");
  check(c.perturb_relative == 0 || c.misalign,
        "The option perturb-relative needs misalign; the landmarks are not moved without it.");
  check(c.decay == nn::Decay::kCosine || c.lr_end == 0, "The option lr-end needs decay cosine; got ",
        io::format_number(c.lr_end), " with constant.");
}

std::string dump_train_config(const TrainConfig& config) {
  std::string out = "# aikd-train -c FILE reads this; options of the command line win over it.\n";
  std::string_view group;
  for (const TrainOption& option : train_options()) {
    if (option.group != group) out += concat("\n# ", option.group, "\n");
    group = option.group;
    out += io::yaml_line(option.name, option.get(config), option.kind == TrainOption::Kind::kList);
  }
  return out;
}

bool TrainPhases::validates(std::int64_t done) const noexcept {
  if (done == total_steps && done > 0) return true;
  return done % validate_steps == 0 && (!validate_after_pretrain || done > pretrain_end);
}

TrainPhases train_phases(const TrainConfig& c, std::int64_t steps_per_epoch) {
  require(steps_per_epoch > 0, ErrorKind::kUsage, "An epoch must have at least one step; got ",
          steps_per_epoch, ".");
  const auto share_of = [](double share, std::int64_t steps) {
    return static_cast<std::int64_t>(share * static_cast<double>(steps));
  };
  TrainPhases phases;
  phases.total_steps = c.epochs * steps_per_epoch;
  if (c.max_steps > 0) phases.total_steps = std::min(phases.total_steps, c.max_steps);
  phases.pretrain_end = share_of(c.pretrain, steps_per_epoch);
  phases.warmup_steps = share_of(c.warmup, phases.pretrain_end);
  phases.validate_steps = std::max<std::int64_t>(1, share_of(c.validate_every, steps_per_epoch));
  phases.validate_after_pretrain = c.validate_after_pretrain;
  return phases;
}

nn::ScheduleOptions train_schedule(const TrainConfig& c, const TrainPhases& phases) {
  nn::ScheduleOptions schedule;
  schedule.warm_up = c.warmup_shape;
  schedule.warm_up_steps = phases.warmup_steps;
  schedule.from_zero = c.warmup_from_zero;
  schedule.decay = c.decay;
  schedule.total_steps = phases.total_steps;
  schedule.end = c.lr_end;
  nn::check_schedule(schedule);
  return schedule;
}

}  // namespace aikd
