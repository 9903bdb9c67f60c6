#include "apps/aikd_score/config_keys.h"

#include <CLI/Error.hpp>
#include <algorithm>
#include <filesystem>
#include <string_view>

#include "apps/common/program.h"
#include "io/config.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd::apps {
namespace {

// The original's keys (LSIbabnikz/AI-KD configs/inference_config.yaml) and the option each one sets.
struct OriginalKey {
  std::string_view key;
  const char* option;  // null: accepted, without effect
  std::string_view why;
};
constexpr OriginalKey kOriginalKeys[] = {
    {"base.verbose", "--progress", ""},
    {"base.save_path", "--output", ""},
    {"base.seed", nullptr, "scoring draws no random numbers"},
    {"base.device", "--device", ""},
    {"dataset.loc", "input", ""},
    {"dataloader.params.batch_size", "--batch", ""},
    {"dataloader.params.num_workers", nullptr, "--threads decides"},
    {"dataloader.params.pin_memory", nullptr, "there is nothing to pin"},
    {"model.config", nullptr, "architecture and pre-processing stand in the model file"},
    {"model.weight", "--model", ""},
};

bool is_original(const std::vector<io::ConfigEntry>& entries) {
  return std::any_of(entries.begin(), entries.end(),
                     [](const io::ConfigEntry& entry) { return entry.key.find('.') != std::string::npos; });
}

std::string with_hyphens(std::string key) {
  std::replace(key.begin(), key.end(), '_', '-');
  return key;
}

class Applier {
 public:
  Applier(CLI::App& app, const std::string& path, std::vector<std::string>& notes)
      : app_(app), path_(path), notes_(notes) {}

  void own(const io::ConfigEntry& entry) {
    const std::string key = with_hyphens(entry.key);
    std::vector<std::string> known;
    for (CLI::Option* option : app_.get_options()) {
      if (option->get_group() == kActions) continue;
      std::vector<std::string> names = option->get_lnames();
      if (names.empty()) names.push_back(option->get_name());
      known.insert(known.end(), names.begin(), names.end());
      if (std::find(names.begin(), names.end(), key) != names.end()) {
        set(*option, entry, flag_values(*option, key, entry));
        return;
      }
    }
    unknown(entry, key, known);
  }

  void original(const io::ConfigEntry& entry) {
    std::vector<std::string> known;
    for (const OriginalKey& candidate : kOriginalKeys) {
      known.emplace_back(candidate.key);
      if (candidate.key != entry.key) continue;
      if (candidate.option == nullptr) {
        notes_.push_back(
            concat(entry.key, " in ", io::in_quotes(path_), " has no effect here: ", candidate.why, "."));
        return;
      }
      std::vector<std::string> values = entry.values;
      if (entry.key == "base.save_path" && !values.empty())
        values.front() = (std::filesystem::path(values.front()) / "quality-scores.pkl").string();
      set(*app_.get_option(candidate.option), entry, values);
      return;
    }
    unknown(entry, entry.key, known);
  }

  // The original ignores EXIF orientation; its configuration asks for its numbers.
  void without_exif() {
    CLI::Option* exif = app_.get_option("--exif");
    if (!exif->empty()) return;
    add(*exif, {"false"});
    notes_.push_back(
        "The configuration is the original's: EXIF orientation is ignored as there (--exif honours it).");
  }

 private:
  // What a flag's key stands for: "no-exif: true" is exif false.
  std::vector<std::string> flag_values(CLI::Option& option, const std::string& key,
                                       const io::ConfigEntry& entry) const {
    if (option.get_expected_max() != 0 || entry.values.size() != 1) return entry.values;
    try {
      return {option.get_flag_value(key, entry.values.front())};
    } catch (const CLI::Error&) {
      fail(ErrorKind::kUsage, where(entry), "the key ", io::in_quotes(entry.key), " is true or false, not ",
           io::in_quotes(entry.values.front()), ".");
    }
  }

  [[noreturn]] void unknown(const io::ConfigEntry& entry, const std::string& key,
                            const std::vector<std::string>& known) const {
    const std::string meant = nearest(key, known);
    fail(ErrorKind::kUsage, where(entry), "the key ", io::in_quotes(entry.key), " is not known",
         meant.empty() ? "" : "; did you mean '", meant, meant.empty() ? "." : "'?");
  }

  std::string where(const io::ConfigEntry& entry) const {
    return concat("The configuration ", io::in_quotes(path_), ", line ", entry.line, ": ");
  }

  void set(CLI::Option& option, const io::ConfigEntry& entry, const std::vector<std::string>& values) {
    if (!option.empty() || values.empty()) return;  // given on the command line; or null
    require(values.size() == 1 || option.get_expected_max() > 1, ErrorKind::kUsage, where(entry), "the key ",
            io::in_quotes(entry.key), " takes one value, not a list of ", values.size(), ".");
    try {
      add(option, values);
    } catch (const CLI::Error& error) {
      fail(ErrorKind::kUsage, where(entry), "the key ", io::in_quotes(entry.key),
           " has a value that is refused: ", io::escape_for_terminal(error.what()), ".");
    }
  }

  static void add(CLI::Option& option, const std::vector<std::string>& values) {
    for (const std::string& value : values) option.add_result(value);
    option.run_callback();
  }

  CLI::App& app_;
  const std::string& path_;
  std::vector<std::string>& notes_;
};

}  // namespace

void apply_config(CLI::App& app, const std::string& path, std::vector<std::string>& notes) {
  const std::vector<io::ConfigEntry> entries = io::read_config(path);
  Applier applier(app, path, notes);
  const bool original = is_original(entries);
  for (const io::ConfigEntry& entry : entries) original ? applier.original(entry) : applier.own(entry);
  if (original) applier.without_exif();
}

}  // namespace aikd::apps
