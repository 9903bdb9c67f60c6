#include "apps/common/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>

namespace aikd::apps {

bool is_terminal(int fd) noexcept {
  return isatty(fd) == 1;
}

int terminal_columns(int fd) noexcept {
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::string format_duration(double seconds) {
  const auto s = static_cast<long long>(std::clamp(seconds, 0.0, 1e9) + 0.5);
  char text[32];
  if (s >= 3600) {
    std::snprintf(text, sizeof text, "%lldh%02lldm", s / 3600, s / 60 % 60);
  } else if (s >= 60) {
    std::snprintf(text, sizeof text, "%lldm%02llds", s / 60, s % 60);
  } else {
    std::snprintf(text, sizeof text, "%llds", s);
  }
  return text;
}

Console::Console(std::string program, bool quiet, bool progress)
    : program_(std::move(program)),
      quiet_(quiet),
      progress_(progress),
      start_(std::chrono::steady_clock::now()) {}

Console::~Console() {
  wipe();
}

void Console::wipe() {
  if (!drawn_) return;
  std::cerr << "\r\x1b[K" << std::flush;
  drawn_ = false;
}

void Console::warn(std::string_view text) {
  wipe();
  std::cerr << program_ << ": " << text << '\n' << std::flush;
}

void Console::note(std::string_view text) {
  if (!quiet_) warn(text);
}

void Console::print(std::string_view text) {
  if (quiet_) return;
  wipe();
  std::cerr << text << std::flush;
}

bool Console::is_time_to_draw(bool last) {
  if (!progress_) return false;
  const auto now = std::chrono::steady_clock::now();
  if (!last && now - last_ < std::chrono::milliseconds(100)) return false;
  last_ = now;
  return true;
}

void Console::draw(std::string line) {
  const auto columns = static_cast<std::size_t>(std::max(20, terminal_columns(STDERR_FILENO) - 1));
  if (line.size() > columns) line.resize(columns);
  std::cerr << '\r' << line << "\x1b[K" << std::flush;
  drawn_ = true;
}

void Console::progress_line(std::string_view line, bool last) {
  if (is_time_to_draw(last)) draw(std::string(line));
}

void Console::progress(std::int64_t done, std::optional<std::int64_t> total, std::int64_t failed) {
  if (!is_time_to_draw(total.has_value() && done == *total)) return;
  const double seconds = std::chrono::duration<double>(last_ - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  char text[160];
  std::string line;
  if (total.has_value() && *total > 0) {
    constexpr int kWidth = 24;
    const int filled = static_cast<int>(done * kWidth / *total);
    line += '[';
    line.append(static_cast<std::size_t>(filled), '#').append(static_cast<std::size_t>(kWidth - filled), '.');
    line += "]  ";
    const double left = rate > 0 ? static_cast<double>(*total - done) / rate : 0;
    std::snprintf(text, sizeof text, "%lld/%lld  %.1f/s  ETA %s", static_cast<long long>(done),
                  static_cast<long long>(*total), rate, rate > 0 ? format_duration(left).c_str() : "?");
  } else {
    std::snprintf(text, sizeof text, "%lld  %.1f/s", static_cast<long long>(done), rate);
  }
  line += text;
  if (failed > 0) line += "  " + std::to_string(failed) + " failed";
  draw(std::move(line));
}

void Console::finish_progress() {
  wipe();
}

}  // namespace aikd::apps
