// The directory of a training run: made or gone on with, locked, its logs appended row by row and cut back to
// the step of the checkpoint that is resumed.
//
//   run.json               marks the directory as a run's
//   config.yaml            the resolved configuration (aikd-train -c reads it)
//   metrics.jsonl          one row per log interval: {"step": s, ...}
//   validation.jsonl       one row per validation
//   events.out.tfevents.aikd   the same numbers for TensorBoard, on request
//   checkpoint-*.safetensors   aikd/checkpoint.h
//   best.safetensors, last.safetensors   models that aikd-score reads
//   report.html, invariance.csv
//
// A row of "step": s tells of the time when s steps had been taken. Rows of step s are written before the
// checkpoint of step s; so a resumed run drops what is above its checkpoint and writes the same rows again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/append_file.h"
#include "io/tensorboard.h"

namespace aikd {

class RunDirectory {
 public:
  // A folder that is not there, or empty, becomes a new run; a run is gone on with, or, with `overwrite`,
  // emptied of the files above (others stay). Left-overs of interrupted writes are removed. Error(kUsage):
  // the folder holds something else; another process trains there. Error(kOutput): it cannot be made or
  // written.
  RunDirectory(const std::filesystem::path& path, bool overwrite);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::filesystem::path& path() const noexcept { return path_; }
  std::filesystem::path file(std::string_view name) const { return path_ / name; }
  bool existed() const noexcept { return existed_; }  // there was a run that is gone on with
  void save_config(const std::string& yaml);          // whole or not at all. Error(kOutput)

  // Opens the logs: rows of steps above `step`, the checkpoint's, are dropped, as is a torn last line; -1 for
  // a run without a checkpoint drops all. Returns sentences about what was found damaged. Call once.
  std::vector<std::string> open_logs(std::int64_t step, bool tensorboard, double wall_time);

  // One line each, whole or not at all. Needs an integer "step" that is not below the last one's; numbers
  // that are not finite become null, bytes that are not UTF-8 U+FFFD. With TensorBoard open every number of
  // the row but "step" becomes a scalar "<prefix>/<name>" (prefix "train" or "validation"). A failure,
  // Error(kOutput), leaves every row before it.
  void log_metrics(const nlohmann::ordered_json& row, double wall_time);
  void log_validation(const nlohmann::ordered_json& row, double wall_time);
  // Before a checkpoint is saved, so that its rows are on the disk when it is. Error(kOutput).
  void sync();

  static constexpr const char* kConfig = "config.yaml";
  static constexpr const char* kMetrics = "metrics.jsonl";
  static constexpr const char* kValidation = "validation.jsonl";
  static constexpr const char* kEvents = "events.out.tfevents.aikd";
  static constexpr const char* kBest = "best.safetensors";
  static constexpr const char* kLast = "last.safetensors";
  static constexpr const char* kReport = "report.html";
  static constexpr const char* kInvariance = "invariance.csv";

 private:
  struct Log {
    io::AppendFile file;
    std::int64_t last_step = 0;
  };
  void lock();
  void clear();
  void remove_leftovers();
  void open_log(Log& log, const char* name, std::int64_t step, std::vector<std::string>& notes);
  void append(Log& log, const char* name, std::string_view prefix, const nlohmann::ordered_json& row,
              double wall_time);

  std::filesystem::path path_;
  int lock_ = -1;
  bool existed_ = false;
  Log metrics_, validation_;
  std::optional<io::TensorboardWriter> events_;
};

// Rows of a JSONL file, in order. Lines that are no JSON objects with a whole "step" are left out and
// counted; a last line without its newline is torn and not counted. Error(kInput): it cannot be read.
struct RunRows {
  std::vector<nlohmann::ordered_json> rows;
  std::vector<std::uint64_t> ends;  // offset behind each row's newline
  std::int64_t unreadable = 0;
  bool torn = false;
};
RunRows read_rows(const std::filesystem::path& path);

// (step, value) of every row that has the number `name`; null (NaN, infinity) gives NaN.
std::vector<std::pair<double, double>> row_curve(const std::vector<nlohmann::ordered_json>& rows,
                                                 std::string_view name);

// What a progress line says.
struct Progress {
  std::int64_t step = 0, total_steps = 0;  // taken; of the whole run
  std::int64_t window_steps = 0;           // taken in the last window_seconds (a minute or so, so that the
  std::int64_t window_images = 0;          // estimate follows the machine), and images in them
  double window_seconds = 0;
};
struct ProgressFacts {
  double share = 0;              // of the steps, 0..1
  double images_per_second = 0;  // NaN when nothing was measured
  double seconds_left = 0;       // NaN when nothing was measured
};
ProgressFacts progress_facts(const Progress& progress) noexcept;
// "step 120/4800 (2.5 %), 312.4 images/s, ETA 2:31:05"; "-" for what is not known yet.
std::string progress_line(const Progress& progress);
// "0:07", "12:04", "2:31:05", "3 days 01:00:00"; "-" for NaN. Negative counts as 0.
std::string duration_text(double seconds);

}  // namespace aikd
