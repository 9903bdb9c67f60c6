// aikd-score: choosing rows, summaries, other outputs, what happens when an output fails.
#include <algorithm>
#include <cmath>
#include <sstream>

#include "io/pickle.h"
#include "io/safetensors.h"
#include "tensor/error.h"
#include "tests/cli/score_fixture.h"

using namespace aikd;
using namespace aikd::test;
namespace fs = std::filesystem;

namespace {

struct Scored {
  std::string path, text, mapped;
  double score;
};

std::vector<Scored> scored(const std::string& out) {
  std::vector<Scored> rows;
  const auto records = csv(out);
  for (std::size_t i = 1; i < records.size(); ++i)
    if (records[i][3] == "ok")
      rows.push_back({records[i][0], records[i][1], records[i][2], std::stod(records[i][1])});
  return rows;
}

std::vector<std::string> paths(const std::vector<Scored>& rows) {
  std::vector<std::string> out;
  for (const Scored& row : rows) out.push_back(row.path);
  return out;
}

void best_first(std::vector<Scored>& rows) {
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Scored& a, const Scored& b) { return a.score > b.score; });
}

}  // namespace

TEST_CASE("score: sorting and the best rows") {
  const FaceFolder faces(8);
  write_text(faces / "a/bad.png", "no picture");
  const std::vector<Scored> all = scored(faces.score("a b").out);
  REQUIRE(all.size() == 8);
  std::vector<Scored> ranked = all;
  best_first(ranked);
  const std::vector<std::string> best = paths(ranked);

  const RunResult sorted = faces.score("a b --sort score");
  CHECK(paths(scored(sorted.out)) == best);
  CHECK(csv(sorted.out).back()[3] == "unsupported");  // failures at the end
  CHECK(sorted.exit_code == 1);
  CHECK(paths(scored(faces.score("a b --sort score --reverse").out)) ==
        std::vector<std::string>(best.rbegin(), best.rend()));
  CHECK(paths(scored(faces.score("b a --sort path").out)) == paths(all));
  CHECK(paths(scored(faces.score("b a --sort none").out)).front().starts_with("b/"));

  const RunResult top = faces.score("a b --top 3");
  CHECK(paths(scored(top.out)) == std::vector<std::string>(best.begin(), best.begin() + 3));
  CHECK(csv(top.out).size() == 4);
  CHECK(has(top.err, "'a/bad.png': unsupported: "));
  CHECK(top.exit_code == 1);
  CHECK(paths(scored(faces.score("a b --top 100").out)) == best);

  std::vector<std::string> per_folder;
  for (const char* folder : {"a/", "b/"}) {
    int n = 0;
    for (const Scored& row : ranked)
      if (row.path.starts_with(folder) && n++ < 2) per_folder.push_back(row.path);
  }
  CHECK(paths(scored(faces.score("a b --top-per-folder 2").out)) == per_folder);
}

TEST_CASE("score: thresholds keep a part and its complement") {
  const FaceFolder faces(6);
  write_text(faces / "a/bad.png", "no picture");
  const std::vector<Scored> all = scored(faces.score("a b").out);
  std::vector<Scored> ranked = all;
  best_first(ranked);
  const std::string x = ranked[2].text;
  std::vector<std::string> above, below;
  for (const Scored& row : all) (row.score >= ranked[2].score ? above : below).push_back(row.path);
  CHECK(above.size() == 3);
  const RunResult pass = faces.score("a b --min-score=" + x);
  CHECK(paths(scored(pass.out)) == above);
  CHECK(pass.exit_code == 1);
  CHECK(has(pass.err, "'a/bad.png': unsupported: "));
  CHECK(paths(scored(faces.score("a b --below=" + x).out)) == below);
  CHECK(ranked[2].mapped != ranked[3].mapped);
  CHECK(paths(scored(faces.score("a b --mapped --min-score=" + ranked[2].mapped).out)) == above);
  CHECK(paths(scored(faces.score("a b --mapped --below=" + ranked[2].mapped).out)) == below);
  const RunResult none = faces.score("a b --min-score 1e9");
  CHECK(none.out == "path,score,mapped,status,error,width,height,aligned,ms\n");
  const RunResult summary =
      faces.raw(concat("-m ", quote(score_model()), " a b --min-score=", x, " -o out.csv"));
  CHECK(has(summary.err, "6 images scored, of which 3 chosen, 1 failed (1 unsupported)"));
}

