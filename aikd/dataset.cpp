#include "aikd/dataset.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "aikd/dataset_files.h"
#include "aikd/label_table.h"
#include "aikd/landmark_file.h"
#include "io/table.h"
#include "io/text.h"
#include "tensor/error.h"
#include "tensor/random.h"

namespace aikd {
namespace fs = std::filesystem;
namespace {

std::string shown(const std::string& path) {
  return io::in_quotes(path, 1000);
}

std::string identity_of(const std::string& key, int folder) {
  std::vector<std::size_t> slashes;
  for (std::size_t at = key.find('/'); at != std::string::npos; at = key.find('/', at + 1))
    slashes.push_back(at);
  const auto count = static_cast<int>(slashes.size());
  const int index = folder > 0 ? folder - 1 : count + folder;
  if (index < 0 || index >= count) return key;
  const auto i = static_cast<std::size_t>(index);
  const std::size_t begin = i == 0 ? 0 : slashes[i - 1] + 1;
  return key.substr(begin, slashes[i] - begin);
}

// The landmark files of a dataset, and which of their entries were taken by which image.
class AllLandmarks {
 public:
  explicit AllLandmarks(const std::vector<std::string>& paths) : paths_(paths) {
    for (const std::string& path : paths) {
      try {
        files_.push_back(LandmarkFile::read(path));
      } catch (const Error& error) {
        throw Error(error.kind() == ErrorKind::kInput ? ErrorKind::kUsage : error.kind(), error.what());
      }
    }
  }

  struct Found {
    Landmarks points;
    std::size_t file = 0;
  };
  std::optional<Found> find(const std::string& key, const std::string& path) {
    std::optional<Found> found;
    for (std::size_t i = 0; i < files_.size(); ++i) {
      std::optional<Landmarks> points = files_[i].find(key);
      if (points.has_value()) {
        claim(i, key, *points, path);
      } else {
        points = files_[i].find(path);
        if (points.has_value()) claim(i, fs::path(path).lexically_normal().generic_string(), *points, path);
      }
      if (!points.has_value()) continue;
      require(!found.has_value() || found->points == *points, ErrorKind::kUsage, "The image ", shown(path),
              " has landmarks in ", shown(paths_[found ? found->file : 0]), " and other ones in ",
              shown(paths_[i]), "; give one of the files.");
      if (!found.has_value()) found = Found{*points, i};
    }
    return found;
  }

 private:
  // Notes the entry by its name: the shortest tail of `name` under which the same points are found. The
  // whole name is a key of its own and needs no note.
  void claim(std::size_t file, const std::string& name, const Landmarks& points, const std::string& path) {
    for (std::size_t slash = name.rfind('/'); slash != std::string::npos && slash > 0;
         slash = name.rfind('/', slash - 1)) {
      const std::string tail = name.substr(slash + 1);
      if (files_[file].find(tail) != points) continue;
      const auto [at, is_new] = taken_.try_emplace(std::to_string(file) + '/' + tail, path);
      require(is_new, ErrorKind::kUsage, "The landmarks ", shown(tail), " of ", shown(paths_[file]),
              " fit both ", shown(at->second), " and ", shown(path),
              "; name the images in that file by more of their path.");
      return;
    }
  }

  const std::vector<std::string>& paths_;
  std::vector<LandmarkFile> files_;
  std::unordered_map<std::string, std::string> taken_;  // "file number/name" -> image
};

std::vector<std::string> image_paths(const DatasetOptions& options, std::vector<std::string>& folders) {
  std::vector<std::string> paths;
  for (const std::string& input : options.images) {
    std::error_code ignored;
    if (!fs::is_directory(input, ignored)) {
      paths.push_back(input);
      continue;
    }
    folders.push_back(input);
    std::vector<std::string> found = list_images(input);
    paths.insert(paths.end(), std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
  }
  if (!options.list_root.empty()) folders.push_back(options.list_root);
  for (const std::string& list : options.lists)
    for (std::string& path : read_path_list(list, options.list_root)) paths.push_back(std::move(path));
  return paths;
}

// Sorts by key; two images with one key are an error.
void sort_by_key(std::vector<DatasetItem>& items) {
  std::sort(items.begin(), items.end(), [](const DatasetItem& a, const DatasetItem& b) {
    return a.key != b.key ? a.key < b.key : a.path < b.path;
  });
  for (std::size_t i = 1; i < items.size(); ++i)
    require(items[i - 1].key != items[i].key, ErrorKind::kUsage, "The images ", shown(items[i - 1].path),
            " and ", shown(items[i].path), " have the same key ", shown(items[i].key), ".");
}

void describe(std::string& out, const CountedNames& names, const char* one, const char* many) {
  if (names.count == 0) return;
  out += concat(names.count, names.count == 1 ? one : many, ": ");
  for (std::size_t i = 0; i < names.examples.size(); ++i)
    out += (i == 0 ? "" : ", ") + io::in_quotes(names.examples[i], 300);
  out += names.count > static_cast<std::int64_t>(names.examples.size()) ? ", ...\n" : "\n";
}

std::string in_one_line(std::string text) {
  for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at))
    text.replace(at, 1, at + 1 == text.size() ? "." : "; ");
  return text;
}

}  // namespace

