// Landmarks of many images from one file: CSV, JSON, or the original's pickle.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "aikd/alignment.h"

namespace aikd {

// CSV: header with path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry (other columns, such as score, are ignored; order
// free). JSON: {"path": [[x,y] x5]} or {"path": [10 numbers]} or [{"path": ..., "landmarks": ...}]. Pickle
// (landmarks_data.pkl): {name: v} with v[1] = 5x2 points. Error(kInput) names the file, the line or key, and
// what is wrong.
class LandmarkFile {
 public:
  static LandmarkFile read(const std::filesystem::path& path);

  std::size_t size() const noexcept { return points_.size(); }
  // The entry whose key is the longest tail of whole components of `image_path`: an image given as
  // "data/lfw/images/A/A_0001.jpg" finds the key "A/A_0001.jpg". Exact matches first.
  std::optional<Landmarks> find(const std::filesystem::path& image_path) const;

 private:
  std::unordered_map<std::string, Landmarks> points_;
};

}  // namespace aikd
