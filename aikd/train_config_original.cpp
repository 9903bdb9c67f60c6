#include "aikd/train_config_original.h"

#include <cmath>
#include <map>
#include <set>
#include <string_view>

#include "io/table.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd {
namespace {

// Keys whose value is an option's value, and keys without effect (option null), with the reason.
struct PlainKey {
  std::string_view key;
  const char* option;
  std::string_view why;
};
constexpr std::string_view kNothingToPin = "there is nothing to pin";
constexpr std::string_view kSwalr = "SWALR changes the learning rate, not an average (method 3.2, item 7)";
constexpr PlainKey kPlainKeys[] = {
    {"base.epochs", "epochs", ""},
    {"base.verbose", nullptr, "--quiet and --progress decide"},
    {"base.save_path", "run", ""},
    {"base.seed", "seed", ""},
    {"base.device", "device", ""},
    {"base.validate_every", "validate-every", ""},
    {"base.pretrain", "pretrain", ""},
    {"base.warmup", "warmup", ""},
    {"dataset.image_location", "images", ""},
    {"dataset.image_loc", "images", ""},
    {"dataset.quality_location", "labels", ""},
    {"dataset.quality_loc", "labels", ""},
    {"dataset.landms_location", "landmarks", ""},
    {"dataset.misalign", "misalign", ""},
    {"dataloader.train.params.batch_size", "batch", ""},
    {"dataloader.train.params.shuffle", nullptr, "training images are always shuffled"},
    {"dataloader.train.params.pin_memory", nullptr, kNothingToPin},
    {"dataloader.train.params.num_workers", "workers", ""},
    {"dataloader.val.params.batch_size", "val-batch", ""},
    {"dataloader.val.params.pin_memory", nullptr, kNothingToPin},
    {"dataloader.val.params.num_workers", nullptr, "validation has the workers of training"},
    {"model.config", nullptr, "architecture and pre-processing stand in the file given by --teacher"},
    {"ema.module", nullptr, kSwalr},
    {"ema.params.anneal_strategy", nullptr, kSwalr},
    {"ema.params.anneal_epochs", nullptr, kSwalr},
    {"ema.params.swa_lr", nullptr, kSwalr},
    {"ema.ema_alpha", nullptr,
     "the script's average is a copy of the student (method 3.2, item 6); see --ema"},
    {"scheduler.module", nullptr, "--warmup-shape and --decay decide"},
    {"grad_scaler.module", nullptr, "--precision fp16 has its own scaling"},
    {"grad_scaler.params.init_scale", "loss-scale", ""},
    {"loss.quality.params.beta", "quality-beta", ""},
    {"loss.params.beta", "quality-beta", ""},
    {"wandb.use", nullptr, "nothing is sent anywhere; see --tensorboard"},
    {"wandb.project", nullptr, "nothing is sent anywhere; see --tensorboard"},
};
// Keys that are read by a function below.
constexpr std::string_view kReadKeys[] = {
    "base.amp",    "dataset.val_percent",    "dataset.val_split", "optimizer.module", "loss.quality.module",
    "loss.module", "loss.consistency.module"};
constexpr std::string_view kGroupFields[] = {"params",       "lr",    "limit", "momentum",
                                             "weight_decay", "betas", "eps"};
constexpr std::string_view kGroup = "optimizer.group_";

class Reader {
 public:
  Reader(std::span<const io::ConfigEntry> entries, const std::string& name, std::vector<std::string>& notes)
      : entries_(entries), name_(name), notes_(notes) {}

  std::vector<TrainSetting> read() {
    const bool diffiqa = method_is_diffiqa();
    set("method", {diffiqa ? "diffiqa-r" : "aikd"}, "");
    set("exif", {"false"}, "");  // its numbers are asked for
    find_groups();
    for (const io::ConfigEntry& entry : entries_) one(entry);
    finish_groups();
    notes_.push_back(
        concat("The configuration ", io::in_quotes(name_), " is that of the original's ",
               diffiqa ? "DifFIQA(R)" : "AI-KD",
               ": EXIF orientation is ignored as there (--exif honours it). What the script does "
               "and its file does not say is left to --as-published."));
    return std::move(settings_);
  }

