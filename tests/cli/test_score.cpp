// aikd-score: inputs, rows, statuses, exit codes.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "io/image.h"
#include "tensor/error.h"
#include "tests/cli/score_fixture.h"

using namespace aikd;
using namespace aikd::test;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> column(const std::vector<std::vector<std::string>>& rows, std::size_t index) {
  std::vector<std::string> out;
  for (std::size_t i = 1; i < rows.size(); ++i) out.push_back(rows[i].at(index));
  return out;
}

}  // namespace

TEST_CASE("score: a folder gives one row per image in order with every column") {
  const FaceFolder faces(5);
  const RunResult r = faces.score("a b");
  CHECK(r.exit_code == 0);
  CHECK(r.err == "");
  CHECK(r.out.starts_with("path,score,mapped,status,error,width,height,aligned,ms\n"));
  const auto rows = csv(r.out);
  CHECK(column(rows, 0) == faces.names());
  std::set<std::string> scores;
  for (std::size_t i = 1; i < rows.size(); ++i) {
    scores.insert(rows[i][1]);
    const double score = std::stod(rows[i][1]), mapped = std::stod(rows[i][2]);
    CHECK(!(std::abs(mapped - std::min(100.0, std::max(0.0, (score + 8) / 16 * 100))) > 0.0051));
    CHECK(rows[i][3] == "ok");
    CHECK(rows[i][4] == "");
    CHECK(std::stoi(rows[i][5]) >= 120);
    CHECK(rows[i][6] == "140");
    CHECK(rows[i][7] == "0");
    CHECK(rows[i][8] == "NA");
  }
  CHECK(scores.size() == 5);
}

TEST_CASE("score: bytes of the output are the same for every number of threads and batch size") {
  const FaceFolder faces(11);
  write_text(faces / "a/bad.png", "no picture");
  const RunResult expected = faces.score("a b -t 1 -b 1 --embeddings e1.safetensors");
  CHECK(expected.exit_code == 1);
  for (const int threads : {1, 2, 4}) {
    for (const int batch : {1, 3, 8}) {
      CAPTURE(threads);
      CAPTURE(batch);
      const RunResult r =
          faces.score(concat("a b -t ", threads, " -b ", batch, " --embeddings e2.safetensors"));
      CHECK(r.out == expected.out);
      CHECK(read_text(faces / "e2.safetensors") == read_text(faces / "e1.safetensors"));
    }
  }
}

TEST_CASE("score: stderr tells device model and hash and the time is filled in") {
  const FaceFolder faces(1);
  const RunResult r = faces.raw(concat("-m ", quote(score_model()), " -t 2 a"));
  CHECK(r.exit_code == 0);
  CHECK(has(r.err, "aikd-score: device cpu ("));
  CHECK(has(r.err, "using 2 threads"));
  CHECK(has(r.err, "model mobilefacenet, family ai-kd, score = output of the head, mapping none, SHA-256 "));
  CHECK(has(r.err, "untrained"));
  CHECK(has(r.err, "1 image scored, 0 failed"));
  const auto rows = csv(r.out);
  CHECK(rows[1][2] == "NA");  // no mapping
  CHECK(std::stod(rows[1][8]) > 0);
}

TEST_CASE("score: each failure has its status and sentence and the others are scored") {
  const FaceFolder faces(2);
  const std::string png = read_text(faces / "a/face0.png"), jpg = read_text(faces / "b/face1.jpg");
  write_text(faces / "cut.png", png.substr(0, png.size() / 2));
  write_text(faces / "cut.jpg", jpg.substr(0, jpg.size() / 2));
  write_text(faces / "empty.jpg", "");
  write_text(faces / "text.txt", "hello");
  std::string broken = png;
  broken[30] = static_cast<char>(broken[30] + 1);
  write_text(faces / "broken.png", broken);
  io::write_image(faces / "big.png", io::Image(300, 200));
  const RunResult r = faces.score(
      "--max-pixels 59999 a/face0.png none.jpg a cut.png cut.jpg empty.jpg text.txt broken.png big.png "
      "b/face1.jpg --no-such 2>/dev/null || true");
  CHECK(r.out == "");  // the unknown option stopped it
  const RunResult good = faces.score(
      "--max-pixels 59999 none.jpg cut.png cut.jpg empty.jpg text.txt broken.png a/face0.png big.png "
      "b/face1.jpg");
  CHECK(good.exit_code == 1);
  const auto rows = csv(good.out);
  CHECK(column(rows, 3) == std::vector<std::string>{"unreadable", "truncated", "truncated", "truncated",
                                                    "unsupported", "corrupt", "ok", "too-large", "ok"});
  for (std::size_t i = 1; i < rows.size(); ++i) {
    CAPTURE(rows[i][0]);
    const bool ok = rows[i][3] == "ok";
    CHECK((rows[i][1] == "NA") == !ok);
    CHECK((rows[i][2] == "NA") == !ok);
    CHECK(rows[i][4].empty() == ok);
    if (!ok) CHECK(rows[i][4].ends_with("."));
  }
}

