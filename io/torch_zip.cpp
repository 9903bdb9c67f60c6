// The zip archive that torch.save writes since version 1.6: <folder>/data.pkl, one entry <folder>/data/<key>
// for each storage, and <folder>/byteorder ("little" or "big"; absent in files before 2.0: little).
#include <zip.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>

#include "io/text.h"
#include "io/torch_containers.h"
#include "io/torch_tensors.h"

namespace aikd::io {
namespace {

// Zero-filled memory deflates to a thousandth. torch.save does not compress, so an archive that grows by more
// than this is hostile.
constexpr std::uint64_t kMaxExpansion = 100;
constexpr std::uint64_t kFreeBytes = std::uint64_t{16} << 20;

class Archive {
 public:
  explicit Archive(std::span<const std::uint8_t> bytes) : budget_(kFreeBytes + kMaxExpansion * bytes.size()) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
    if (source != nullptr) archive_ = zip_open_from_source(source, ZIP_RDONLY, &error);
    const std::string why = archive_ == nullptr ? zip_error_strerror(&error) : "";
    zip_error_fini(&error);
    if (archive_ != nullptr) return;
    if (source != nullptr) zip_source_free(source);
    fail(ErrorKind::kInput, "The zip archive cannot be read (", why, "); the file is damaged or truncated.");
  }
  ~Archive() { zip_discard(archive_); }
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  struct Entry {
    std::string name;
    std::uint64_t index = 0;
  };
  // The one entry "data.pkl" or "<folder>/data.pkl".
  Entry pickle() const {
    std::optional<Entry> found;
    const zip_int64_t entries = zip_get_num_entries(archive_, 0);
    for (zip_int64_t i = 0; i < entries; ++i) {
      const char* text = zip_get_name(archive_, static_cast<zip_uint64_t>(i), ZIP_FL_ENC_RAW);
      const std::string_view name = text == nullptr ? "" : text;
      require(!name.ends_with("/constants.pkl") && name != "constants.pkl", ErrorKind::kInput,
              "The file is a TorchScript program (torch.jit.save), not a checkpoint; in Python, save its "
              "tensors: torch.save(torch.jit.load(path).state_dict(), \"weights.pth\").");
      if (name != "data.pkl" && !name.ends_with("/data.pkl")) continue;
      require(!found.has_value(), ErrorKind::kInput, "The zip archive has more than one data.pkl.");
      found = Entry{std::string(name), static_cast<std::uint64_t>(i)};
    }
    require(found.has_value(), ErrorKind::kInput,
            "The zip archive has no data.pkl, so torch.save did not write it.");
    return *found;
  }

  std::optional<std::uint64_t> find(const std::string& name) const {
    const zip_int64_t index = zip_name_locate(archive_, name.c_str(), ZIP_FL_ENC_RAW);
    return index < 0 ? std::nullopt : std::optional(static_cast<std::uint64_t>(index));
  }

  std::uint64_t size(std::uint64_t index) const {
    zip_stat_t info;
    zip_stat_init(&info);
    const bool ok = zip_stat_index(archive_, index, 0, &info) == 0 && (info.valid & ZIP_STAT_SIZE) != 0;
    require(ok, ErrorKind::kInput, "The zip archive does not say how large one of its entries is.");
    require((info.valid & ZIP_STAT_ENCRYPTION_METHOD) == 0 || info.encryption_method == ZIP_EM_NONE,
            ErrorKind::kInput, "The zip archive is encrypted.");
    require((info.valid & ZIP_STAT_COMP_METHOD) == 0 || info.comp_method == ZIP_CM_STORE ||
                info.comp_method == ZIP_CM_DEFLATE,
            ErrorKind::kInput, "The zip archive compresses its entries by method ", info.comp_method,
            "; stored and deflated ones are read.");
    return info.size;
  }

