// Count of kernels = count of kernels tested. Run by ctest after all other files of test_simt have left the
// names of the kernels they launched.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <regex>
#include <set>

#include "simt/simt.h"
#include "tests/support/test.h"

namespace {

namespace fs = std::filesystem;
using namespace aikd::test;

// Every function marked __global__ in the folder of kernels.
std::set<std::string> kernels_defined() {
  std::set<std::string> names;
  const std::regex definition(
      R"(__global__\s+(?:__launch_bounds__\([^;{]*?\)\s+)?void\s+(?:__launch_bounds__\([^;{]*?\)\s+)?(\w+)\s*\()");
  for (const auto& entry : fs::directory_iterator(source_dir() / "kernels" / "cuda")) {
    const std::string extension = entry.path().extension();
    if (extension != ".cu" && extension != ".cuh") continue;
    const std::string text = read_text(entry.path());
    for (std::sregex_iterator match(text.begin(), text.end(), definition), none; match != none; ++match) {
      CAPTURE((*match)[1].str());
      CHECK(names.insert((*match)[1]).second);  // one name, one kernel
    }
  }
  return names;
}

// What the other entries of ctest launched.
std::set<std::string> kernels_launched(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::ifstream in(entry.path());
    for (std::string line; std::getline(in, line);) names.insert(line);
  }
  return names;
}

}  // namespace

TEST_CASE("simt coverage: every kernel is launched by a test" * doctest::skip()) {
  const char* const folder = std::getenv("AIKD_SIMT_COVERAGE_FOLDER");
  REQUIRE(folder != nullptr);
  const std::set<std::string> defined = kernels_defined(), launched = kernels_launched(folder);
  std::string missing;
  std::size_t tested = 0;
  for (const std::string& name : defined) {
    if (launched.contains(name)) {
      ++tested;
    } else {
      missing += name + " ";
    }
  }
  std::cout << defined.size() << " kernels, " << tested << " launched in the emulator\n";
  CAPTURE(missing);
  CHECK(defined.size() >= 1);
  CHECK(tested == defined.size());
}

namespace {

// Leaves the names when the process ends.
struct Record {
  ~Record() {
    const char* const path = std::getenv("AIKD_SIMT_COVERAGE");
    if (path == nullptr) return;
    std::ofstream out(path);
    for (const std::string& name : aikd::simt::launched_kernels()) out << name << '\n';
  }
};
const Record record;

}  // namespace
