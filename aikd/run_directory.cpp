#include "aikd/run_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "io/atomic_file.h"
#include "io/table.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr const char* kMarker = "run.json";
constexpr const char* kLock = "lock";
constexpr std::string_view kFormat = "aikd-train-run";
// Everything a run makes; --overwrite removes these and nothing else.
constexpr std::string_view kOwn[] = {RunDirectory::kConfig,
                                     RunDirectory::kMetrics,
                                     RunDirectory::kValidation,
                                     RunDirectory::kEvents,
                                     "checkpoint-next.safetensors",
                                     "checkpoint-last.safetensors",
                                     "checkpoint-previous.safetensors",
                                     "checkpoint-best.safetensors",
                                     RunDirectory::kBest,
                                     RunDirectory::kLast,
                                     RunDirectory::kReport,
                                     RunDirectory::kInvariance,
                                     kMarker};

std::string quoted(const fs::path& path) {
  return io::in_quotes(path.string(), 1000);
}

void write_whole(const fs::path& path, const std::string& text) {
  io::AtomicFile file(path);
  file.write(text.data(), text.size());
  file.commit();
}

// Whether the folder says that it is a run.
bool is_run(const fs::path& folder) {
  std::ifstream in(folder / kMarker, std::ios::binary);
  if (!in) return false;
  const ordered_json marker = ordered_json::parse(in, nullptr, false);
  return marker.is_object() && marker.value("format", "") == kFormat;
}

bool whole_step(const ordered_json& row) {
  return row.is_object() && row.contains("step") && row["step"].is_number_integer();
}

}  // namespace

RunDirectory::RunDirectory(const fs::path& path, bool overwrite) : path_(path) {
  require(!path.empty(), ErrorKind::kUsage, "A training run needs a directory; its name is empty.");
  std::error_code error;
  fs::create_directories(path, error);
  require(fs::is_directory(path), ErrorKind::kOutput, "The run directory ", quoted(path),
          " cannot be made: ", error ? error.message() : "something else has that name", ".");
  bool empty = true;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, error))
    empty = empty && (entry.path().filename() == kLock ||
                      entry.path().filename().string().starts_with(concat(kMarker, ".tmp-")));
  require(!error, ErrorKind::kOutput, "The run directory ", quoted(path),
          " cannot be listed: ", error.message(), ".");
  existed_ = is_run(path);
  require(empty || existed_, ErrorKind::kUsage, "The directory ", quoted(path),
          " holds something that is not a training run (it has no ", kMarker,
          " of one); name another, or an empty one.");
  lock();
  try {
    remove_leftovers();
    if (existed_ && overwrite) clear();
    existed_ = existed_ && !overwrite;
    if (!existed_)
      write_whole(file(kMarker), ordered_json{{"format", kFormat}, {"version", 1}}.dump() + "\n");
  } catch (...) {
    ::close(lock_);
    throw;
  }
}

RunDirectory::~RunDirectory() {
  if (lock_ >= 0) ::close(lock_);  // which unlocks it
}

// The lock goes with the process, however it ends.
void RunDirectory::lock() {
  lock_ = ::open(file(kLock).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  require(lock_ >= 0, ErrorKind::kOutput, "The run directory ", quoted(path_),
          " cannot be written: ", std::strerror(errno), ".");
  if (::flock(lock_, LOCK_EX | LOCK_NB) == 0) return;
  const int error = errno;
  if (error == ENOLCK || error == EOPNOTSUPP || error == EINVAL) return;  // a file system without locks
  ::close(std::exchange(lock_, -1));
  fail(ErrorKind::kUsage, "Another process trains in the directory ", quoted(path_),
       "; wait for it, stop it, or name another directory.");
}

void RunDirectory::clear() {
  for (const std::string_view name : kOwn) {
    std::error_code error;
    fs::remove(file(name), error);
    require(!error, ErrorKind::kOutput, "The file ", quoted(file(name)),
            " of the run before cannot be removed: ", error.message(), ".");
  }
}

// A process that was killed leaves "<name>.tmp-<process>-<number>" (io/atomic_file.h), a checkpoint perhaps.
void RunDirectory::remove_leftovers() {
  std::vector<fs::path> found;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_, error)) {
    const std::string name = entry.path().filename().string();
    for (const std::string_view own : kOwn)
      if (name.starts_with(concat(own, ".tmp-"))) found.push_back(entry.path());
  }
  for (const fs::path& leftover : found) fs::remove(leftover, error);
}

void RunDirectory::save_config(const std::string& yaml) {
  write_whole(file(kConfig), yaml);
}

std::vector<std::string> RunDirectory::open_logs(std::int64_t step, bool tensorboard, double wall_time) {
  require(!metrics_.file.is_open(), ErrorKind::kInternal, "The logs of a run are opened twice.");
  std::vector<std::string> notes;
  open_log(metrics_, kMetrics, step, notes);
  open_log(validation_, kValidation, step, notes);
  if (!tensorboard) return notes;
  events_.emplace(file(kEvents), step, wall_time);
  if (!events_->damage().empty()) {
    notes.push_back(concat("The event file ", quoted(file(kEvents)), " was cut where it was damaged; ",
                           kMetrics, " has its numbers. ", events_->damage()));
  }
  return notes;
}

