// A training set: images, five landmarks and one quality label each, joined by key; and its division into
// training and validation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "aikd/alignment.h"

namespace aikd {

struct DatasetOptions {
  std::vector<std::string> images;     // folders (files named like images below them) and single files
  std::vector<std::string> lists;      // files with one path a line
  std::string list_root;               // relative paths of lists lie below it; "": below the working folder
  std::string key_root;                // see KeyRule (aikd/dataset_files.h)
  std::vector<std::string> landmarks;  // LandmarkFile each
  std::vector<std::string> labels;     // QualityLabels each
  std::string label_column;            // "": one of the usual names
  // Which folder of a key is the identity: 1 the first, 2 the second, ...; -1 the one that holds the image.
  // A key without that folder is an identity of its own.
  int identity_folder = 1;
  // false: an image with degenerate landmarks is an error; true: it is left out and counted.
  bool drop_degenerate = false;
};

struct DatasetItem {
  std::string path, key, identity;
  Landmarks landmarks;  // pixels of the image
  double label = 0;     // as given, finite
};

struct CountedNames {
  static constexpr std::size_t kExamples = 3;
  std::int64_t count = 0;
  std::vector<std::string> examples;  // the first few
  void add(const std::string& name);
};

struct DatasetReport {
  std::int64_t images = 0;  // found; items.size() of them have all they need
  CountedNames without_label, without_landmarks, degenerate;  // images, by path
  CountedNames labels_without_image;                          // names as the file has them
  std::int64_t labels_not_available = 0;                      // NA in the file
  // One line per thing that is missing, each ended by a newline: "12 images have no label: 'a.jpg', ...".
  std::string to_text() const;
};

// Why five points cannot place a face; "" when they can. With s1 >= s2 the standard deviations of the points
// along their principal axes (the square roots of the eigenvalues of their 2x2 covariance):
//   s1 < 1 pixel         the points coincide as far as a landmark can be told, and Umeyama would blow up
//   noise s2 < 0.05 s1         the points lie on a line: the shape says nothing of what is left and right of
//   it umeyama() refuses    not finite, or no rotation is better than another
// Real detections stay far from it: over 19,868 faces (LFW, CFP with full profiles, VGGFace2) the least
// s1 is 5.7 pixels and the least s2 / s1 is 0.29.
std::string degenerate_landmarks(const Landmarks& points);

class Dataset {
 public:
  // Joins by key. Items are sorted by key, bytewise, so that an item's index does not depend on the order of
  // files. An image's landmarks are those whose name in a landmark file is the longest tail, in whole
  // components, of its key, or else of its path.
  // Error(kUsage), with file and key: a file that cannot be read or understood (landmarks with a wrong count
  // of points, labels that are no finite numbers); two images with one key, two labels with one key, one
  // entry of landmarks that fits two images, one image with different landmarks in two files; degenerate
  // landmarks (unless dropped); no image at all; no image that has both a label and landmarks.
  static Dataset read(const DatasetOptions& options);
  // From parts that are there already (tests, other sources); checks as read() does what can be checked.
  static Dataset make(std::vector<DatasetItem> items);

  const std::vector<DatasetItem>& items() const noexcept { return items_; }
  std::size_t size() const noexcept { return items_.size(); }
  const DatasetReport& report() const noexcept { return report_; }
  std::vector<double> labels(std::span<const std::size_t> indices) const;

 private:
  std::vector<DatasetItem> items_;
  DatasetReport report_;
};

// Indices of items, each ascending; disjoint, together everything, neither empty.
struct Split {
  std::vector<std::size_t> training, validation;
  std::int64_t unknown_identities = 0;  // split_by_list: names in the list that no item has
};

// The original's: items sorted by label, ties by key; places 0, stride, 2 stride, ... are validation (stride
// 100: 1 %). The original wrote int(N / (N p)) for 1/p, which rounding can make 99, and took the difference
// of sets, which needs hashable items (method 3.2, items 3 and 13). Error(kUsage): stride < 2, fewer than 2
// items.
Split split_by_stride(const Dataset& dataset, std::int64_t stride);

// Whole identities: one is validation when u < fraction, u = splitmix64(seed ^ fnv1a64(name)) / 2^64, so that
// an identity keeps its side when others are added. Error(kUsage): fraction outside (0, 1); a side would be
// empty.
Split split_by_identity(const Dataset& dataset, double fraction, std::uint64_t seed);

// Whole identities named in a file, one a line (what follows a tab is ignored: LFW's people files).
// Error(kUsage): the file cannot be read; a side would be empty.
Split split_by_list(const Dataset& dataset, const std::filesystem::path& identities);

}  // namespace aikd