TEST_CASE("score: missing scores as old consumers want them") {
  const FaceFolder faces(1);
  CHECK(has(faces.score("none.jpg --missing -1").out, "none.jpg,-1,-1,unreadable,"));
  CHECK(has(faces.score("none.jpg --missing 255 --format plain").out, "none.jpg 255\n"));
  const RunResult r = faces.score("none.jpg --missing nothing");
  CHECK(r.exit_code == 2);
  CHECK(has(r.err, "--missing must be NA or a finite number; got 'nothing'"));
}

TEST_CASE("score: formats") {
  const FaceFolder faces(2);
  const std::string csv_text = faces.score("a b").out;
  const auto rows = csv(csv_text);
  std::string tabs = csv_text;
  std::replace(tabs.begin(), tabs.end(), ',', '\t');
  CHECK(faces.score("a b --format tsv").out == tabs);
  CHECK(faces.score("a b --format plain").out ==
        concat("a/face0.png ", rows[1][1], "\nb/face1.jpg ", rows[2][1], "\n"));
  CHECK(faces.score("a b --format bare").out == concat(rows[1][1], "\n", rows[2][1], "\n"));
  const RunResult json = faces.score("a b --format jsonl");
  std::istringstream lines(json.out);
  std::size_t i = 0;
  for (std::string line; std::getline(lines, line); ++i) {
    const auto row = nlohmann::json::parse(line);
    CHECK(row["path"] == rows[i + 1][0]);
    CHECK(row["score"].get<float>() == std::stof(rows[i + 1][1]));
    CHECK(row["model"].get<std::string>().size() == 64);
  }
  CHECK(i == 2);
  const RunResult r = faces.score("a b --format xml");
  CHECK(r.exit_code == 2);
  CHECK(has(r.err, "The format 'xml' is not known; expected csv, tsv"));
}

TEST_CASE("score: names with spaces commas quotes newlines and bytes that are not UTF-8") {
  const FaceFolder faces(1);
  const std::vector<std::string> names{
      "\xC3\xA9\xE4\xBA\xBA.png", "a b.png", "c,d.png", "e\"f.png", "g\nh.png", "i\xFFj.png", "UPPER.PNG"};
  fs::create_directory(faces / "odd");
  for (const std::string& name : names)
    fs::copy_file(faces / "a/face0.png", faces.dir().path() / "odd" / name);
  std::vector<std::string> expected;
  for (const std::string& name : names) expected.push_back("odd/" + name);
  std::sort(expected.begin(), expected.end());
  const RunResult r = faces.score("odd");
  CHECK(r.exit_code == 0);
  CHECK(column(csv(r.out), 0) == expected);
  CHECK(
      column(
          csv(faces
                  .score("-0 --list - < /dev/null; find odd -type f -print0 | LC_ALL=C sort -z > list; " +
                         quote(program("aikd-score")) + " -q -m " + quote(score_model()) + " -0 --list list")
                  .out),
          0) == expected);
  CHECK(has(faces.score("odd --format jsonl").out, "\"odd/i\\udcffj.png\""));
  CHECK(has(faces.score("odd --format plain").out, "\\odd/g\\nh.png "));
}

