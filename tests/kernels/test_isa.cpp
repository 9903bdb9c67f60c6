#include "kernels/isa.h"

#include <algorithm>
#include <filesystem>
#include <iostream>

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

}  // namespace

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
