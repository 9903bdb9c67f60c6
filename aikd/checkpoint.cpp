#include "aikd/checkpoint.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "io/crc32c.h"
#include "io/safetensors.h"
#include "io/sha256.h"
#include "io/table.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr const char* kFormat = "aikd.checkpoint";
constexpr const char* kState = "aikd.state";
constexpr const char* kChecksum = "aikd.crc32c";
constexpr const char* kNext = "checkpoint-next.safetensors";
constexpr const char* kLast = "checkpoint-last.safetensors";
constexpr const char* kPrevious = "checkpoint-previous.safetensors";
constexpr const char* kBest = "checkpoint-best.safetensors";

std::string quoted(const fs::path& path) {
  return io::in_quotes(path.string(), 1000);
}

std::uint32_t crc_of(const std::string& text, std::uint32_t before) {
  return io::crc32c({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, before);
}

std::string checksum(const std::string& state, std::span<const io::SafetensorsEntry> tensors) {
  std::uint32_t crc = crc_of(state, 0);
  for (const io::SafetensorsEntry& entry : tensors) {
    crc = crc_of(concat(entry.name, name_of(entry.tensor.dtype()), entry.tensor.shape()), crc);
    crc = io::crc32c({static_cast<const std::uint8_t*>(entry.tensor.raw()), entry.tensor.bytes()}, crc);
  }
  std::string hex(8, '0');
  for (std::size_t i = 0; i < 8; ++i) hex[7 - i] = "0123456789abcdef"[crc >> (4 * i) & 15U];
  return hex;
}

std::string sha256_text(const std::string& text) {
  return io::sha256_hex({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

void rename_or_fail(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  require(!error, ErrorKind::kOutput, "The checkpoint ", quoted(from), " cannot be renamed to ", quoted(to),
          ": ", error.message(), ".");
}

bool may_change(const TrainOption& option, const TrainConfig& config) {
  if (option.resume != TrainOption::Resume::kFixed) return true;
  // Without a decay no step depends on how many follow.
  return (option.name == "epochs" || option.name == "max-steps") && config.decay == nn::Decay::kConstant;
}

std::string shown(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += concat(text.empty() ? "" : ", ", value);
  return text.empty() ? "nothing" : io::escape_for_terminal(text);
}

}  // namespace

void write_checkpoint(const fs::path& path, const Checkpoint& checkpoint) {
  io::SafetensorsFile file;
  for (const auto& [name, tensor] : checkpoint.tensors) file.tensors.push_back({name, tensor});
  // The checksum reads the tensors before write_safetensors() has checked them.
  for (const io::SafetensorsEntry& entry : file.tensors)
    require(entry.tensor.defined() && entry.tensor.device() == Device::cpu(), ErrorKind::kInternal,
            "The tensor ", io::in_quotes(entry.name), " of a checkpoint must be on the CPU and have values.");
  const std::string state = checkpoint.state.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  file.metadata[kFormat] = "1";
  file.metadata[kState] = state;
  file.metadata[kChecksum] = checksum(state, file.tensors);
  io::write_safetensors(path, file);
}

Checkpoint read_checkpoint(const fs::path& path) {
  const auto check = [&path](bool ok, const auto&... sentence) {
    require(ok, ErrorKind::kModel, "The checkpoint ", quoted(path), " ", sentence...);
  };
  io::SafetensorsFile file;
  try {
    file = io::read_safetensors(path);
  } catch (const Error& error) {
    fail(ErrorKind::kModel, "The checkpoint ", quoted(path), " cannot be read: ", error.what());
  }
  const auto format = file.metadata.find(kFormat);
  check(format != file.metadata.end(), "is a safetensors file, but not a checkpoint: it has no ", kFormat,
        " in its metadata.");
  check(format->second == "1", "is of version ", io::in_quotes(format->second), "; this program reads 1.");
  const std::string text = file.metadata[kState];
  check(checksum(text, file.tensors) == file.metadata[kChecksum], "is damaged: its checksum is ",
        io::in_quotes(file.metadata[kChecksum]), ", its content has ", checksum(text, file.tensors), ".");
  Checkpoint checkpoint;
  checkpoint.state = ordered_json::parse(text, nullptr, false);
  check(checkpoint.state.is_object(), "has a state that is not a JSON object.");
  for (io::SafetensorsEntry& entry : file.tensors)
    checkpoint.tensors.emplace_back(std::move(entry.name), std::move(entry.tensor));
  return checkpoint;
}

void copy_tensors(const NamedTensors& saved, const std::string& prefix,
                  std::span<const std::pair<std::string, Tensor*>> into) {
  std::map<std::string_view, const Tensor*> by_name;
  for (const auto& [name, tensor] : saved) by_name[name] = &tensor;
  std::vector<const Tensor*> found;
  for (const auto& [name, to] : into) {
    const std::string full = prefix + name;
    const auto from = by_name.find(full);
    require(from != by_name.end(), ErrorKind::kModel, "The checkpoint has no tensor ", io::in_quotes(full),
            ".");
    const Tensor& tensor = *from->second;
    require(tensor.shape() == to->shape() && tensor.dtype() == to->dtype(), ErrorKind::kModel,
            "The checkpoint's tensor ", io::in_quotes(full), " is ", name_of(tensor.dtype()), " ",
            tensor.shape(), "; expected ", name_of(to->dtype()), " ", to->shape(), ".");
    require(to->device() == Device::cpu(), ErrorKind::kInternal, "The tensor ", io::in_quotes(full),
            " is not on the CPU.");
    found.push_back(&tensor);
  }
  for (std::size_t i = 0; i < into.size(); ++i)
    if (found[i]->bytes() != 0)
      std::memcpy(into[i].second->mutable_raw(), found[i]->raw(), found[i]->bytes());
}

fs::path CheckpointStore::file(const char* name) const {
  return folder_ / name;
}

void CheckpointStore::save(const Checkpoint& checkpoint) {
  // A "next" that a killed process left is newer than "last" and may be the only whole one: it becomes
  // "last".
  if (fs::exists(file(kNext))) {
    if (fs::exists(file(kLast))) rename_or_fail(file(kLast), file(kPrevious));
    rename_or_fail(file(kNext), file(kLast));
  }
  write_checkpoint(file(kNext), checkpoint);
  if (fs::exists(file(kLast))) rename_or_fail(file(kLast), file(kPrevious));
  rename_or_fail(file(kNext), file(kLast));
  // The renames outlive a power cut once the folder is synced; without it "next" is still found.
  const int folder = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  ::fsync(folder);
  ::close(folder);
}

void CheckpointStore::save_best(const Checkpoint& checkpoint) {
  write_checkpoint(file(kBest), checkpoint);
}

std::optional<CheckpointStore::Loaded> CheckpointStore::load() const {
  std::string trouble;
  for (const char* name : {kNext, kLast, kPrevious}) {
    const fs::path path = file(name);
    std::error_code ignored;
    if (!fs::exists(path, ignored)) continue;
    try {
      Loaded loaded{read_checkpoint(path), path, ""};
      if (!trouble.empty())
        loaded.note = concat(trouble, "Training goes on from ", quoted(path), ", which is older.");
      return loaded;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kModel) throw;
      trouble += concat(error.what(), " ");
    }
  }
  require(trouble.empty(), ErrorKind::kModel, trouble, "No other checkpoint is in ", quoted(folder_),
          "; --overwrite begins anew.");
  return std::nullopt;
}

std::optional<Checkpoint> CheckpointStore::load_best() const {
  std::error_code ignored;
  if (!fs::exists(file(kBest), ignored)) return std::nullopt;
  return read_checkpoint(file(kBest));
}

std::string data_fingerprint(const Dataset& dataset, const Split& split) {
  std::vector<char> side(dataset.size(), '-');  // in neither
  for (const std::size_t i : split.training) side.at(i) = 't';
  for (const std::size_t i : split.validation) side.at(i) = 'v';
  // In blocks, so that millions of items do not make one text: the hash of the hashes.
  constexpr std::size_t kBlock = 4096;
  std::string hashes, text;
  for (std::size_t i = 0; i < dataset.size(); ++i) {
    const DatasetItem& item = dataset.items()[i];
    text += concat(io::json_string(item.key), side[i], io::format_number(item.label));
    for (const Point& point : item.landmarks)
      text += concat(",", io::format_number(point.x), ",", io::format_number(point.y));
    text += '\n';
    if ((i + 1) % kBlock != 0) continue;
    hashes += sha256_text(text);
    text.clear();
  }
  return sha256_text(hashes + sha256_text(text));
}

std::string config_hash(const TrainConfig& config) {
  std::string text;
  for (const TrainOption& option : train_options()) {
    if (may_change(option, config)) continue;
    text += option.name;
    for (const std::string& value : option.get(config)) text += io::json_string(value);
    text += '\n';
  }
  return sha256_text(text);
}

ordered_json describe_run(const TrainConfig& config, const Fingerprints& fingerprints) {
  ordered_json options = ordered_json::object();
  for (const TrainOption& option : train_options()) options[option.name] = option.get(config);
  return {{"config", options}, {"config_hash", config_hash(config)}, {"fingerprints", fingerprints}};
}

std::vector<std::string> check_resume(const ordered_json& saved, const TrainConfig& config,
                                      const Fingerprints& fingerprints) {
  std::vector<std::string> notes;
  std::string refused;
  try {
    const ordered_json& options = saved.at("config");
    for (const TrainOption& option : train_options()) {
      // An option that was not there when the run was begun had what is its default now.
      const std::vector<std::string> before =
          options.contains(option.name) ? options.at(option.name).get<std::vector<std::string>>()
                                        : option.get(train_defaults(config.method, config.as_published));
      const std::vector<std::string> now = option.get(config);
      if (before == now || option.name == "run") continue;
      const std::string change = concat(option.name, " was ", shown(before), " and is ", shown(now));
      if (!may_change(option, config)) {
        refused += concat(refused.empty() ? "" : "; ", change);
      } else if (option.resume != TrainOption::Resume::kByContent) {
        notes.push_back(concat("The option ", change, " from here on",
                               option.name == "device" ? "; another device rounds differently." : "."));
      }
    }
    const auto before = saved.at("fingerprints").get<Fingerprints>();
    for (const auto& [name, hash] : fingerprints) {
      const auto found = before.find(name);
      if (found != before.end() && found->second == hash) continue;
      refused += concat(refused.empty() ? "" : "; ", io::escape_for_terminal(name),
                        " is not what the run began with (SHA-256 ",
                        found == before.end() ? "none" : io::escape_for_terminal(found->second.substr(0, 12)),
                        " then, ", hash.substr(0, 12), " now)");
    }
  } catch (const nlohmann::json::exception&) {
    fail(ErrorKind::kModel, "The checkpoint does not say what its run was begun with.");
  }
  require(refused.empty(), ErrorKind::kUsage, "The run cannot be gone on with: ", refused,
          ". Give what it began with, or --overwrite to begin anew.");
  return notes;
}

}  // namespace aikd
