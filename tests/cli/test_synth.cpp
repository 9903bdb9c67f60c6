#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "aikd/synth.h"
#include "io/image.h"
#include "tensor/random.h"
#include "tests/support/test.h"

namespace {

namespace fs = std::filesystem;
using aikd::test::RunResult;
using aikd::test::TempDir;

RunResult synth(const std::string& arguments) {
  return aikd::test::run("'" + aikd::test::program("aikd-synth").string() + "' " + arguments);
}

std::vector<std::string> lines_of(const fs::path& path) {
  std::istringstream in(aikd::test::read_text(path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> fields_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> fields;
  for (std::string field; std::getline(in, field, ',');) fields.push_back(field);
  return fields;
}

}  // namespace

TEST_CASE("aikd-synth writes images and tables that agree with the library") {
  const TempDir dir;
  const RunResult r =
      synth("--out '" + (dir / "faces").string() +
            "' --identities 3 --per-identity 2 --seed 5 --size 64x80 --blur 0.5 --landmarks-json --pairs 4");
  REQUIRE_MESSAGE(r.exit_code == 0, r.err);
  CHECK(r.out.empty());
  CHECK(r.err.find("6 images of 3 people written to") != std::string::npos);
  const auto landmarks = lines_of(dir / "faces/landmarks.csv"), labels = lines_of(dir / "faces/labels.csv");
  REQUIRE(landmarks.size() == 7);
  REQUIRE(labels.size() == 7);
  CHECK(landmarks[0] == "path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry");
  CHECK(labels[0] == "path,identity,variation,blur,noise,low_resolution,jpeg,occlusion,pose,light,utility");
  CHECK(labels[4] == "id00002/0002_01.png,2,2,0.5000,0.0000,0.0000,0.0000,0.0000,0.0000,0.0000,0.625000");

  aikd::SynthOptions o;
  o.identity = aikd::splitmix64(5) + 2;
  o.variation = 2;
  o.width = 64;
  o.height = 80;
  o.degradation.blur = 0.5;
  const aikd::SynthFace face = aikd::render_face(o);
  const aikd::io::Image image = aikd::io::read_image(dir / "faces/id00002/0002_01.png").image;
  CHECK(image.width == 64);
  CHECK(image.height == 80);
  CHECK(image.pixels == face.image.pixels);
  const auto points = fields_of(landmarks[4]);
  REQUIRE(points.size() == 11);
  CHECK(points[0] == "id00002/0002_01.png");
  const nlohmann::json json = nlohmann::json::parse(aikd::test::read_text(dir / "faces/landmarks.json"));
  CHECK(json.size() == 6);
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(!(std::abs(std::stod(points[1 + 2 * i]) - face.landmarks[i].x) > 6e-5));
    CHECK(!(std::abs(std::stod(points[2 + 2 * i]) - face.landmarks[i].y) > 6e-5));
    CHECK(!(std::abs(json["id00002/0002_01.png"][i][1].get<double>() - face.landmarks[i].y) > 1e-12));
  }

  const auto pairs = lines_of(dir / "faces/pairs.txt");
  REQUIRE(pairs.size() == 8);
  int same = 0;
  for (const std::string& pair : pairs) {
    std::istringstream in(pair);
    std::string a, b;
    int label = -1;
    REQUIRE((in >> a >> b >> label));
    CHECK(fs::exists(dir.path() / "faces" / a));
    CHECK(fs::exists(dir.path() / "faces" / b));
    CHECK(a != b);
    CHECK((a.substr(0, 7) == b.substr(0, 7)) == (label == 1));
    same += label;
  }
  CHECK(same == 4);
}

TEST_CASE("aikd-synth gives the same files whatever the threads") {
  const TempDir dir;
  for (const std::string threads : {"1", "3"}) {
    const RunResult r = synth("--out '" + (dir / threads).string() +
                              "' -n 2 -m 3 --size 48x48 --degrade random --quiet --threads " + threads);
    REQUIRE_MESSAGE(r.exit_code == 0, r.err);
    CHECK(r.err.empty());
  }
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(dir / "1")) {
    if (!entry.is_regular_file()) continue;
    ++files;
    const fs::path other = dir / "3" / fs::relative(entry.path(), dir / "1");
    CHECK(aikd::test::read_text(entry.path()) == aikd::test::read_text(other));
  }
  CHECK(files == 8);
}

TEST_CASE("aikd-synth makes a grid of degradations and JPEG files") {
  const TempDir dir;
  const RunResult r =
      synth("--out '" + (dir / "g").string() + "' -n 1 -m 1 --size 32x32 --degrade grid --format jpg -q");
  REQUIRE_MESSAGE(r.exit_code == 0, r.err);
  const auto labels = lines_of(dir / "g/labels.csv");
  REQUIRE(labels.size() == 30);
  CHECK(labels[1] == "id00001/0001_01.jpg,1,1,0.0000,0.0000,0.0000,0.0000,0.0000,0.0000,0.0000,1.000000");
  CHECK(labels[5] == "id00001/0001_05.jpg,1,1,1.0000,0.0000,0.0000,0.0000,0.0000,0.0000,0.0000,0.250000");
  CHECK(labels[29] == "id00001/0001_29.jpg,1,1,0.0000,0.0000,0.0000,0.0000,0.0000,0.0000,1.0000,0.500000");
  CHECK(aikd::io::read_image(dir / "g/id00001/0001_17.jpg").format == "JPEG");
}

TEST_CASE("aikd-synth refuses wrong options with a sentence") {
  const TempDir dir;
  const std::string out = "--out '" + (dir / "x").string() + "' ";
  const auto fails = [&](const std::string& arguments, int code, const std::string& sentence) {
    const RunResult r = synth(arguments);
    INFO(arguments, " -> ", r.err);
    CHECK(r.exit_code == code);
    CHECK(r.err.find(sentence) != std::string::npos);
  };
  fails("", 2, "--out is required");
  fails(out + "--size 160", 2,
        "--size must be WxH with 16..4096 pixels each way, such as 160x160; got \"160\".");
  fails(out + "--size 160x", 2, "--size must be WxH");
  fails(out + "--size 8x160", 2, "--size must be WxH");
  fails(out + "--blur 1.5", 2, "--blur");
  fails(out + "--degrade random --noise 0.1", 2, "--degrade random chooses the degradations itself");
  fails(out + "--degrade some", 2, "--degrade");
  fails(out + "--identities 1 --pairs 3", 2,
        "--pairs needs at least two people and two photographs of each, got 1 and 4.");
  fails(out + "--identities 0", 2, "--identities");
  aikd::test::write_text(dir / "file", "x");
  fails("--out '" + (dir / "file").string() + "' -n 1 -m 1 --size 16x16", 4, "Cannot create the folder");
  CHECK(!fs::exists(dir / "x"));
}

TEST_CASE("aikd-synth tells its options in groups") {
  const RunResult r = synth("--help");
  CHECK(r.exit_code == 0);
  for (const char* group : {"Output", "Faces", "Degradations", "Running"})
    CHECK(r.out.find(group) != std::string::npos);
  CHECK(synth("--version").out.find("aikd-synth ") == 0);
}
