// What the tests of aikd-train share: a small training set, running (also with signals and a limit on file
// sizes), and reading what a run leaves.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/score_fixture.h"

namespace aikd::test {

// A program under way. The destructor kills it and waits.
class Child {
 public:
  // In `folder`, both streams into the file `output`. file_limit: largest file it may write, bytes (0: any).
  Child(const std::filesystem::path& folder, const std::vector<std::string>& words,
        const std::filesystem::path& output, std::uint64_t file_limit = 0);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  void signal(int number);
  bool running();
  int wait();  // the exit code, 128 + n when a signal killed it
  std::string output() const { return read_text(output_); }

 private:
  pid_t pid_ = -1;
  int code_ = 0;
  std::filesystem::path output_;
};

// 24 faces p0/f00.png, p1/f01.jpg, ... of 6 people in faces/ with landmarks.csv, labels.csv and base.yaml: 18
// train, 6 validate, 4 steps per epoch of batch 4.
class TrainFolder {
 public:
  TrainFolder();
  const std::filesystem::path& path() const { return dir_.path(); }
  std::filesystem::path operator/(const std::string& name) const { return dir_ / name; }
  const std::vector<std::string>& names() const { return names_; }  // "p0/f00.png"

  // aikd-train -c base.yaml -q <arguments>, in this folder. base.yaml says `run: run` and
  // `report: false`.
  RunResult train(const std::string& arguments) const;
  // The same from a list of words, at once.
  std::vector<std::string> words(std::vector<std::string> more) const;

 private:
  TempDir dir_;
  std::vector<std::string> names_;
};

// Rows of metrics.jsonl or validation.jsonl without what depends on time.
std::vector<std::string> timeless(const std::filesystem::path& log);
std::vector<nlohmann::ordered_json> rows_of(const std::filesystem::path& log);
// The bytes of a safetensors file's tensors by name, with type and shape.
std::map<std::string, std::string> tensors_of(const std::filesystem::path& file);
std::map<std::string, std::string> metadata_of(const std::filesystem::path& file);
// Name and bytes of every file; empty when the folder is not there.
std::map<std::string, std::string> contents(const std::filesystem::path& folder);
// (tag, step, value) of an event file without what depends on time.
std::vector<std::string> timeless_events(const std::filesystem::path& file);
// Waits until the log has so many rows; false when the child ended before.
bool wait_for_rows(Child& child, const std::filesystem::path& log, std::size_t rows);
// What a run holds when it has ended is that of `whole`, bit for bit.
void check_same_run(const std::filesystem::path& run, const std::filesystem::path& whole);

}  // namespace aikd::test
