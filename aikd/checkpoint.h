// Checkpoints of a training run: everything that the next step depends on, in one file that is there whole or
// not at all, so that a resumed run gives the same bits.
//
// A checkpoint is a safetensors file: tensors by name, and in its metadata
//   aikd.checkpoint   "1"
//   aikd.state        JSON: what is not a tensor (step, epoch, loss scale, best value, ...)
//   aikd.crc32c       8 hex digits, CRC-32C over the state and, tensor by tensor, name, type, shape and bytes
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "aikd/dataset.h"
#include "aikd/train_config.h"
#include "tensor/tensor.h"

namespace aikd {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

struct Checkpoint {
  NamedTensors tensors;                                             // on the CPU
  nlohmann::ordered_json state = nlohmann::ordered_json::object();  // at most 64 KiB of text
};

// Error(kOutput): the disk is full, ...; an older file of that name is then as it was.
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);
// Tensors are borrowed from the mapped file. Error(kModel), with the file: it is cut off or damaged, or no
// checkpoint.
Checkpoint read_checkpoint(const std::filesystem::path& path);

// Copies saved tensors "<prefix><name>" into the given ones. Error(kModel), naming tensor and shapes, when
// one is missing, or has another shape or type: nothing has been copied then.
void copy_tensors(const NamedTensors& saved, const std::string& prefix,
                  std::span<const std::pair<std::string, Tensor*>> into);

// The checkpoints of a run directory. Saving writes "checkpoint-next", renames "checkpoint-last" to
// "checkpoint-previous" and "checkpoint-next" to "checkpoint-last"; so whenever a process is killed, at least
// one whole checkpoint is there once the first one was. It takes the disk space of three.
class CheckpointStore {
 public:
  struct Loaded {
    Checkpoint checkpoint;
    std::filesystem::path path;
    std::string note;  // a sentence when it is not the newest one, and why; else ""
  };

  explicit CheckpointStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  void save(const Checkpoint& checkpoint);       // Error(kOutput)
  void save_best(const Checkpoint& checkpoint);  // "checkpoint-best", apart. Error(kOutput)

  // The newest one that can be read; nothing when there is none at all. Error(kModel) when there are some and
  // none can be read, with what is wrong with each.
  std::optional<Loaded> load() const;
  std::optional<Checkpoint> load_best() const;  // Error(kModel)

 private:
  std::filesystem::path file(const char* name) const;
  std::filesystem::path folder_;
};

// What a run is made from besides its options: "data", "teacher", ... -> a hash.
using Fingerprints = std::map<std::string, std::string>;

// SHA-256 over every item's key, landmarks and label, and the side it is on: not over where files lie, nor
// over their pixels.
std::string data_fingerprint(const Dataset& dataset, const Split& split);
// SHA-256 over the options that must not change.
std::string config_hash(const TrainConfig& config);

// {"config": {...}, "config_hash": "...", "fingerprints": {...}} for the state of a checkpoint.
nlohmann::ordered_json describe_run(const TrainConfig& config, const Fingerprints& fingerprints);

// Compares what describe_run() gave when the run was begun with today's. Sentences for the user about what
// differs and may (TrainOption::resume; epochs and max-steps too unless the learning rate decays by cosine).
// Error(kUsage), naming every option and fingerprint that must not change, with both values; Error(kModel)
// when `saved` is not such a description.
std::vector<std::string> check_resume(const nlohmann::ordered_json& saved, const TrainConfig& config,
                                      const Fingerprints& fingerprints);

}  // namespace aikd
