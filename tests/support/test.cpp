#include "tests/support/test.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>

namespace aikd::test {
namespace fs = std::filesystem;

void print_skipped(const std::string& reason) {
  std::cout << "SKIPPED: " << reason << std::endl;
}

fs::path golden_dir() {
  return AIKD_TEST_GOLDEN_DIR;
}
fs::path source_dir() {
  return AIKD_TEST_SOURCE_DIR;
}
fs::path program(const std::string& name) {
  return fs::path(AIKD_TEST_BINARY_DIR) / "bin" / name;
}

fs::path data_dir() {
  if (const char* given = std::getenv("AIKD_DATA"); given != nullptr && *given != '\0') {
    return fs::is_directory(given) ? fs::path(given) : fs::path();
  }
  const fs::path beside = source_dir().parent_path() / "shared" / "data";
  return fs::is_directory(beside) ? beside : fs::path();
}

TempDir::TempDir() {
  std::string pattern = (fs::temp_directory_path() / "aikd-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a temporary folder");
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

RunResult run(const std::string& command) {
  const TempDir dir;
  const fs::path out = dir / "out", err = dir / "err";
  const std::string line = "( " + command + "\n) >'" + out.string() + "' 2>'" + err.string() + "' </dev/null";
  const int status = std::system(line.c_str());
  RunResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = read_text(out);
  result.err = read_text(err);
  return result;
}

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush()) throw std::runtime_error("cannot write " + path.string());
}

}  // namespace aikd::test
