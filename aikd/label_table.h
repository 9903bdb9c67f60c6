// Tables of quality labels: CSV, TSV, plain text and the original's pickle, read by key; and the pickle
// written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "aikd/dataset_files.h"

namespace aikd {

struct QualityLabel {
  double value = 0;
  std::string name;   // as the file has it
  std::string where;  // "'labels.csv', line 3"
};

// Labels of many images. The format is known by content:
//   CSV or TSV with a header. The name stands in the column path, file, filename, image, image_path, img
//     or name; the label in `column`, or else in label, quality, quality_score, score or utility (case
//     does not matter; exactly one of each list may be there). So the tables of aikd-label and aikd-score
//     are read.
//   CSV or TSV without a header: two fields, name and number.
//   "name number" a line, the last space divides (aikd-score --format plain).
//   Pickle: {name: number}, numbers of Python or numpy, or arrays of one element (the original's
//     diffiqar_baseline_quality.pkl).
// An empty field, NA, N/A, null or None says that there is no label (aikd-label writes NA for an image that
// failed). A label that is NaN or infinite is an error.
class QualityLabels {
 public:
  // Adds the labels of one file. Error(kUsage) names the file, the line or entry and what is wrong; two names
  // with one key, in this file or an earlier one, are an error that tells both.
  void read(const std::filesystem::path& file, const KeyRule& keys, const std::string& column = "");

  const std::unordered_map<std::string, QualityLabel>& by_key() const noexcept { return labels_; }
  // Names that stand for "no label".
  const std::vector<std::string>& not_available() const noexcept { return not_available_; }

 private:
  void add(const KeyRule& keys, const std::string& name, double value, const std::string& where);
  void parse_text(std::string_view text, const std::string& file, const KeyRule& keys,
                  const std::string& column);
  void parse_plain(std::string_view text, const std::string& file, const KeyRule& keys);
  void parse_pickle(std::string_view bytes, const std::string& file, const KeyRule& keys);
  void add_text(const KeyRule& keys, const std::string& name, std::string_view number,
                const std::string& where);

  std::unordered_map<std::string, QualityLabel> labels_;
  std::vector<std::string> not_available_;
};

// The original's label file: {name: float}, Python floats, protocol 4. Names that are not UTF-8 are written
// as Python's "surrogateescape" has them. Names must be unique.
std::vector<std::uint8_t> write_label_pickle(const std::vector<std::pair<std::string, double>>& labels);

}  // namespace aikd
