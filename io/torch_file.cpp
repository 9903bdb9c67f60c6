#include "io/torch_file.h"

#include <algorithm>
#include <string_view>

#include "io/mapped_file.h"
#include "io/text.h"
#include "io/torch_containers.h"

namespace aikd::io {
namespace {

TorchFile parse(std::span<const std::uint8_t> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  require(!bytes.empty(), ErrorKind::kModel, "The file is empty.");
  if (text.starts_with("PK")) return {read_torch_zip(bytes), "zip"};
  require(text.size() < 9 || text.substr(7, 2) != std::string_view("\0{", 2), ErrorKind::kModel,
          "The file looks like a safetensors file, not one that torch.save wrote.");
  if (bytes[0] == 0x80) return {read_torch_legacy(bytes), "legacy"};
  // What people give by mistake.
  require(text.size() < 262 || text.substr(257, 5) != "ustar", ErrorKind::kModel,
          "The file is a tar archive. PyTorch's tar format (before version 0.1.10) is not supported; load it "
          "in PyTorch and save it again.");
  require(!text.starts_with("version https://git-lfs"), ErrorKind::kModel,
          "The file is a Git LFS pointer, not the checkpoint; fetch it with 'git lfs pull'.");
  require(!text.starts_with("<"), ErrorKind::kModel,
          "The file looks like a web page, not a checkpoint; the download probably failed.");
  fail(ErrorKind::kModel,
       "The file is not one that torch.save wrote: it is neither a zip archive nor a legacy stream of "
       "pickles.");
}

}  // namespace

TorchFile parse_torch_file(std::span<const std::uint8_t> bytes) {
  try {
    return parse(bytes);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput) throw;
    throw Error(ErrorKind::kModel, error.what());
  }
}

TorchFile read_torch_file(const std::filesystem::path& path) {
  const std::shared_ptr<const MappedFile> mapped = MappedFile::open(path, ErrorKind::kModel);
  try {
    return parse_torch_file(mapped->bytes());
  } catch (const Error& error) {
    throw Error(error.kind(), concat(in_quotes(path.string(), 1000), ": ", error.what()));
  }
}

}  // namespace aikd::io
