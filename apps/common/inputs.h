// Which files a program works on: paths, folders, and lists of them, in a defined order.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace aikd::apps {

struct InputOptions {
  std::vector<std::string> paths;  // files and folders
  std::vector<std::string> lists;  // files with one path a line; "-" is standard input
  bool nul_separated = false;      // lists are separated by NUL bytes instead of newlines
};

struct InputFile {
  std::string path;
  // Found in a folder rather than named by the user: a program may pass over it silently when it is of no
  // concern to it.
  bool from_folder = false;
};

// Gives the files one by one: paths first, then the lists, as given. A folder stands for all regular files
// below it, sorted bytewise by path (as `find -type f | LC_ALL=C sort`); links to files are followed, links
// to folders are not. A named file need not exist: opening it is the program's business. Standard input is
// read as it comes. Not thread-safe.
class InputFiles {
 public:
  // Expands everything but a list on standard input. Error(kUsage) for a list that cannot be read and for a
  // folder that cannot be listed.
  explicit InputFiles(const InputOptions& options);
  ~InputFiles();

  // The next file; nothing at the end, or when stop_signal() came while waiting for standard input.
  std::optional<InputFile> next();
  // From any thread: a next() that waits for standard input gives nothing soon, and so do all later ones.
  void cancel() noexcept { cancelled_ = true; }
  // How many files there are in all; unknown while standard input is being read.
  std::optional<std::int64_t> total() const noexcept;
  // Folders in which no file was found.
  const std::vector<std::string>& empty_folders() const noexcept { return empty_folders_; }

 private:
  class StdinList;
  void add(const std::string& path);

  std::deque<InputFile> files_;
  std::atomic<std::int64_t> counted_{0};
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> counting_{false};  // standard input has not ended
  std::vector<std::string> empty_folders_;
  std::unique_ptr<StdinList> stdin_list_;
};

}  // namespace aikd::apps
