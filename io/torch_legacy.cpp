// The stream that torch.save wrote before version 1.6: pickles of a magic number, a protocol version, facts
// about the system, the object, and the list of storage keys; then every storage as its number of elements
// (8 bytes) and its values, little-endian. (torch/serialization.py, _legacy_save and _legacy_load.)
#include <bit>
#include <cstring>

#include "io/text.h"
#include "io/torch_containers.h"
#include "io/torch_tensors.h"

namespace aikd::io {
namespace {

static_assert(std::endian::native == std::endian::little, "storages are copied as they are in the file");

constexpr std::string_view kMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";  // 0x1950a86a20f9469cfc6c

}  // namespace

PickleRef read_torch_legacy(std::span<const std::uint8_t> bytes) {
  TorchHooks hooks;
  PickleReader reader(bytes, hooks);
  const PickleRef magic = reader.read();
  const auto number = pickle_object_as<PickleBigInteger>(*magic);
  require(number != nullptr && number->bytes() == kMagic, ErrorKind::kInput, "The file is a plain pickle (",
          describe(*magic), "), not one that torch.save wrote.");
  const PickleRef version = reader.read();
  const auto* version_number = std::get_if<std::int64_t>(&version->v);
  require(version_number != nullptr && *version_number == 1001, ErrorKind::kInput,
          "The file has another version of PyTorch's legacy format than 1001.");
  reader.read();  // facts about the system that wrote it
  PickleRef root = reader.read();
  const PickleRef keys = reader.read();
  const auto* list = std::get_if<PickleList>(&keys->v);
  require(list != nullptr, ErrorKind::kInput, "The file lacks the list of its storages.");

  std::span<const std::uint8_t> rest = bytes.subspan(reader.position());
  for (const PickleRef& item : list->items) {
    const auto* key = std::get_if<std::string>(&item->v);
    TorchStorage* storage = key == nullptr ? nullptr : hooks.storage(*key);
    require(storage != nullptr, ErrorKind::kInput,
            "The file lists a storage that its pickle does not mention.");
    require(!storage->data.defined(), ErrorKind::kInput, "The file lists the storage ", in_quotes(*key),
            " twice.");
    require(rest.size() >= 8, ErrorKind::kInput, "The file is truncated before the storage ", in_quotes(*key),
            ".");
    std::int64_t count = 0;
    std::memcpy(&count, rest.data(), 8);
    require(count == storage->numel, ErrorKind::kInput, "The storage ", in_quotes(*key), " has ", count,
            " elements in the file, but ", storage->numel, " in its pickle.");
    require(storage->bytes() <= rest.size() - 8, ErrorKind::kInput,
            "The file is truncated inside the storage ", in_quotes(*key), ": ", rest.size() - 8, " of ",
            storage->bytes(), " bytes are there.");
    storage->data = Tensor::empty({storage->numel}, storage->dtype);
    if (storage->numel != 0) std::memcpy(storage->data.mutable_raw(), rest.data() + 8, storage->data.bytes());
    rest = rest.subspan(8 + storage->data.bytes());
  }
  for (const auto& storage : hooks.storages()) {
    require(storage->data.defined(), ErrorKind::kInput, "The file has no values for the storage ",
            in_quotes(storage->key), ".");
  }
  hooks.materialise();
  reader.finish(root);
  return root;
}

}  // namespace aikd::io