 private:
  struct Group {
    std::string part;  // "head" or "backbone"
    std::set<std::string> given;
  };

  std::string where(const io::ConfigEntry& entry) const {
    return concat("The configuration ", io::in_quotes(name_), ", line ", entry.line, ": ");
  }
  void set(const std::string& option, std::vector<std::string> values, std::string place) {
    settings_.push_back({option, std::move(values), std::move(place)});
  }
  const std::string& value(const io::ConfigEntry& entry) const {
    require(entry.values.size() == 1, ErrorKind::kUsage, where(entry), "the key ", io::in_quotes(entry.key),
            " takes one value; got ", entry.values.size(), ".");
    return entry.values.front();
  }
  [[noreturn]] void refuse(const io::ConfigEntry& entry, std::string_view expected) const {
    fail(ErrorKind::kUsage, where(entry), "the key ", io::in_quotes(entry.key), " must be ", expected,
         "; got ", io::in_quotes(value(entry)), ".");
  }

  // AI-KD has two losses by name, DifFIQA(R) one.
  bool method_is_diffiqa() const {
    for (const io::ConfigEntry& entry : entries_)
      if (entry.key == "loss.module") return true;
    return false;
  }

  // "optimizer.group_2.momentum" -> "2"
  static std::string group_number(const std::string& key) {
    if (!key.starts_with(kGroup)) return "";
    const std::size_t dot = key.find('.', kGroup.size());
    return dot == std::string::npos ? "" : key.substr(kGroup.size(), dot - kGroup.size());
  }
  static std::string group_field(const std::string& key) { return key.substr(key.rfind('.') + 1); }

  void find_groups() {
    for (const io::ConfigEntry& entry : entries_) {
      const std::string number = group_number(entry.key);
      if (number.empty() || group_field(entry.key) != "params") continue;
      const std::string& part = value(entry);
      if (part == "quality_head" || part == "linear") {
        groups_[number].part = "head";
      } else if (part == "feature_extractor" || part == "base") {
        groups_[number].part = "backbone";
      } else {
        refuse(entry, "quality_head, linear, feature_extractor or base");
      }
    }
  }

  void one(const io::ConfigEntry& entry) {
    if (entry.values.empty()) return;  // null
    for (const PlainKey& plain : kPlainKeys) {
      if (plain.key != entry.key) continue;
      if (plain.option == nullptr) {
        notes_.push_back(
            concat(entry.key, " in ", io::in_quotes(name_), " has no effect here: ", plain.why, "."));
      } else {
        set(plain.option, entry.values, where(entry));
      }
      return;
    }
    if (entry.key == "base.amp") return amp(entry);
    if (entry.key == "dataset.val_percent" || entry.key == "dataset.val_split")
      return validation_share(entry);
    if (entry.key == "optimizer.module") {
      return module(entry, "optimiser", {{"torch.optim.SGD", "sgd"}, {"torch.optim.Adam", "adam"}});
    }
    if (entry.key == "loss.quality.module" || entry.key == "loss.module") {
      return module(entry, "quality-loss",
                    {{"torch.nn.SmoothL1Loss", "smooth-l1"}, {"torch.nn.L1Loss", "l1"}});
    }
    if (entry.key == "loss.consistency.module")
      return module(entry, "cosine-weight", {{"torch.nn.CosineEmbeddingLoss", "1"}});
    if (!group_number(entry.key).empty() && group_option(entry)) return;
    unknown(entry);
  }

  // autocast's default on a GPU is fp16, and only there does the script run.
  void amp(const io::ConfigEntry& entry) {
    if (value(entry) != "0" && value(entry) != "1") refuse(entry, "0 or 1");
    set("precision", {value(entry) == "1" ? "fp16" : "fp32"}, where(entry));
  }

