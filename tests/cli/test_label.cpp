#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "aikd/label_table.h"
#include "io/pickle.h"
#include "io/safetensors.h"
#include "io/table.h"
#include "tests/cli/score_fixture.h"

using aikd::test::csv;
using aikd::test::FaceFolder;
using aikd::test::has;
using aikd::test::program;
using aikd::test::quote;
using aikd::test::read_text;
using aikd::test::RunResult;
using aikd::test::write_text;
namespace fs = std::filesystem;

namespace {

RunResult raw(const FaceFolder& folder, const std::string& arguments) {
  return aikd::test::run("cd " + quote(folder.dir().path()) + " && unset AIKD_MODEL && " +
                         quote(program("aikd-label")) + " " + arguments);
}

RunResult label(const FaceFolder& folder, const std::string& arguments) {
  return raw(folder, arguments + " -q -m " + quote(aikd::test::score_model()));
}

double number(const std::string& text) {
  double value = 0;
  REQUIRE_MESSAGE(aikd::io::parse_number(text, value), text);
  return value;
}

std::map<std::string, double> read_pickle(const fs::path& path) {
  const std::string bytes = read_text(path);
  const auto root =
      aikd::io::read_pickle({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  std::map<std::string, double> out;
  for (const auto& [key, value] : std::get<aikd::io::PickleDict>(root->v).items)
    out[std::get<std::string>(key->v)] = std::get<double>(value->v);
  return out;
}

}  // namespace

TEST_CASE("aikd-label norm: the norm that aikd-score --embeddings tells, in a table and a pickle") {
  const FaceFolder faces(5);
  const RunResult r = label(faces, "norm . -o labels.csv --pickle labels.pkl");
  REQUIRE_MESSAGE(r.exit_code == 0, r.err);
  CHECK(r.err.empty());
  const auto rows = csv(read_text(faces / "labels.csv"));
  REQUIRE(rows.size() == 6);
  CHECK(rows[0] == std::vector<std::string>{"path", "label", "status", "error"});
  const auto pickle = read_pickle(faces / "labels.pkl");
  CHECK(pickle.size() == 5);
  std::set<std::string> different;
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(rows[i + 1][0] == "./" + faces.names()[i]);
    CHECK(rows[i + 1][2] == "ok");
    CHECK(pickle.at(faces.names()[i]) == number(rows[i + 1][1]));  // cut at the folder
    different.insert(rows[i + 1][1]);
  }
  CHECK(different.size() == 5);

  // The same table again, as the labels of a dataset.
  aikd::QualityLabels labels;
  labels.read(faces / "labels.csv", aikd::KeyRule());
  CHECK(labels.by_key().at(faces.names()[2]).value == number(rows[3][1]));

  REQUIRE(faces.score(". --embeddings e.safetensors -o s.csv").exit_code == 0);
  const auto file = aikd::io::read_safetensors(faces / "e.safetensors");
  const auto embeddings = file.find("embeddings")->values<float>();
  for (std::size_t i = 0; i < 5; ++i) {
    double sum = 0;
    for (const float x : embeddings.subspan(i * 16, 16))
      sum += static_cast<double>(x) * static_cast<double>(x);
    CHECK(std::abs(number(rows[i + 1][1]) / std::sqrt(sum) - 1) < 1e-12);
  }
}

TEST_CASE("aikd-label froq: three parts, the same bytes for any threads and batch") {
  const FaceFolder faces(3);
  const RunResult r = label(faces, "froq a b -t 1 --batch 1");
  REQUIRE_MESSAGE(r.exit_code == 0, r.err);
  const auto rows = csv(r.out);
  REQUIRE(rows.size() == 4);
  CHECK(rows[0] ==
        std::vector<std::string>{"path", "label", "flip", "noise", "occlusion", "status", "error"});
  for (std::size_t i = 1; i < rows.size(); ++i) {
    double sum = 0;
    for (std::size_t part = 2; part < 5; ++part) {
      CHECK(number(rows[i][part]) <= 1);
      CHECK(number(rows[i][part]) > -1);
      sum += number(rows[i][part]);
    }
    CHECK(number(rows[i][1]) == doctest::Approx(sum / 3).epsilon(1e-12));
  }
  CHECK(label(faces, "froq a b -t 3 --batch 7").out == r.out);
  CHECK(label(faces, "froq a b --seed 0 --noise 0.001 --masks 10 --grid 8").out == r.out);
  CHECK(label(faces, "froq a b --seed 5").out != r.out);
}

TEST_CASE("aikd-label: images that fail are rows of NA, counted, exit code 1") {
  const FaceFolder faces(3);
  write_text(faces / "a/broken.png", "no picture");
  write_text(faces / "a/notes.txt", "passed over");
  const RunResult r = raw(faces, "norm a gone.jpg --pickle l.pkl -m " + quote(aikd::test::score_model()));
  CHECK(r.exit_code == 1);
  const auto rows = csv(r.out);
  REQUIRE(rows.size() == 5);
  CHECK(rows[1][0] == "a/broken.png");
  CHECK(rows[1][1] == "NA");
  CHECK(rows[1][2] == "unsupported");
  CHECK(rows[2][2] == "ok");
  CHECK(rows[4][0] == "gone.jpg");
  CHECK(rows[4][1] == "NA");
  CHECK(rows[4][2] == "unreadable");
  CHECK_MESSAGE(has(r.err, "2 labelled, 2 failed"), r.err);
  CHECK(has(r.err, "1 file in folders passed over"));
  CHECK(has(r.err, "untrained"));
  CHECK(read_pickle(faces / "l.pkl").size() == 2);
}

TEST_CASE("aikd-label: aligns by landmarks") {
  const FaceFolder faces(3);
  write_text(faces / "l.csv",
             "path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry\na/face0.png,40,55,75,56,58,75,44,95,72,95\n"
             "b/face1.jpg,40,40,40,40,40,40,40,40,40,40\n");
  const RunResult plain = label(faces, "norm a b"), aligned = label(faces, "norm a b --landmarks l.csv");
  CHECK(aligned.exit_code == 1);
  const auto rows = csv(aligned.out), before = csv(plain.out);
  CHECK(rows[1][2] == "ok");
  CHECK(rows[1][1] != before[1][1]);
  CHECK(rows[2][2] == "no-landmarks");
  CHECK(rows[3][2] == "bad-landmarks");
  const auto resized = csv(label(faces, "norm a b --landmarks l.csv --unaligned-ok").out);
  CHECK(resized[2] == before[2]);
  write_text(faces / "l.csv", "path,lx\n");
  const RunResult bad = label(faces, "norm a --landmarks l.csv");
  CHECK(bad.exit_code == 2);
  CHECK(has(bad.err, "the header has no column 'ly'"));
}

TEST_CASE("aikd-label: keys of the pickle") {
  const FaceFolder faces(4);  // a/face0.png a/face2.png b/face1.jpg b/face3.jpg
  fs::create_directories(faces / "v/vggface2");
  fs::rename(faces / "a", faces / "v/vggface2/a");
  write_text(faces / "list", "v/vggface2/a/face0.png\n./v/vggface2/a/face0.png\n");
  REQUIRE(label(faces, "norm --list list --pickle p.pkl --key-root vggface2").exit_code == 2);
  CHECK(has(
      label(faces, "norm --list list --pickle p.pkl --key-root vggface2").err,
      "The images 'v/vggface2/a/face0.png' and './v/vggface2/a/face0.png' have the same key 'a/face0.png'"));
  CHECK(!fs::exists(faces / "p.pkl"));
  REQUIRE(label(faces, "norm v --pickle p.pkl --key-root vggface2 -o l.csv").exit_code == 0);
  const auto pickle = read_pickle(faces / "p.pkl");
  CHECK(pickle.size() == 2);
  CHECK(pickle.contains("a/face0.png"));
  const RunResult outside = label(faces, "norm v b --pickle p.pkl --key-root vggface2");
  CHECK(outside.exit_code == 2);
  CHECK(has(outside.err, "does not lie below the key root 'vggface2'"));
  const RunResult alone = label(faces, "norm b --key-root b");
  CHECK(alone.exit_code == 2);
  CHECK(has(alone.err, "--key-root tells the keys of the pickle, but no --pickle was given."));
  // The same file named twice is one entry.
  REQUIRE(label(faces, "norm b/face1.jpg b/face1.jpg --pickle p.pkl -o l.csv").exit_code == 0);
  CHECK(read_pickle(faces / "p.pkl").size() == 1);
}

TEST_CASE("aikd-label: wrong use") {
  const FaceFolder faces(1);
  const auto fails = [&](const std::string& arguments, int code, const std::string& sentence) {
    const RunResult r = label(faces, arguments);
    INFO(r.err);
    CHECK(r.exit_code == code);
    CHECK(has(r.err, sentence));
    CHECK(r.out.empty());
  };
  fails("", 2, "method is required");
  fails("frog a", 2, "frog not in {norm,froq}");
  fails("norm", 2, "No input was given");
  fails("norm a --noise 0.1", 2, "The label method norm has no option 'noise'.");
  fails("froq a --nose 0.1", 2, "Did you mean --noise?");
  fails("froq a --grid 5", 2, "A grid of 5 x 5 cells does not divide crops of 112 x 112 pixels evenly.");
  fails("froq a --masks 0", 2, "must be an integer from 1 to 1000, got 0.");
  fails("norm a -o /nonexistent/l.csv", 4, "The output '/nonexistent/l.csv' cannot be written");
  fails("norm a -o l.csv --pickle /nonexistent/l.pkl", 4, "/nonexistent/l.pkl");
  fs::create_directories(faces / "empty");
  fails("norm empty", 2, "There is nothing to label: the inputs name no file.");
  write_text(faces / "empty/notes.txt", "x");
  fails("norm empty -o l.csv", 2, "There is nothing to label: no image was found in the inputs.");
  const RunResult no_model = raw(faces, "norm a");
  CHECK(no_model.exit_code == 2);
  CHECK(has(no_model.err, "No model was given"));
  const RunResult bad_model = raw(faces, "norm a -m a/face0.png");
  CHECK(bad_model.exit_code == 3);
}

TEST_CASE("aikd-label: help names the methods and their options") {
  const FaceFolder faces(1);
  const RunResult r = raw(faces, "--help");
  CHECK(r.exit_code == 0);
  for (const char* word : {"norm ", "froq ", "--noise", "--masks", "--grid", "--seed", "--landmarks",
                           "--pickle", "--key-root", "--batch", "--threads", "Exit codes"})
    CHECK_MESSAGE(has(r.out, word), word);
  CHECK(has(raw(faces, "--version").out, "aikd-label "));
}
