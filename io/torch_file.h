// PyTorch checkpoint files (.pth, .pt), both containers: zip (torch >= 1.6) and the legacy stream of pickles.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "io/pickle.h"

namespace aikd::io {

struct TorchFile {
  PickleRef root;  // the pickled object, tensors as Tensor (contiguous copies in PyTorch's logical order)
  std::string container;  // "zip" or "legacy"
};

// Error(kModel). Refuses every opcode and global that does not build tensors or plain containers, by name.
TorchFile read_torch_file(const std::filesystem::path& path);
TorchFile parse_torch_file(std::span<const std::uint8_t> bytes);

struct StateDictEntry {
  std::string name;
  Tensor tensor;
};
// Finds the state_dict: the root itself, or nested under "state_dict", "model", "net_state_dict", "backbone",
// ...; strips one common "module." prefix. Entries in file order. Error(kModel) when there is none, saying
// which keys were found.
std::vector<StateDictEntry> find_state_dict(const TorchFile& file, std::string* where = nullptr);

}  // namespace aikd::io