  // The script takes every int(N / (N share))th image, which is 99 or 100 for 1 %, as rounding has it.
  void validation_share(const io::ConfigEntry& entry) {
    double share = 0;
    if (!io::parse_number(value(entry), share) || !(share > 0 && share <= 0.5))
      refuse(entry, "a share above 0 and at most 0.5");
    set("val-stride", {io::format_number(std::round(1 / share))}, where(entry));
  }

  void module(const io::ConfigEntry& entry, const std::string& option,
              const std::vector<std::pair<std::string, std::string>>& known) {
    std::string all;
    for (const auto& [torch, ours] : known) {
      if (value(entry) == torch) return set(option, {ours}, where(entry));
      all += concat(all.empty() ? "" : " or ", torch);
    }
    refuse(entry, all);
  }

  bool group_option(const io::ConfigEntry& entry) {
    const std::string field = group_field(entry.key);
    bool known = false;
    for (const std::string_view candidate : kGroupFields) known = known || field == candidate;
    if (!known) return false;
    const auto found = groups_.find(group_number(entry.key));
    require(found != groups_.end(), ErrorKind::kUsage, where(entry), "the group of ",
            io::in_quotes(entry.key), " has no 'params', which name the part of the model.");
    Group& group = found->second;
    group.given.insert(field);
    if (field == "params") return true;
    if (field == "limit") {
      require(group.part == "backbone", ErrorKind::kUsage, where(entry),
              "a 'limit' is understood for the backbone only; the head is trained whole.");
      set("limit", {value(entry)}, where(entry));
    } else if (field == "betas") {
      require(entry.values.size() == 2, ErrorKind::kUsage, where(entry), "the key ", io::in_quotes(entry.key),
              " takes two values; got ", entry.values.size(), ".");
      set("adam-beta1", {entry.values[0]}, where(entry));
      set("adam-beta2", {entry.values[1]}, where(entry));
    } else if (field == "eps") {
      set("adam-eps", {value(entry)}, where(entry));
    } else {
      const std::string ours = field == "weight_decay" ? "weight-decay" : field;
      set(concat(group.part, "-", ours), {value(entry)}, where(entry));
    }
    return true;
  }

  // What a group leaves out is torch's default: no momentum, no weight decay, every tensor.
  void finish_groups() {
    for (const auto& [number, group] : groups_) {
      if (!group.given.contains("momentum")) set(group.part + "-momentum", {"0"}, "");
      if (!group.given.contains("weight_decay")) set(group.part + "-weight-decay", {"0"}, "");
      if (group.part == "backbone" && !group.given.contains("limit")) set("limit", {"all"}, "");
    }
  }

  [[noreturn]] void unknown(const io::ConfigEntry& entry) const {
    std::vector<std::string> known;
    for (const PlainKey& plain : kPlainKeys) known.emplace_back(plain.key);
    for (const std::string_view key : kReadKeys) known.emplace_back(key);
    const std::string number = group_number(entry.key);
    if (!number.empty())
      for (const std::string_view field : kGroupFields) known.push_back(concat(kGroup, number, ".", field));
    const std::string meant = nearest_name(entry.key, known);
    fail(ErrorKind::kUsage, where(entry), "the key ", io::in_quotes(entry.key), " is not known",
         meant.empty() ? "" : "; did you mean '", meant, meant.empty() ? "." : "'?");
  }

  std::span<const io::ConfigEntry> entries_;
  const std::string& name_;
  std::vector<std::string>& notes_;
  std::vector<TrainSetting> settings_;
  std::map<std::string, Group> groups_;
};

}  // namespace

std::vector<TrainSetting> original_train_settings(std::span<const io::ConfigEntry> entries,
                                                  const std::string& name, std::vector<std::string>& notes) {
  return Reader(entries, name, notes).read();
}

}  // namespace aikd
