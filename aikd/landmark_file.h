// Landmarks of many images from one file: CSV, JSON, or the original's pickle.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "aikd/alignment.h"

namespace aikd {

// The format is known by content. CSV or TSV (RFC 4180, UTF-8 with or without byte order mark): a header with
// the columns path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry in any order; other columns, such as score, are ignored.
// JSON:
// {"path": points, ...} or [{"path": ..., "landmarks": points}, ...], points = [[x,y] x5] or 10 numbers
// x,y,x,y,... Pickle (the original's landmarks_data.pkl): {name: v} where v or v[1] is a 5x2 array, list or
// tuple. A JSON null or pickled None in the place of points is a face that was not found: no entry.
//
// Coordinates are pixels and must be finite. Paths must be unique once "./", "//" and "a/../" are removed.
class LandmarkFile {
 public:
  // Error(kInput) names the file, the line or the entry, and what is wrong.
  static LandmarkFile read(const std::filesystem::path& path);
  // The same from memory; `name` stands for the file in messages.
  static LandmarkFile parse(std::span<const std::uint8_t> bytes, const std::string& name);

  std::size_t size() const noexcept { return points_.size(); }
  // The entry whose key is the longest tail of whole components of `image_path`: an image given as
  // "data/lfw/images/A/A_0001.jpg" finds the key "A/A_0001.jpg". Exact matches first.
  std::optional<Landmarks> find(const std::filesystem::path& image_path) const;

 private:
  std::unordered_map<std::string, Landmarks> points_;
};

}  // namespace aikd
