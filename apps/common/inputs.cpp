#include "apps/common/inputs.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "apps/common/signals.h"
#include "tensor/error.h"

namespace aikd::apps {
namespace fs = std::filesystem;
namespace {

// One path of a list; a carriage return before the newline (a list made on Windows) is not part of the name.
std::string list_entry(std::string line, bool nul_separated) {
  if (!nul_separated && !line.empty() && line.back() == '\r') line.pop_back();
  return line;
}

}  // namespace

// Reads standard input as it comes; waits in short steps so that a signal is noticed.
class InputFiles::StdinList {
 public:
  StdinList(bool nul_separated, const std::atomic<bool>& cancelled)
      : separator_(nul_separated ? '\0' : '\n'), cancelled_(cancelled) {}

  std::optional<std::string> next() {
    for (;;) {
      const std::size_t end = buffer_.find(separator_, begin_);
      if (end != std::string::npos || (ended_ && begin_ < buffer_.size())) {
        std::string line = buffer_.substr(begin_, end == std::string::npos ? end : end - begin_);
        begin_ = end == std::string::npos ? buffer_.size() : end + 1;
        line = list_entry(std::move(line), separator_ == '\0');
        if (line.empty()) continue;
        return line;
      }
      if (ended_ || !fill()) return std::nullopt;
    }
  }

 private:
  bool fill() {  // false: stopped by a signal or cancelled
    buffer_.erase(0, begin_);
    begin_ = 0;
    for (;;) {
      if (stop_signal() != 0 || cancelled_) return false;
      pollfd waiting{STDIN_FILENO, POLLIN, 0};
      const int ready = poll(&waiting, 1, 100);
      if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
      char chunk[1 << 16];
      const ssize_t got = read(STDIN_FILENO, chunk, sizeof chunk);
      if (got < 0 && errno == EINTR) continue;
      require(got >= 0, ErrorKind::kUsage,
              "The list on standard input cannot be read: ", std::strerror(errno), ".");
      if (got == 0) ended_ = true;
      buffer_.append(chunk, static_cast<std::size_t>(got));
      return true;
    }
  }

  char separator_;
  const std::atomic<bool>& cancelled_;
  std::string buffer_;
  std::size_t begin_ = 0;
  bool ended_ = false;
};

InputFiles::InputFiles(const InputOptions& options) {
  for (const std::string& path : options.paths) add(path);
  for (const std::string& list : options.lists) {
    if (list == "-") {
      require(stdin_list_ == nullptr, ErrorKind::kUsage, "The list '-' (standard input) is given twice.");
      stdin_list_ = std::make_unique<StdinList>(options.nul_separated, cancelled_);
      counting_ = true;
      continue;
    }
    std::error_code ignored;
    require(!fs::is_directory(list, ignored), ErrorKind::kUsage, "The list '", list,
            "' is a folder; give folders as inputs, without --list.");
    std::ifstream in(list, std::ios::binary);
    require(static_cast<bool>(in), ErrorKind::kUsage, "The list '", list,
            "' cannot be opened: ", std::strerror(errno), ".");
    for (std::string line; std::getline(in, line, options.nul_separated ? '\0' : '\n');) {
      line = list_entry(std::move(line), options.nul_separated);
      if (!line.empty()) add(line);
    }
    require(!in.bad(), ErrorKind::kUsage, "The list '", list, "' cannot be read to its end.");
  }
}

InputFiles::~InputFiles() = default;

void InputFiles::add(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    files_.push_back({path, false});
    ++counted_;
    return;
  }
  std::vector<std::string> found;
  fs::recursive_directory_iterator it(path, fs::directory_options::none, error), end;
  for (; !error && it != end; it.increment(error)) {
    std::error_code of_entry;
    if (it->is_regular_file(of_entry)) found.push_back(it->path().string());
  }
  require(!error, ErrorKind::kUsage, "The folder '", path, "' cannot be listed: ", error.message(), ".");
  if (found.empty()) empty_folders_.push_back(path);
  std::sort(found.begin(), found.end());
  counted_ += static_cast<std::int64_t>(found.size());
  for (std::string& file : found) files_.push_back({std::move(file), true});
}

std::optional<InputFile> InputFiles::next() {
  if (cancelled_) return std::nullopt;
  while (files_.empty()) {
    if (stdin_list_ == nullptr) return std::nullopt;
    const std::optional<std::string> path = stdin_list_->next();
    if (!path.has_value()) {
      stdin_list_.reset();
      counting_ = false;
      return std::nullopt;
    }
    add(*path);
  }
  InputFile file = std::move(files_.front());
  files_.pop_front();
  return file;
}

std::optional<std::int64_t> InputFiles::total() const noexcept {
  if (counting_) return std::nullopt;
  return counted_.load();
}

}  // namespace aikd::apps
