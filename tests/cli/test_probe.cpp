#include <filesystem>
#include <memory>
#include <string>

#include "aikd/model.h"
#include "aikd/model_builder.h"
#include "aikd/untrained.h"
#include "tests/support/test.h"

namespace {

using aikd::test::RunResult;
using aikd::test::TempDir;

RunResult run(const std::string& program, const std::string& arguments) {
  return aikd::test::run("'" + aikd::test::program(program).string() + "' " + arguments);
}

std::string quoted(const std::filesystem::path& path) {
  return "'" + path.string() + "'";
}

double figure_after(const std::string& text, const std::string& name) {
  const std::size_t at = text.find(name);
  REQUIRE(at != std::string::npos);
  return std::stod(text.substr(at + name.size()));
}

}  // namespace

TEST_CASE("aikd-probe fits a head on synthetic faces that tells blurred ones") {
  const TempDir dir;
  aikd::Context context;
  aikd::UntrainedOptions options;
  options.architecture = "mobilefacenet";
  options.head = "none";
  options.seed = 3;
  aikd::save_model(*aikd::make_untrained(options, aikd::calibration_faces(9, 8), context),
                   dir / "b.safetensors");

  // Faces of 12 people, sharp and blurred, as two sets joined by one table.
  const std::string common = " -n 12 -m 2 --seed 4 --size 112x112 --aligned -q";
  REQUIRE(run("aikd-synth", "--out " + quoted(dir / "f/sharp") + common).exit_code == 0);
  REQUIRE(run("aikd-synth", "--out " + quoted(dir / "f/blurred") + common + " --blur 0.8").exit_code == 0);
  std::string table = "path,identity,blur,utility\n";
  for (int person = 1; person <= 12; ++person) {
    for (int photo = 1; photo <= 2; ++photo) {
      const std::string id = std::to_string(person);
      const std::string name =
          "/id000" + std::string(person < 10 ? "0" : "") + id + "/000" + std::to_string(photo) + "_01.png,";
      table += "sharp" + name + id + ",0,1\n" + "blurred" + name + id + ",0.8,0.4\n";
    }
  }
  aikd::test::write_text(dir / "labels.csv", table);
  const std::string base = "-m " + quoted(dir / "b.safetensors") + " --images " + quoted(dir / "f") +
                           " --labels " + quoted(dir / "labels.csv");
  const RunResult r = run("aikd-probe", base + " --out " + quoted(dir / "m.safetensors"));
  REQUIRE_MESSAGE(r.exit_code == 0, r.err);
  CHECK(r.out.find("fitted on          36 images, tested on 12 of other groups (12 groups in all)") == 0);
  CHECK(figure_after(r.out, "held-out Spearman  ") > 0.7);
  CHECK(figure_after(r.out, "held-out R^2       ") > 0.4);

  const std::unique_ptr<aikd::Model> model = aikd::Model::load(dir / "m.safetensors");
  CHECK(model->family() == "diffiqa-r");
  CHECK(model->score_map().defined());
  CHECK(model->metadata().at("aikd.probe").find("\"held_out_spearman\"") != std::string::npos);
  // The same again gives the same file.
  REQUIRE(run("aikd-probe", base + " -q --threads 1 --out " + quoted(dir / "m2.safetensors")).exit_code == 0);
  CHECK(aikd::Model::load(dir / "m2.safetensors")->sha256() == model->sha256());

  // An image that is missing is left out and told.
  aikd::test::write_text(dir / "labels.csv", table + "gone.png,99,0,1\n");
  const RunResult missing =
      run("aikd-probe", base + " --score-map linear --out " + quoted(dir / "m3.safetensors"));
  CHECK(missing.exit_code == 1);
  CHECK(missing.err.find("gone.png' is left out") != std::string::npos);
  CHECK(aikd::Model::load(dir / "m3.safetensors")->score_map().to_string().find("linear:") == 0);

  const auto fails = [&](const std::string& labels, const std::string& more, const std::string& sentence) {
    aikd::test::write_text(dir / "labels.csv", labels);
    const RunResult bad = run("aikd-probe", base + more + " --out " + quoted(dir / "x.safetensors"));
    INFO(bad.err);
    CHECK(bad.exit_code == 2);
    CHECK(bad.err.find(sentence) != std::string::npos);
    CHECK(!std::filesystem::exists(dir / "x.safetensors"));
  };
  fails("", "", "are empty.");
  fails("name,utility\na,1\n", "", "have no column \"path\".");
  fails("path,label\na,1\n", "", "have no column 'utility'");
  fails("path,utility\na,1,2\n", "", "Line 2 of");
  fails("path,utility\na,good\n", "", "must have a number in the column 'utility', got 'good'.");
  fails(table.substr(0, table.find('\n', 60) + 1), "", "Fitting and testing need at least 3 images each");
}
