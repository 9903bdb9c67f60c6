// Messages on stderr and the progress bar, which share one line of the terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace aikd::apps {

bool is_terminal(int fd) noexcept;
int terminal_columns(int fd) noexcept;  // 80 where it cannot be told

// "1h02m", "3m20s", "12s"
std::string format_duration(double seconds);

// A bar with done/total, rate and time left, redrawn at most ten times a second; without a total it shows the
// count and the rate. `enabled` false: prints nothing.
class Console {
 public:
  Console(std::string program, bool quiet, bool progress);
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  // "<program>: <text>\n" on stderr; note() is silenced by quiet, warn() is not. The bar is redrawn after it.
  void note(std::string_view text);
  void warn(std::string_view text);
  // Text of its own (a table), unless quiet.
  void print(std::string_view text);

  void progress(std::int64_t done, std::optional<std::int64_t> total, std::int64_t failed);
  // A line of one's own in the bar's place.
  void progress_line(std::string_view line, bool last);
  void finish_progress();  // wipes the bar

 private:
  void wipe();
  bool is_time_to_draw(bool last);
  void draw(std::string line);

  std::string program_;
  bool quiet_, progress_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_, last_;
};

}  // namespace aikd::apps