void RunDirectory::open_log(Log& log, const char* name, std::int64_t step, std::vector<std::string>& notes) {
  std::uint64_t keep = 0;
  if (fs::exists(file(name))) {
    const RunRows found = read_rows(file(name));
    for (std::size_t i = 0; i < found.rows.size(); ++i) {
      const auto at = found.rows[i]["step"].get<std::int64_t>();
      if (at > step) break;
      keep = found.ends[i];
      log.last_step = at;
    }
    if (found.unreadable > 0) {
      notes.push_back(concat(quoted(file(name)), " has ", found.unreadable,
                             " lines that are no rows; they are passed over."));
    }
  }
  log.file = io::AppendFile(file(name), keep);
}

void RunDirectory::log_metrics(const ordered_json& row, double wall_time) {
  append(metrics_, kMetrics, "train", row, wall_time);
}
void RunDirectory::log_validation(const ordered_json& row, double wall_time) {
  append(validation_, kValidation, "validation", row, wall_time);
}

void RunDirectory::append(Log& log, const char* name, std::string_view prefix, const ordered_json& row,
                          double wall_time) {
  require(whole_step(row), ErrorKind::kInternal, "A row of ", name, " needs a whole number \"step\".");
  const auto step = row["step"].get<std::int64_t>();
  require(step >= log.last_step, ErrorKind::kInternal, "A row of ", name, " for step ", step,
          " follows one for step ", log.last_step, ".");
  log.file.append(row.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n");
  log.last_step = step;
  if (!events_) return;
  std::vector<io::TensorboardScalar> scalars;
  for (const auto& [key, value] : row.items())
    if (key != "step" && value.is_number())
      scalars.push_back({concat(prefix, "/", io::displayable_utf8(key)), value.get<float>()});
  events_->write(wall_time, step, std::move(scalars));
}

void RunDirectory::sync() {
  metrics_.file.sync();
  validation_.file.sync();
  if (events_) events_->sync();
}

RunRows read_rows(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  require(static_cast<bool>(in), ErrorKind::kInput, "The log ", quoted(path),
          " cannot be opened: ", std::strerror(errno), ".");
  RunRows result;
  std::uint64_t end = 0;
  for (std::string line; std::getline(in, line);) {
    end += line.size();
    if (in.eof()) {  // no newline
      result.torn = true;
      break;
    }
    ++end;
    ordered_json row = ordered_json::parse(line, nullptr, false);
    if (whole_step(row)) {
      result.rows.push_back(std::move(row));
      result.ends.push_back(end);
    } else {
      ++result.unreadable;
    }
  }
  require(!in.bad(), ErrorKind::kInput, "The log ", quoted(path), " cannot be read.");
  return result;
}

std::vector<std::pair<double, double>> row_curve(const std::vector<ordered_json>& rows,
                                                 std::string_view name) {
  std::vector<std::pair<double, double>> curve;
  for (const ordered_json& row : rows) {
    const auto found = row.find(std::string(name));
    if (found == row.end() || !(found->is_number() || found->is_null())) continue;
    curve.emplace_back(row["step"].get<double>(),
                       found->is_null() ? std::numeric_limits<double>::quiet_NaN() : found->get<double>());
  }
  return curve;
}

ProgressFacts progress_facts(const Progress& p) noexcept {
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  ProgressFacts facts;
  facts.share = p.total_steps > 0 ? static_cast<double>(p.step) / static_cast<double>(p.total_steps) : 0;
  const bool measured = p.window_steps > 0 && p.window_seconds > 0;
  facts.images_per_second = measured ? static_cast<double>(p.window_images) / p.window_seconds : kUnknown;
  facts.seconds_left = p.step >= p.total_steps ? 0
                       : measured ? static_cast<double>(p.total_steps - p.step) * p.window_seconds /
                                        static_cast<double>(p.window_steps)
                                  : kUnknown;
  return facts;
}

std::string progress_line(const Progress& p) {
  const ProgressFacts facts = progress_facts(p);
  return concat("step ", p.step, "/", p.total_steps, " (", io::format_fixed(100 * facts.share, 1), " %), ",
                std::isnan(facts.images_per_second) ? "-" : io::format_fixed(facts.images_per_second, 1),
                " images/s, ETA ", duration_text(facts.seconds_left));
}

std::string duration_text(double seconds) {
  if (!(seconds < 1e12)) return "-";  // also NaN
  const auto all = static_cast<std::int64_t>(std::llround(std::max(0.0, seconds)));
  const auto two = [](std::int64_t n) { return concat(n < 10 ? "0" : "", n); };
  const std::int64_t days = all / 86400, hours = all / 3600 % 24, minutes = all / 60 % 60;
  if (days > 0)
    return concat(days, days == 1 ? " day " : " days ", two(hours), ":", two(minutes), ":", two(all % 60));
  if (hours > 0) return concat(hours, ":", two(minutes), ":", two(all % 60));
  return concat(minutes, ":", two(all % 60));
}

}  // namespace aikd