void CountedNames::add(const std::string& name) {
  ++count;
  if (examples.size() < kExamples) examples.push_back(name);
}

std::string DatasetReport::to_text() const {
  std::string out;
  describe(out, without_label, " image has no label", " images have no label");
  describe(out, without_landmarks, " image has no landmarks", " images have no landmarks");
  describe(out, degenerate, " image has degenerate landmarks and is left out",
           " images have degenerate landmarks and are left out");
  describe(out, labels_without_image, " label has no image", " labels have no image");
  if (labels_not_available > 0)
    out += concat(labels_not_available, labels_not_available == 1 ? " label is" : " labels are",
                  " marked as not available\n");
  return out;
}

std::string degenerate_landmarks(const Landmarks& points) {
  double mean_x = 0, mean_y = 0;
  for (const Point& p : points) {
    if (!std::isfinite(p.x) || !std::isfinite(p.y)) return "a coordinate is not a finite number";
    mean_x += p.x / 5;
    mean_y += p.y / 5;
  }
  double xx = 0, xy = 0, yy = 0;
  for (const Point& p : points) {
    const double dx = p.x - mean_x, dy = p.y - mean_y;
    xx += dx * dx / 5;
    xy += dx * dy / 5;
    yy += dy * dy / 5;
  }
  // Eigenvalues of [xx xy; xy yy].
  const double middle = (xx + yy) / 2, half = std::hypot((xx - yy) / 2, xy);
  const double s1 = std::sqrt(middle + half), s2 = std::sqrt(std::max(0.0, middle - half));
  constexpr double kLeastSpread = 1.0, kLeastRatio = 0.05;
  if (!(s1 >= kLeastSpread))
    return concat("the five points coincide: they spread by ", io::format_fixed(s1, 3),
                  " pixels, at least 1 is needed");
  if (!(s2 >= kLeastRatio * s1))
    return concat("the five points lie on a line: they spread by ", io::format_fixed(s1, 3),
                  " pixels along it and ", io::format_fixed(s2, 3), " across");
  try {
    umeyama(points);
  } catch (const Error&) {
    return "the five points do not resemble a face";
  }
  return "";
}

Dataset Dataset::read(const DatasetOptions& options) {
  require(
      options.identity_folder != 0, ErrorKind::kUsage,
      "The identity folder must be 1, 2, ... from the front of a key or -1, -2, ... from its end; got 0.");
  std::vector<std::string> folders;
  const std::vector<std::string> paths = image_paths(options, folders);
  require(!paths.empty(), ErrorKind::kUsage, "The dataset is empty: ",
          options.images.empty() && options.lists.empty()
              ? std::string("no image folder or list was given.")
              : concat("no image was found in ",
                       shown(options.images.empty() ? options.lists.front() : options.images.front()), "."));
  const KeyRule keys(folders, options.key_root);
  Dataset dataset;
  dataset.report_.images = static_cast<std::int64_t>(paths.size());
  std::vector<DatasetItem> items(paths.size());
  for (std::size_t i = 0; i < paths.size(); ++i) {
    items[i].path = paths[i];
    items[i].key = keys.image_key(paths[i]);
  }
  sort_by_key(items);

  QualityLabels labels;
  for (const std::string& file : options.labels) labels.read(file, keys, options.label_column);
  dataset.report_.labels_not_available = static_cast<std::int64_t>(labels.not_available().size());
  AllLandmarks landmarks(options.landmarks);

  std::unordered_set<const QualityLabel*> used;
  for (DatasetItem& item : items) {
    const auto label = labels.by_key().find(item.key);
    const bool has_label = label != labels.by_key().end();
    if (has_label) used.insert(&label->second);
    const auto found = landmarks.find(item.key, item.path);
    if (!has_label) dataset.report_.without_label.add(item.path);
    if (!found.has_value()) dataset.report_.without_landmarks.add(item.path);
    if (!has_label || !found.has_value()) continue;
    if (const std::string why = degenerate_landmarks(found->points); !why.empty()) {
      require(options.drop_degenerate, ErrorKind::kUsage, "The landmarks of ", shown(item.key), " in ",
              shown(options.landmarks[found->file]), " are degenerate: ", why, ".");
      dataset.report_.degenerate.add(item.path);
      continue;
    }
    item.identity = identity_of(item.key, options.identity_folder);
    item.landmarks = found->points;
    item.label = label->second.value;
    dataset.items_.push_back(std::move(item));
  }
  std::vector<std::string> without_image;
  for (const auto& [key, label] : labels.by_key())
    if (!used.contains(&label)) without_image.push_back(label.name);
  std::sort(without_image.begin(), without_image.end());
  for (const std::string& name : without_image) dataset.report_.labels_without_image.add(name);
  require(!dataset.items_.empty(), ErrorKind::kUsage, "The dataset is empty: none of its ", paths.size(),
          paths.size() == 1 ? " image" : " images", " has both a label and landmarks. ",
          in_one_line(dataset.report_.to_text()));
  return dataset;
}

