#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "tests/support/test.h"

namespace {

using aikd::Shape;
using aikd::Tensor;
using aikd::test::RunResult;
using aikd::test::TempDir;

RunResult eval(const std::string& arguments) {
  return aikd::test::run("'" + aikd::test::program("aikd-eval").string() + "' verification " + arguments);
}

// Four people, two pictures each, at right angles to one another but for a little; p3/b looks like p2.
void write_embeddings(const std::filesystem::path& path, bool all = true) {
  const std::vector<std::vector<float>> rows{{1, 0, 0, 0.1F}, {1, 0.1F, 0, 0},   {0, 1, 0, 0},
                                             {0, 1, 0.1F, 0}, {0, 0, 1, 0},      {0, 0, 1, 0.1F},
                                             {0, 0, 0.1F, 1}, {0, 0, 0.9F, 0.3F}};
  std::vector<float> values;
  std::string names;
  const std::size_t n = all ? 8 : 6;
  for (std::size_t i = 0; i < n; ++i) {
    values.insert(values.end(), rows[i].begin(), rows[i].end());
    names += "faces/p" + std::to_string(i / 2) + (i % 2 == 0 ? "/a.png" : "/b.png");
    names += '\0';
  }
  const std::vector<std::uint8_t> bytes(names.begin(), names.end());
  aikd::io::write_safetensors(
      path, {{{"embeddings", Tensor::from<float>(values, Shape{static_cast<std::int64_t>(n), 4})},
              {"paths", Tensor::from<std::uint8_t>(bytes, Shape{static_cast<std::int64_t>(bytes.size())})}},
             {}});
}

const char* const kPairs =
    "p0/a.png p0/b.png 1\np0/a.png p1/a.png 0\np1/a.png p1/b.png 1\np1/a.png p2/b.png 0\n"
    "p2/a.png p2/b.png 1\np2/a.png p3/b.png 0\np3/a.png p3/b.png 1\np3/a.png p0/b.png 0\n";

}  // namespace

TEST_CASE("aikd-eval verification prints text and JSON") {
  const TempDir dir;
  write_embeddings(dir / "e.safetensors");
  aikd::test::write_text(dir / "pairs.txt", kPairs);
  const std::string files =
      "-e '" + (dir / "e.safetensors").string() + "' -p '" + (dir / "pairs.txt").string() + "' ";
  const RunResult text = eval(files);
  CHECK(text.exit_code == 0);
  CHECK(text.err.empty());
  CHECK(text.out.find("pairs              8 (4 genuine, 4 impostor)\n") == 0);
  CHECK(text.out.find("8-fold accuracy    75.000 % +- 16.366 (standard error)\n") != std::string::npos);
  // Genuine .990, .995, .995, .409; impostor 0, 0, .949, 0: 15 of 16 comparisons are won.
  CHECK(text.out.find("area under ROC     0.937500\n") != std::string::npos);
  CHECK(text.out.find("4 impostor pairs are too few") != std::string::npos);

  const RunResult json = eval(files + "--json --root faces");
  CHECK(json.exit_code == 0);
  const auto v = nlohmann::json::parse(json.out);
  CHECK(v["pairs"] == 8);
  CHECK(v["images"] == 8);
  CHECK(v["pairs_without_embeddings"] == 0);
  CHECK(v["accuracy"] == 0.75);
  CHECK(v["folds"].size() == 8);
  CHECK(v["auc"] == 0.9375);
  CHECK(v["fnmr_at_fmr"][0]["fnmr"] == 0.25);
  CHECK(!(std::abs(v["fnmr_at_fmr"][0]["threshold"].get<double>() - 0.9 / std::sqrt(0.9)) > 1e-6));
  CHECK(v["eer"] == 0.25);
}

TEST_CASE("aikd-eval verification counts pairs without embeddings and goes on") {
  const TempDir dir;
  write_embeddings(dir / "e.safetensors", false);
  aikd::test::write_text(dir / "pairs.txt", kPairs);
  const RunResult r =
      eval("-e '" + (dir / "e.safetensors").string() + "' -p '" + (dir / "pairs.txt").string() + "'");
  CHECK(r.exit_code == 1);
  CHECK(r.out.find("left out           3 pairs, for want of 2 images' embeddings") != std::string::npos);
  CHECK(r.out.find("5-fold accuracy    100.000 % +- 0.000") != std::string::npos);
  CHECK(r.err ==
        "aikd-eval: 3 of 8 pairs were left out: 2 images have no embedding, the first 'p3/b.png'.\n");
}

TEST_CASE("aikd-eval verification refuses what it cannot use") {
  const TempDir dir;
  const std::string e = "'" + (dir / "e.safetensors").string() + "'",
                    p = "'" + (dir / "pairs.txt").string() + "'";
  write_embeddings(dir / "e.safetensors");
  aikd::test::write_text(dir / "pairs.txt", kPairs);
  aikd::test::write_text(dir / "other.txt", "x y 1\nx z 0\n");
  const auto fails = [](const std::string& arguments, int code, const std::string& sentence) {
    const RunResult r = eval(arguments);
    INFO(arguments, " -> ", r.err);
    CHECK(r.exit_code == code);
    CHECK(r.err.find(sentence) != std::string::npos);
    CHECK(r.out.empty());
  };
  fails("-e " + e + " -p '" + (dir / "other.txt").string() + "'", 2,
        "the first name looked for without one is 'x', the first one there 'faces/p0/a.png'");
  fails("-e " + e + " -p " + p + " --root wrong", 2, "None of the 8 pairs");
  fails("-e " + p + " -p " + p, 2, "aikd-eval: ");
  fails("-e " + e + " -p '" + (dir / "absent").string() + "'", 2, "cannot be read");
  fails("-e " + e, 2, "--pairs is required");
  fails("-e " + e + " -p " + p + " -o '" + (dir / "no/such/folder").string() + "'", 4, "aikd-eval: ");
  CHECK(aikd::test::run("'" + aikd::test::program("aikd-eval").string() + "'").exit_code == 2);
}