TEST_CASE("score: lists from a file and from standard input") {
  const FaceFolder faces(3);
  write_text(faces / "list.txt", "b/face1.jpg\r\n\na/face2.png\nnone.png\na");
  const std::vector<std::string> expected{"b/face1.jpg", "a/face2.png", "none.png", "a/face0.png",
                                          "a/face2.png"};
  CHECK(column(csv(faces.score("--list list.txt").out), 0) == expected);
  CHECK(column(csv(faces.score("--list - < list.txt").out), 0) == expected);
  CHECK(column(csv(faces.score("-t 1 --list - < list.txt").out), 0) == expected);
  const auto both = column(csv(faces.score("a/face0.png --list list.txt").out), 0);
  CHECK(both.size() == 6);
  CHECK(both[0] == "a/face0.png");
  CHECK(has(faces.score("--list nowhere").err, "The list 'nowhere' cannot be opened"));
  CHECK(has(faces.score("--list a").err, "The list 'a' is a folder"));
  CHECK(has(faces.score("--list - --list - < list.txt").err, "given twice"));
}

TEST_CASE("score: nothing to score is an error and not success") {
  const FaceFolder faces(1);
  fs::create_directory(faces / "empty");
  fs::create_directory(faces / "texts");
  write_text(faces / "texts/readme", "text");
  write_text(faces / "nothing.txt", "");
  const std::pair<const char*, const char*> cases[] = {
      {"", "No input was given"},
      {"empty", "nothing to score: the folder 'empty' holds no files"},
      {"texts", "nothing to score: no image was found"},
      {"--list nothing.txt", "nothing to score"},
      {"--list - < nothing.txt", "nothing to score"},
  };
  for (const auto& [arguments, message] : cases) {
    CAPTURE(arguments);
    const RunResult r = faces.score(arguments);
    CHECK(r.exit_code == 2);
    CHECK_MESSAGE(has(r.err, message), r.err);
  }
  // An empty folder beside others is told, and the rest is scored.
  const RunResult r = faces.score("empty a texts");
  CHECK(r.exit_code == 0);
  CHECK(has(r.err, "The folder 'empty' holds no files."));
  CHECK(csv(r.out).size() == 2);
}

TEST_CASE("score: wrong options name what is wrong") {
  const FaceFolder faces(1);
  const std::pair<const char*, const char*> cases[] = {
      {"--thread 2 a", "Did you mean --threads?"},
      {"-b 0 a", "--batch must be at least 1; got 0"},
      {"-t -1 a", "--threads must be at least 0; got -1"},
      {"-t 5000 a", "at most 4096"},
      {"--top 0 a", "--top must be at least 1; got 0"},
      {"--sort size a", "--sort must be score, path or none; got 'size'"},
      {"--mapped a", "neither is given"},
      {"--unaligned-ok a", "needs --landmarks"},
      {"--retry-failed a", "needs --resume"},
      {"--resume a", "needs -o FILE"},
      {"--resume -o x.pkl a", "needs the format csv, tsv or jsonl; got pickle"},
      {"--resume -o x.csv --top 3 a", "cannot be used with --min-score"},
      {"--resume -o x.csv --report r a", "cannot be used with --report"},
      {"--min-score nan a", "need a number; got nan"},
      {"--min-score x a", "--min-score"},
      {"--landmarks none.csv a", "none.csv"},
      {"--device tpu a", "The device 'tpu' is not understood"},
  };
  for (const auto& [arguments, message] : cases) {
    CAPTURE(arguments);
    const RunResult r = faces.score(arguments);
    CHECK(r.exit_code == 2);
    CHECK(r.out == "");
    CHECK_MESSAGE(has(r.err, message), r.err);
  }
}

TEST_CASE("score: another mapping is checked and used") {
  const FaceFolder faces(1);
  const std::string model = concat("-q -m ", quote(score_model()), " a ");
  const RunResult r = faces.raw(model + "--score-map linear:2,1");
  CHECK(r.exit_code == 2);
  CHECK(has(r.err, "first number below its second"));
  CHECK(csv(faces.raw(model + "--score-map none").out)[1][2] == "NA");
  CHECK(csv(faces.raw(model + "--score-map linear:1000,1001").out)[1][2] == "0.00");
}