TEST_CASE("score: percentiles on stderr and in a file") {
  const FaceFolder faces(5);
  std::vector<Scored> all = scored(faces.score("a b").out);
  best_first(all);
  const RunResult r = faces.raw(
      concat("-m ", quote(score_model()), " a b --percentiles --percentiles-to p.csv --no-progress"));
  CHECK(has(r.err, "Percentiles of 5 scores\n"));
  CHECK(has(r.err, concat("   50%  ", all[2].text)));
  CHECK(has(r.err, concat("  100%  ", all[0].text)));
  const auto table = csv(read_text(faces / "p.csv"));
  REQUIRE(table.size() == 102);
  CHECK(table[0] == std::vector<std::string>{"percentile", "score", "mapped"});
  CHECK(table[1][0] == "0");
  CHECK(!(std::abs(std::stod(table[1][1]) - all[4].score) > 1e-6));
  CHECK(!(std::abs(std::stod(table[26][1]) - all[3].score) > 1e-6));
  CHECK(table[101][2] == "NA");
}

TEST_CASE("score: the original's pickle") {
  const FaceFolder faces(3);
  write_text(faces / "a/bad.png", "no picture");
  const std::vector<Scored> all = scored(faces.score("a b").out);
  const RunResult r = faces.score("a b -o quality-scores.pkl");
  CHECK(r.exit_code == 1);
  CHECK(r.out == "");
  CHECK(has(r.err, "'a/bad.png': unsupported: "));
  const std::string bytes = read_text(faces / "quality-scores.pkl");
  const auto root = io::read_pickle({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  const auto& dict = std::get<io::PickleDict>(root->v);
  CHECK(dict.items.size() == 3);
  for (const Scored& row : all) {
    const io::PickleValue* value = dict.find(row.path);
    REQUIRE(value != nullptr);
    CHECK(std::get<double>(value->v) == static_cast<double>(std::stof(row.text)));
  }
  CHECK(faces.score("a b --format pickle").out == bytes);
  faces.score("a b --missing -1 -o with-missing.pkl");
  const std::string more = read_text(faces / "with-missing.pkl");
  const auto with = io::read_pickle({reinterpret_cast<const std::uint8_t*>(more.data()), more.size()});
  CHECK(std::get<double>(std::get<io::PickleDict>(with->v).find("a/bad.png")->v) == -1.0);
}

TEST_CASE("score: embeddings scores and paths as safetensors") {
  const FaceFolder faces(5);
  write_text(faces / "a/bad.png", "no picture");
  const RunResult r = faces.score("a b -b 2 --embeddings e.safetensors");
  CHECK(r.exit_code == 1);
  const std::vector<Scored> all = scored(r.out);
  const io::SafetensorsFile file = io::read_safetensors(faces / "e.safetensors");
  REQUIRE(file.tensors.size() == 3);
  const Tensor &embeddings = *file.find("embeddings"), &scores = *file.find("scores"),
               &names = *file.find("paths");
  CHECK(embeddings.shape() == Shape{5, 16});
  CHECK(scores.shape() == Shape{5});
  std::string expected;
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(scores.values<float>()[i] == std::stof(all[i].text));
    expected += all[i].path + '\0';
  }
  const auto bytes = names.values<std::uint8_t>();
  CHECK(std::string(bytes.begin(), bytes.end()) == expected);
  CHECK(file.metadata.at("aikd.model_sha256").size() == 64);
  CHECK_FALSE(fs::exists(faces / "e.safetensors.part"));
  double squares = 0;
  for (const float x : embeddings.values<float>()) squares += static_cast<double>(x * x);
  CHECK(squares > 0);
}

TEST_CASE("score: the report is one page with pictures table and failures") {
  const FaceFolder faces(6);
  write_text(faces / "a/<b>.png", "no picture");
  std::vector<Scored> all = scored(faces.score("a b").out);
  const RunResult r = faces.score("a b --report out/report --report-images 4");
  CHECK(r.exit_code == 1);
  CHECK(std::distance(fs::directory_iterator(faces / "out/report"), fs::directory_iterator()) == 1);
  const std::string page = read_text(faces / "out/report/index.html");
  best_first(all);
  CHECK(has(page, "Scores of 6 images"));
  CHECK(has(page, "4 of 6 images"));
  const std::size_t worst = page.find("alt=\"" + all.back().path),
                    best = page.find("alt=\"" + all.front().path);
  CHECK(worst < best);
  CHECK(best != std::string::npos);
  CHECK(has(page, "data:image/jpeg;base64,/9j/"));
  CHECK(has(page, "a/&lt;b&gt;.png"));
  CHECK(has(page, "unsupported"));
  CHECK(has(page, "Model&#39;s SHA-256"));
  CHECK(faces.score("a b --report out/again --report-images 4").exit_code == 1);
  CHECK(read_text(faces / "out/again/index.html") == page);
  const RunResult in_the_way = faces.score("a --report a/face0.png");
  CHECK(in_the_way.exit_code == 4);
  CHECK(has(in_the_way.err, "The report's folder 'a/face0.png' cannot be made"));
}

TEST_CASE("score: outputs that cannot be written end with code 4 and say why") {
  const FaceFolder faces(3);
  const std::pair<const char*, const char*> cases[] = {
      {"a b -o nowhere/out.csv", "'nowhere/out.csv' cannot be written: No such file"},
      {"a b -o a", "'a' cannot be written: Is a directory"},
      {"a b -o nowhere/out.pkl", "nowhere/out.pkl' cannot be written"},
      {"a b --embeddings nowhere/e.safetensors", "nowhere/e.safetensors' cannot be written: No such file"},
      {"a b >&-", "Standard output cannot be written: Bad file descriptor"},
  };
  for (const auto& [arguments, message] : cases) {
    CAPTURE(arguments);
    const RunResult r = faces.score(arguments);
    CHECK(r.exit_code == 4);
    CHECK_MESSAGE(has(r.err, message), r.err);
  }
  if (fs::exists("/dev/full")) {
    for (const char* arguments : {"a b -b 1 -o /dev/full", "a b -b 1 > /dev/full",
                                  "a b --sort score > /dev/full", "a b --format pickle > /dev/full"}) {
      CAPTURE(arguments);
      const RunResult r = faces.score(arguments);
      CHECK(r.exit_code == 4);
      CHECK(has(r.err, "cannot be written: No space left on device"));
    }
    CHECK_FALSE(fs::exists("/dev/full.meta.json"));
  }
  // A reader that goes away: an error with a message, not a death by SIGPIPE.
  const RunResult r = faces.raw(concat("-q -b 1 -m ", quote(score_model()),
                                       " a b a b a b 2>err; echo code $? >>err) | (exec <&-; true"));
  const std::string err = read_text(faces / "err");
  CHECK_MESSAGE(has(err, "Standard output cannot be written: its reader has gone away."), err);
  CHECK(has(err, "code 4"));
}

TEST_CASE("score: a table stands beside the description of its model") {
  const FaceFolder faces(1);
  CHECK(faces.score("a -o out.csv").exit_code == 0);
  CHECK(csv(read_text(faces / "out.csv")).size() == 2);
  const std::string meta = read_text(faces / "out.csv.meta.json");
  CHECK(has(meta, "\"sha256\": \""));
  CHECK(has(meta, "\"architecture\": \"mobilefacenet\""));
  CHECK(has(meta, "\"exif\": true"));
  CHECK(faces.score("a -o out.tsv").out == "");
  CHECK(read_text(faces / "out.tsv").starts_with("path\tscore"));
  CHECK(read_text(faces / "out.tsv").size() > 50);
}
