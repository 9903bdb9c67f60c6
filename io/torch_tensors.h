// How PyTorch describes tensors inside a pickle: storages by persistent ids, tensors as views of them.
// (torch/_utils.py, torch/serialization.py.) Shared by both containers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/pickle_reader.h"

namespace aikd::io {

// The values of a storage, loaded after the pickle has been read.
struct TorchStorage {
  std::string key;
  DType dtype = DType::kF32;  // kU8 for an untyped storage, which counts bytes
  std::int64_t numel = 0;
  Tensor data;         // 1-d, undefined until loaded
  bool given = false;  // a tensor of the result already is this memory
  std::uint64_t bytes() const { return static_cast<std::uint64_t>(numel) * size_of(dtype); }
};

class TorchHooks final : public PickleHooks {
 public:
  PickleRef find_global(const std::string& module, const std::string& name) override;
  std::string advice(const std::string& module, const std::string& name) const override;
  PickleRef persistent_load(const PickleValue& id) override;

  // By key, in order of first mention.
  const std::vector<std::shared_ptr<TorchStorage>>& storages() const noexcept { return storages_; }
  TorchStorage* storage(const std::string& key) const noexcept;

  // Once every storage has its data: turns the tensors of the pickle into contiguous Tensors.
  void materialise();

 private:
  std::vector<std::shared_ptr<TorchStorage>> storages_;
  std::map<std::string, std::shared_ptr<TorchStorage>> by_key_;
  std::vector<PickleRef> tensors_;  // values that hold a tensor without its data yet
};

}  // namespace aikd::io
