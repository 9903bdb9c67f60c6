// Which part of a checkpoint is the state_dict. Training programs wrap it in dicts of their own making.
#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "io/text.h"
#include "io/torch_file.h"

namespace aikd::io {
namespace {

// Names under which checkpoints keep a model's state_dict, the most specific first; where several are there
// (an averaged copy beside the weights), the first is meant.
constexpr std::array<std::string_view, 21> kNames = {"state_dict",
                                                     "model_state_dict",
                                                     "net_state_dict",
                                                     "backbone_state_dict",
                                                     "model_state",
                                                     "model",
                                                     "net",
                                                     "network",
                                                     "backbone",
                                                     "weights",
                                                     "params",
                                                     "module",
                                                     "student",
                                                     "state_dict_ema",
                                                     "model_ema",
                                                     "ema_state_dict",
                                                     "ema_model",
                                                     "ema",
                                                     "teacher",
                                                     "state_dict_backbone",
                                                     "state"};
constexpr int kMaxNesting = 2;

struct Found {
  const PickleDict* dict = nullptr;
  std::string where;  // "" for the root, "state_dict", "model.state_dict"
};

// All keys are strings and tensors are among the values; a nested container would mean a checkpoint, not a
// state_dict.
bool is_state_dict(const PickleDict& dict) {
  bool has_tensor = false;
  for (const auto& [key, value] : dict.items) {
    const bool nested = std::holds_alternative<PickleDict>(value->v) ||
                        std::holds_alternative<PickleList>(value->v) ||
                        std::holds_alternative<PickleTuple>(value->v);
    if (nested || !std::holds_alternative<std::string>(key->v)) return false;
    has_tensor = has_tensor || std::holds_alternative<Tensor>(value->v);
  }
  return has_tensor;
}

std::optional<Found> search(const PickleDict& dict, const std::string& where, int nesting) {
  if (nesting < kMaxNesting) {
    for (const std::string_view name : kNames) {
      const PickleValue* value = dict.find(std::string(name));
      const auto* inner = value == nullptr ? nullptr : std::get_if<PickleDict>(&value->v);
      if (inner == nullptr) continue;
      const std::string path = where.empty() ? std::string(name) : where + "." + std::string(name);
      if (std::optional<Found> found = search(*inner, path, nesting + 1)) return found;
    }
  }
  if (is_state_dict(dict)) return Found{&dict, where};
  return std::nullopt;
}

// The one state_dict that stands under a name which is not in the list.
std::optional<Found> only_one(const PickleDict& root) {
  std::optional<Found> found;
  for (const auto& [key, value] : root.items) {
    const auto* name = std::get_if<std::string>(&key->v);
    const auto* inner = std::get_if<PickleDict>(&value->v);
    if (name == nullptr || inner == nullptr || !is_state_dict(*inner)) continue;
    if (found) return std::nullopt;
    found = Found{inner, *name};
  }
  return found;
}

std::string keys_of(const PickleDict& dict) {
  std::string text;
  constexpr std::size_t kMost = 12;
  for (std::size_t i = 0; i < std::min(dict.items.size(), kMost); ++i) {
    const auto* name = std::get_if<std::string>(&dict.items[i].first->v);
    text += concat(i == 0 ? "" : ", ", name == nullptr ? "(not a string)" : in_quotes(*name, 40));
  }
  return text + (dict.items.size() > kMost ? ", ..." : "");
}

// torch.nn.DataParallel puts "module." in front of every name.
void strip_module(std::vector<StateDictEntry>& entries) {
  constexpr std::string_view kPrefix = "module.";
  const bool common = std::ranges::all_of(entries, [&](const auto& entry) {
    return entry.name.starts_with(kPrefix) && entry.name.size() > kPrefix.size();
  });
  if (!common) return;
  for (StateDictEntry& entry : entries) entry.name.erase(0, kPrefix.size());
}

}  // namespace

std::vector<StateDictEntry> find_state_dict(const TorchFile& file, std::string* where) {
  const auto* root = file.root == nullptr ? nullptr : std::get_if<PickleDict>(&file.root->v);
  require(root != nullptr, ErrorKind::kModel, "The checkpoint holds no dict of tensors (no state_dict).");
  std::optional<Found> found = search(*root, "", 0);
  if (!found) found = only_one(*root);
  require(found.has_value(), ErrorKind::kModel,
          "The checkpoint holds no state_dict that can be told from the rest; its keys are: ", keys_of(*root),
          ".");
  std::vector<StateDictEntry> entries;
  for (const auto& [key, value] : found->dict->items) {
    const auto* tensor = std::get_if<Tensor>(&value->v);
    if (tensor != nullptr) entries.push_back({std::get<std::string>(key->v), *tensor});
  }
  strip_module(entries);
  if (where != nullptr) *where = found->where;
  return entries;
}

}  // namespace aikd::io
