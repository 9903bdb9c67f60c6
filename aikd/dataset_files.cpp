#include "aikd/dataset_files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "aikd/score_run.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd {
namespace fs = std::filesystem;
namespace {

std::string normalised(const fs::path& path) {
  return path.lexically_normal().generic_string();
}

std::string with_slash(std::string path) {
  if (path.empty() || path.back() != '/') path += '/';
  return path;
}

std::string absolute(const std::string& path) {
  std::error_code error;
  const fs::path whole = fs::absolute(path, error);
  return error ? path : normalised(whole);
}

}  // namespace

KeyRule::KeyRule(const std::vector<std::string>& folders, const std::string& key_root) {
  if (!key_root.empty()) {
    root_ = with_slash(normalised(key_root));
    while (root_.starts_with('/')) root_.erase(0, 1);
    require(!root_.empty() && root_ != "./" && !("/" + root_).ends_with("/../") &&
                ("/" + root_).find("/../") == std::string::npos,
            ErrorKind::kUsage, "The key root ", io::in_quotes(key_root),
            " names no folder; expected one or more folder names such as 'vggface2'.");
  }
  for (const std::string& folder : folders) {
    const std::string own = normalised(folder);
    for (const std::string& form : {own, absolute(folder)}) {
      if (form.empty() || form == ".") continue;
      const std::string prefix = with_slash(form);
      if (std::find(folders_.begin(), folders_.end(), prefix) == folders_.end()) folders_.push_back(prefix);
    }
  }
  std::stable_sort(folders_.begin(), folders_.end(),
                   [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
}

bool KeyRule::cut_at_root(const std::string& path, std::string& key) const {
  const std::string whole = "/" + path, root = "/" + root_;
  const std::size_t at = whole.rfind(root);
  if (at == std::string::npos) return false;
  key = whole.substr(at + root.size());
  return true;
}

std::string KeyRule::below_folder(const std::string& path) const {
  for (const std::string& folder : folders_)
    if (path.size() > folder.size() && path.starts_with(folder)) return path.substr(folder.size());
  return path;
}

std::string KeyRule::image_key(const std::string& path) const {
  const std::string clean = normalised(path);
  std::string key;
  if (!root_.empty()) {
    require(cut_at_root(clean, key), ErrorKind::kUsage, "The image ", io::in_quotes(path, 1000),
            " does not lie below the key root '", root_.substr(0, root_.size() - 1),
            "', so its key cannot be told.");
  } else {
    key = below_folder(clean);
    if (key == clean && !folders_.empty()) {
      const std::string whole = absolute(path);
      if (const std::string cut = below_folder(whole); cut != whole) key = cut;
    }
  }
  require(!key.empty() && key != ".", ErrorKind::kUsage, "The image path ", io::in_quotes(path, 1000),
          " names no file.");
  return key;
}

std::string KeyRule::name_key(const std::string& name) const {
  const std::string clean = normalised(name);
  std::string key;
  if (!root_.empty()) return cut_at_root(clean, key) ? key : clean;
  return below_folder(clean);
}

std::vector<std::string> list_images(const std::string& folder) {
  std::vector<std::string> found;
  std::error_code error;
  fs::recursive_directory_iterator it(folder, fs::directory_options::none, error), end;
  for (; !error && it != end; it.increment(error)) {
    std::error_code of_entry;
    if (it->is_regular_file(of_entry) && has_image_extension(it->path().string()))
      found.push_back(it->path().string());
  }
  require(!error, ErrorKind::kUsage, "The image folder ", io::in_quotes(folder, 1000),
          " cannot be listed: ", error.message(), ".");
  std::sort(found.begin(), found.end());
  return found;
}

std::string read_whole_file(const fs::path& path, std::string_view what) {
  const std::string name = io::in_quotes(path.string(), 1000);
  std::error_code ignored;
  require(!fs::is_directory(path, ignored), ErrorKind::kUsage, "The ", what, " ", name, " is a folder.");
  std::ifstream in(path, std::ios::binary);
  require(static_cast<bool>(in), ErrorKind::kUsage, "The ", what, " ", name,
          " cannot be opened: ", std::strerror(errno), ".");
  std::string text{std::istreambuf_iterator<char>(in), {}};
  require(!in.bad(), ErrorKind::kUsage, "The ", what, " ", name, " cannot be read to its end.");
  return text;
}

std::vector<std::string> read_path_list(const std::string& list, const std::string& root) {
  const std::string text = read_whole_file(list, "image list");
  std::vector<std::string> paths;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    paths.push_back(root.empty() || fs::path(line).is_absolute() ? line : (fs::path(root) / line).string());
  }
  return paths;
}

}  // namespace aikd
