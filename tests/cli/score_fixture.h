// What the tests of aikd-score share: a small untrained model, a folder of synthetic faces, running and
// reading.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/test.h"

namespace aikd::test {

// An untrained MobileFaceNet with a head and without a mapping; made once per build folder.
std::filesystem::path score_model();
// The same network with other weights.
std::filesystem::path other_score_model();

// A shell word.
std::string quote(const std::filesystem::path& text);

// `faces` images a/face0.png, b/face1.jpg, a/face2.png, ... of synthetic people in a new folder.
class FaceFolder {
 public:
  explicit FaceFolder(int faces);
  const TempDir& dir() const { return dir_; }
  std::filesystem::path operator/(const std::string& name) const { return dir_ / name; }
  // Sorted as aikd-score lists them; relative to dir().
  const std::vector<std::string>& names() const { return names_; }

  // aikd-score run in this folder, without the model / with it and --quiet --no-time.
  RunResult raw(const std::string& arguments) const;
  RunResult score(const std::string& arguments) const;

 private:
  TempDir dir_;
  std::vector<std::string> names_;
};

// The records of a CSV table, header first.
std::vector<std::vector<std::string>> csv(const std::string& text);
bool has(const std::string& text, const std::string& part);

}  // namespace aikd::test
