// Names cut into keys, and the images of a dataset.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace aikd {

// The name by which an image, its landmarks and its label know each other. Paths are normalised first ("./",
// "//" and "a/../" removed, "/" between components). Then, the first rule that applies:
//   1. With a key root (one or more whole components, "vggface2" or "vggface2/train"): what follows its last
//      occurrence, as the original's path.split("vggface2/")[-1]. An image whose path lacks it is an error; a
//      name in a file of labels that lacks it counts as cut already.
//   2. Without: what follows the longest of the dataset's folders that the path lies below, as given or made
//      absolute.
//   3. The whole path.
class KeyRule {
 public:
  KeyRule() = default;
  // Error(kUsage) for a key root that is empty once normalised, or has "..".
  KeyRule(const std::vector<std::string>& folders, const std::string& key_root);

  std::string image_key(const std::string& path) const;  // Error(kUsage): without the key root; nothing left
  std::string name_key(const std::string& name) const;   // of a name found in a file

 private:
  bool cut_at_root(const std::string& path, std::string& key) const;
  std::string below_folder(const std::string& path) const;

  std::vector<std::string> folders_;  // normalised, with "/" at the end, longest first
  std::string root_;                  // "vggface2/train/" or empty
};

// Files below `folder` that are named like images (score_run.h, has_image_extension), sorted bytewise; links
// to files are followed, links to folders are not. Error(kUsage) when it cannot be listed.
std::vector<std::string> list_images(const std::string& folder);
// One path a line, "\r" before the newline dropped, empty lines left out; relative ones are put below `root`
// unless that is empty. Error(kUsage) when the list cannot be read.
std::vector<std::string> read_path_list(const std::string& list, const std::string& root);

// The text of a file; `what` names it in messages ("image list"). Error(kUsage) when it cannot be read.
std::string read_whole_file(const std::filesystem::path& path, std::string_view what);

}  // namespace aikd
