// What every test file includes: doctest, skipping with a reason, folders.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <string>

namespace aikd::test {

// Leaves the test case: ctest shows it as skipped with the reason. Use: AIKD_SKIP("no real data here");
#define AIKD_SKIP(reason)                  \
  do {                                     \
    ::aikd::test::print_skipped((reason)); \
    return;                                \
  } while (false)
void print_skipped(const std::string& reason);

// tests/golden: small outputs of PyTorch, Pillow, OpenCV and the scripts that made them.
std::filesystem::path golden_dir();
// The root of the source tree; the folder of the built programs.
std::filesystem::path source_dir();
std::filesystem::path program(const std::string& name);  // e.g. "aikd-score"
// $AIKD_DATA or ../shared/data beside the repository; empty path when neither is there.
std::filesystem::path data_dir();

// A fresh empty folder, removed with everything in it when the object goes.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// Runs `command` with /bin/sh, waits, and returns its exit status and what it wrote.
struct RunResult {
  int exit_code = -1;
  std::string out, err;
};
RunResult run(const std::string& command);

std::string read_text(const std::filesystem::path& path);
void write_text(const std::filesystem::path& path, const std::string& text);

}  // namespace aikd::test