  // Reserves `bytes` of the memory that an archive of this size may take.
  void charge(std::uint64_t bytes) {
    require(bytes <= budget_, ErrorKind::kInput, "The zip archive would grow to more than ", kMaxExpansion,
            " times its size; it is refused.");
    budget_ -= bytes;
  }

  // Fills `to` with the entry's `bytes` bytes, no more and no less, and lets libzip check the CRC.
  void read(std::uint64_t index, const std::string& name, void* to, std::uint64_t bytes) {
    zip_file_t* file = zip_fopen_index(archive_, index, 0);
    require(file != nullptr, ErrorKind::kInput, "The entry ", in_quotes(name),
            " of the zip archive cannot be opened: ", zip_strerror(archive_), ".");
    auto* out = static_cast<char*>(to);
    std::uint64_t got = 0;
    zip_int64_t count = 1;
    while (got < bytes &&
           (count = zip_fread(file, out + got, std::min<std::uint64_t>(bytes - got, 1U << 24))) > 0)
      got += static_cast<std::uint64_t>(count);
    char beyond = 0;
    if (got == bytes) count = zip_fread(file, &beyond, 1);  // the end, where the CRC is compared
    const std::string why = count < 0 ? zip_file_strerror(file) : "it is shorter or longer than declared";
    zip_fclose(file);
    require(got == bytes && count == 0, ErrorKind::kInput, "The entry ", in_quotes(name),
            " of the zip archive cannot be read: ", why, ".");
  }

 private:
  zip_t* archive_ = nullptr;
  std::uint64_t budget_;
};

bool is_big_endian(Archive& archive, const std::string& folder) {
  const std::string name = folder + "byteorder";
  const auto index = archive.find(name);
  if (!index) return false;
  char text[7] = {};
  const std::uint64_t bytes = archive.size(*index);
  if (bytes < sizeof text) archive.read(*index, name, text, bytes);
  const std::string_view order(text);
  require(order == "little" || order == "big", ErrorKind::kInput, "The file has the unknown byte order ",
          in_quotes(order), ".");
  return order == "big";
}

void swap_bytes(Tensor& tensor) {
  const std::size_t size = size_of(tensor.dtype());
  auto* bytes = static_cast<char*>(tensor.mutable_raw());
  for (std::size_t at = 0; at < tensor.bytes(); at += size) std::reverse(bytes + at, bytes + at + size);
}

}  // namespace

PickleRef read_torch_zip(std::span<const std::uint8_t> bytes) {
  Archive archive(bytes);
  const auto [pickle_name, index] = archive.pickle();
  const std::string folder = pickle_name.substr(0, pickle_name.size() - std::strlen("data.pkl"));
  const std::uint64_t pickle_bytes = archive.size(index);
  archive.charge(pickle_bytes);
  std::vector<std::uint8_t> pickle(pickle_bytes);
  archive.read(index, pickle_name, pickle.data(), pickle.size());
  const bool big_endian = is_big_endian(archive, folder);

  TorchHooks hooks;
  PickleReader reader(pickle, hooks);
  PickleRef root = reader.read();
  for (const auto& storage : hooks.storages()) {
    const std::string name = folder + "data/" + storage->key;
    const auto entry = archive.find(name);
    require(entry.has_value(), ErrorKind::kInput, "The zip archive lacks the entry ", in_quotes(name),
            ", which its pickle refers to.");
    const std::uint64_t size = archive.size(*entry);
    require(size == storage->bytes(), ErrorKind::kInput, "The entry ", in_quotes(name),
            " of the zip archive has ", size, " bytes; its pickle expects ", storage->numel, " elements of ",
            name_of(storage->dtype), ", which take ", storage->bytes(), ".");
    archive.charge(size);
    storage->data = Tensor::empty({storage->numel}, storage->dtype);
    archive.read(*entry, name, storage->data.mutable_raw(), size);
    if (big_endian != (std::endian::native == std::endian::big)) swap_bytes(storage->data);
  }
  hooks.materialise();
  reader.finish(root);
  return root;
}

}  // namespace aikd::io
