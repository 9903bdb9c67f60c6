#include "kernels/isa.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>
#include <sstream>

#include "tests/support/test.h"

using namespace aikd;

namespace {

// What this program prints as "isa|problem" when it starts with AIKD_ISA set.
std::string with_environment(const std::string& isa) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const test::RunResult result =
      test::run("AIKD_ISA='" + isa + "' '" + self + "' --test-case='isa: what the environment chose'");
  REQUIRE(result.exit_code == 0);
  const std::size_t begin = result.out.find("<<"), end = result.out.find(">>");
  REQUIRE(begin != std::string::npos);
  return result.out.substr(begin + 2, end - begin - 2);
}

// The features /proc/cpuinfo gives the first processor; empty where it has no such line (an emulator shows
// its host's).
std::set<std::string> listed_by_linux(const std::string& label) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(label)) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    return {std::istream_iterator<std::string>(words), {}};
  }
  return {};
}

}  // namespace

TEST_CASE("isa: the processor's features are those of /proc/cpuinfo") {
  const std::vector<std::string> features = kernels::cpu_features(), isas = kernels::available_isas();
  const bool arm = std::find(isas.begin(), isas.end(), "neon") != isas.end();
  const std::set<std::string> listed = listed_by_linux(arm ? "Features" : "flags");
  if (listed.empty()) AIKD_SKIP("/proc/cpuinfo does not list this processor's features");
  for (const char* name : {"sse4_1", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "asimd",
                           "asimddp", "bf16", "i8mm"}) {
    CAPTURE(name);
    CHECK((std::find(features.begin(), features.end(), name) != features.end()) == listed.contains(name));
  }
}

TEST_CASE("isa: no instruction set is in use that the processor's features deny") {
  const std::vector<std::string> features = kernels::cpu_features();
  if (features.empty()) AIKD_SKIP("nothing is known of this processor's features");
  const auto has = [&](const char* name) {
    return std::find(features.begin(), features.end(), name) != features.end();
  };
  for (const std::string& isa : kernels::available_isas()) {
    CAPTURE(isa);
    if (isa == "sse4") CHECK(has("sse4_1"));
    if (isa == "avx2") CHECK((has("avx2") && has("fma")));
    if (isa == "avx512") CHECK(has("avx512f"));
    if (isa == "neon") CHECK(has("asimd"));
  }
}

TEST_CASE("isa: what the environment chose") {
  std::cout << "<<" << kernels::isa_name() << "|" << kernels::isa_problem() << ">>" << std::endl;
  const std::vector<std::string> all = kernels::available_isas();
  CHECK(std::find(all.begin(), all.end(), kernels::isa_name()) != all.end());
}

TEST_CASE("isa: AIKD_ISA forces every instruction set that is there") {
  for (const std::string& isa : kernels::available_isas()) CHECK(with_environment(isa) == isa + "|");
  CHECK(with_environment("") == kernels::available_isas().back() + "|");
}

TEST_CASE("isa: AIKD_ISA with an unknown name is reported and the best one used") {
  const std::string said = with_environment("avx9000");
  CHECK(said.find(kernels::available_isas().back() + "|AIKD_ISA asks for the instruction set 'avx9000'") ==
        0);
  CHECK(said.find("it has scalar") != std::string::npos);
}

TEST_CASE("isa: force_isa changes and refuses") {
  CHECK(kernels::available_isas().front() == "scalar");
  REQUIRE(kernels::force_isa("scalar"));
  CHECK(kernels::isa_name() == "scalar");
  CHECK_FALSE(kernels::force_isa("avx9000"));
  CHECK(kernels::isa_name() == "scalar");
  REQUIRE(kernels::force_isa(""));
  CHECK(kernels::isa_name() == kernels::available_isas().back());
}