Dataset Dataset::make(std::vector<DatasetItem> items) {
  Dataset dataset;
  dataset.report_.images = static_cast<std::int64_t>(items.size());
  require(!items.empty(), ErrorKind::kUsage, "The dataset is empty: no image was given.");
  for (const DatasetItem& item : items) {
    require(std::isfinite(item.label), ErrorKind::kUsage, "The label of ", shown(item.key), " is ",
            io::format_number(item.label), ", not a finite number.");
    const std::string why = degenerate_landmarks(item.landmarks);
    require(why.empty(), ErrorKind::kUsage, "The landmarks of ", shown(item.key), " are degenerate: ", why,
            ".");
  }
  dataset.items_ = std::move(items);
  sort_by_key(dataset.items_);
  return dataset;
}

std::vector<double> Dataset::labels(std::span<const std::size_t> indices) const {
  std::vector<double> out;
  out.reserve(indices.size());
  for (const std::size_t i : indices) out.push_back(items_.at(i).label);
  return out;
}

namespace {

constexpr const char* kIdentityAdvice =
    " (The identity is a folder of an image's key; choose which by the identity folder.)";

// Items whose identity is held out are validation.
template <class HeldOut>
Split split_identities(const Dataset& dataset, const HeldOut& held_out) {
  Split split;
  for (std::size_t i = 0; i < dataset.size(); ++i)
    (held_out(dataset.items()[i].identity) ? split.validation : split.training).push_back(i);
  return split;
}

std::size_t identities_of(const Dataset& dataset) {
  std::unordered_set<std::string_view> names;
  for (const DatasetItem& item : dataset.items()) names.insert(item.identity);
  return names.size();
}

// FNV-1a, 64 bits (Fowler, Noll, Vo).
std::uint64_t fnv1a64(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

}  // namespace

Split split_by_stride(const Dataset& dataset, std::int64_t stride) {
  require(stride >= 2, ErrorKind::kUsage, "The validation stride must be at least 2, got ", stride,
          ": every image would be validation and none training.");
  require(dataset.size() >= 2, ErrorKind::kUsage,
          "The dataset has 1 image; training and validation need at least one each.");
  std::vector<std::size_t> order(dataset.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  // Items are sorted by key, so a stable sort breaks ties by key.
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return dataset.items()[a].label < dataset.items()[b].label;
  });
  Split split;
  for (std::size_t place = 0; place < order.size(); ++place)
    (place % static_cast<std::size_t>(stride) == 0 ? split.validation : split.training)
        .push_back(order[place]);
  std::sort(split.validation.begin(), split.validation.end());
  std::sort(split.training.begin(), split.training.end());
  return split;
}

Split split_by_identity(const Dataset& dataset, double fraction, std::uint64_t seed) {
  require(fraction > 0 && fraction < 1, ErrorKind::kUsage,
          "The fraction of held-out identities must lie between 0 and 1, got ", io::format_number(fraction),
          ".");
  Split split = split_identities(dataset, [&](const std::string& name) {
    return static_cast<double>(splitmix64(seed ^ fnv1a64(name)) >> 11) * 0x1p-53 < fraction;
  });
  require(!split.validation.empty() && !split.training.empty(), ErrorKind::kUsage, "Holding out ",
          io::format_number(fraction), " of the identities leaves nothing for ",
          split.validation.empty() ? "validation" : "training", ": there are ", identities_of(dataset),
          " identities, such as ", shown(dataset.items().front().identity), ".", kIdentityAdvice);
  return split;
}

Split split_by_list(const Dataset& dataset, const fs::path& identities) {
  std::unordered_set<std::string> names;
  for (std::string line : read_path_list(identities.string(), "")) {
    line.resize(std::min(line.size(), line.find('\t')));
    if (!line.empty()) names.insert(std::move(line));
  }
  std::unordered_set<std::string> seen;
  Split split = split_identities(dataset, [&](const std::string& name) {
    const bool held_out = names.contains(name);
    if (held_out) seen.insert(name);
    return held_out;
  });
  split.unknown_identities = static_cast<std::int64_t>(names.size() - seen.size());
  require(!split.validation.empty(), ErrorKind::kUsage, "None of the ", names.size(), " identities of ",
          shown(identities.string()), " is in the dataset, whose ", identities_of(dataset),
          " identities are named like ", shown(dataset.items().front().identity), ".", kIdentityAdvice);
  require(!split.training.empty(), ErrorKind::kUsage, "All ", identities_of(dataset),
          " identities of the dataset are held out by ", shown(identities.string()),
          "; none is left for training.", kIdentityAdvice);
  return split;
}

}  // namespace aikd
