// What is known of one image after scoring, and how it is written: the row of a table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace aikd {

enum class ScoreStatus {
  kOk,
  kUnreadable,    // does not exist, is a folder, cannot be opened or read
  kUnsupported,   // the content is not an image format this program knows
  kTruncated,     // the file is empty or ends too early
  kCorrupt,       // the decoder refuses the content
  kTooLarge,      // more pixels, bytes or JPEG scans than the limits allow
  kNoLandmarks,   // a landmark file was given and has no entry for this image
  kBadLandmarks,  // its landmarks coincide or are not finite
  kNonFinite,     // the network's output is not a finite number
  kFailed,        // anything else, such as too little memory for this image
};
inline constexpr ScoreStatus kAllStatuses[] = {
    ScoreStatus::kOk,        ScoreStatus::kUnreadable, ScoreStatus::kUnsupported, ScoreStatus::kTruncated,
    ScoreStatus::kCorrupt,   ScoreStatus::kTooLarge,   ScoreStatus::kNoLandmarks, ScoreStatus::kBadLandmarks,
    ScoreStatus::kNonFinite, ScoreStatus::kFailed};
std::string_view name_of(ScoreStatus status) noexcept;   // "ok", "too-large", ...
std::string_view describe(ScoreStatus status) noexcept;  // one line for --help
std::optional<ScoreStatus> status_from_name(std::string_view name) noexcept;

struct ScoreRow {
  std::string path;  // as given, any bytes
  float score = std::numeric_limits<float>::quiet_NaN();
  double mapped = std::numeric_limits<double>::quiet_NaN();  // 0..100; NaN without a mapping
  ScoreStatus status = ScoreStatus::kFailed;
  std::string error;          // a sentence unless ok
  int width = 0, height = 0;  // after EXIF orientation; 0 when not decoded
  bool aligned = false;       // by landmarks (else resized)
  double ms = 0;              // decoding and pre-processing, plus its share of the batch's network time

  bool ok() const noexcept { return status == ScoreStatus::kOk; }
};

enum class RowFormat {
  kCsv,
  kTsv,
  kJsonl,
  kPlain,   // "path score"; a path with a newline or backslash is written as sha256sum does: the line starts
            // with a backslash and the path has \n and \\ for them
  kPickle,  // the original's quality-scores.pkl, written as a whole at the end
  kBare,    // the score alone
};
std::optional<RowFormat> row_format_from_name(std::string_view name) noexcept;
std::string_view name_of(RowFormat format) noexcept;

inline constexpr std::string_view kRowHeader = "path,score,mapped,status,error,width,height,aligned,ms";

struct RowStyle {
  RowFormat format = RowFormat::kCsv;
  std::string missing = "NA";  // for score and mapped of a failed row; a number for old consumers
  bool with_time = true;       // false: NA in the column ms, so that two runs give the same bytes
  std::string model_sha256;    // in every JSON line
};

// Numbers: score as the shortest decimal that reads back as the same float32, mapped and ms with two
// decimals, aligned 1 or 0; NA (JSON: null) where there is no value. The header is empty for formats without
// one.
std::string row_header(const RowStyle& style);
std::string format_row(const ScoreRow& row, const RowStyle& style);

// Reads a table written by format_row (CSV, TSV, JSONL), calling `row` for each complete row with its bytes'
// range in the file. Returns the offset behind the last complete row (or header): what follows was cut off
// while being written. Error(kUsage) for a file that is not such a table.
struct ReadRow {
  ScoreRow row;
  std::string model_sha256;  // JSONL only
  std::size_t begin = 0, end = 0;
};
std::size_t read_rows(const std::filesystem::path& path, RowFormat format,
                      const std::function<void(const ReadRow&)>& row);

}  // namespace aikd