TEST_CASE("score: models that are absent or no models") {
  const FaceFolder faces(1);
  write_text(faces / "text.safetensors", "this is no model");
  write_text(faces / "w.pth", "PK");
  const RunResult none = faces.raw("a");
  CHECK(none.exit_code == 2);
  CHECK(has(none.err, "No model was given: name one with -m FILE or in $AIKD_MODEL."));
  for (const char* arguments : {"-m nowhere.safetensors a", "-m text.safetensors a", "-m a a"}) {
    CAPTURE(arguments);
    const RunResult r = faces.raw(arguments);
    CHECK(r.exit_code == 3);
    CHECK(r.err.find('\n') == r.err.size() - 1);  // one line
  }
  const RunResult pth = faces.raw("-m w.pth a");
  CHECK(pth.exit_code == 3);
  CHECK(
      has(pth.err, "is a PyTorch file; make a model file of it once: aikd-convert 'w.pth' 'w.safetensors'"));
  fs::copy_file(score_model(), faces / "w.safetensors");
  CHECK(faces.raw("-m w.pth a").exit_code == 0);
  const RunResult env = run(concat("cd ", quote(faces.dir().path()), " && AIKD_MODEL=w.safetensors ",
                                   quote(program("aikd-score")), " a"));
  CHECK(env.exit_code == 0);
}

TEST_CASE("score: a CUDA device that cannot be used is refused loudly") {
  const FaceFolder faces(1);
  const RunResult r = faces.score("--device cuda:99 a");
  CHECK(r.exit_code == 3);
  CHECK(has(r.err, "cuda:99"));
  CHECK(r.out == "");
}

TEST_CASE("score: landmarks align and their absence is a status or a fallback") {
  const FaceFolder faces(3);
  write_text(faces / "l.csv",
             "path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry\n"
             "a/face0.png,45,55,80,55,62,75,48,95,77,95\n"
             "b/face1.jpg,5,5,5,5,5,5,5,5,5,5\n");
  const auto rows = csv(faces.score("a b --landmarks l.csv").out);
  CHECK(column(rows, 3) == std::vector<std::string>{"ok", "no-landmarks", "bad-landmarks"});
  CHECK(column(rows, 7) == std::vector<std::string>{"1", "NA", "NA"});
  const auto resized = csv(faces.score("a b").out);
  CHECK(resized[1][1] != rows[1][1]);
  const auto mixed = csv(faces.score("a b --landmarks l.csv --unaligned-ok").out);
  CHECK(column(mixed, 3) == std::vector<std::string>{"ok", "ok", "bad-landmarks"});
  CHECK(column(mixed, 7) == std::vector<std::string>{"1", "0", "NA"});
  CHECK(mixed[1] == rows[1]);
  CHECK(mixed[2] == resized[2]);
}

TEST_CASE("score: EXIF orientation is honoured unless it is asked not to") {
  const FaceFolder faces(2);
  // The JPEG with an APP1 segment behind its first marker: orientation 6, turned by a quarter.
  const std::string jpeg = read_text(faces / "b/face1.jpg");
  const std::string exif(
      "\xFF\xE1\x00\x22"
      "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0",
      36);
  write_text(faces / "turned.jpg", jpeg.substr(0, 2) + exif + jpeg.substr(2));
  const auto upright = csv(faces.score("b/face1.jpg").out), turned = csv(faces.score("turned.jpg").out),
             as_stored = csv(faces.score("turned.jpg --no-exif").out);
  CHECK(upright[1][5] == "130");
  CHECK(turned[1][5] == "140");
  CHECK(turned[1][1] != upright[1][1]);
  CHECK(as_stored[1][1] == upright[1][1]);
  CHECK(as_stored[1][5] == "130");
}

TEST_CASE("score: the resize order of newer Pillow versions can be asked for") {
  const FaceFolder faces(1);
  // Tall and noisy: here the two orders round some pixels differently.
  io::Image tall(120, 700);
  for (std::size_t i = 0; i < tall.pixels.size(); ++i)
    tall.pixels[i] = static_cast<std::uint8_t>((i * 2654435761U) >> 13);
  io::write_image(faces / "tall.png", tall);
  const auto score_of = [&](const std::string& options) {
    return csv(faces.score("tall.png " + options).out).at(1).at(1);
  };
  const std::string classic = score_of("");
  CHECK(classic == score_of("--resize-order horizontal-first"));
  CHECK(classic != score_of("--resize-order pillow13"));
  const RunResult wrong = faces.score("tall.png --resize-order vertical");
  CHECK(wrong.exit_code == 2);
  CHECK(has(wrong.err, "resize order 'vertical' is not known; expected horizontal-first or pillow13"));
}
