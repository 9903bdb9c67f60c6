// aikd-train: everything that can be wrong with its input ends in a sentence and an exit code, makes no run
// and leaves one that is there as it is.
#include "aikd/model_builder.h"
#include "aikd/synth.h"
#include "aikd/untrained.h"
#include "io/table.h"
#include "tests/cli/train_fixture.h"

using namespace aikd::test;
namespace fs = std::filesystem;

namespace {

// A folder with a run of two steps in "run".
class Wrong {
 public:
  Wrong() {
    REQUIRE(folder.train("--max-steps 2 --run old").exit_code == 0);
    before_ = contents(folder / "old");
  }
  const TrainFolder folder;

  void check(const std::string& arguments, int code, const std::string& sentence) const {
    CAPTURE(arguments);
    for (const std::string where : {"--run new", "--run old --max-steps 4", "--run old --overwrite"}) {
      CAPTURE(where);
      if (has(arguments, "--max-steps") && has(where, "--max-steps")) continue;
      const RunResult r = folder.train(aikd::concat(arguments, " ", where));
      CHECK(r.exit_code == code);
      CHECK(r.out.empty());
      CHECK_MESSAGE(has(r.err, "aikd-train: "), r.err);
      CHECK_MESSAGE(has(r.err, sentence), r.err);
      CHECK_FALSE(fs::exists(folder / "new"));
      CHECK((contents(folder / "old") == before_));
    }
  }
  // labels.csv, landmarks.csv with line `n` (0: the header) replaced, as `name`.
  void file(const std::string& from, const std::string& name, std::size_t n, const std::string& line) const {
    std::istringstream in(read_text(folder / from));
    std::string out, text;
    for (std::size_t i = 0; std::getline(in, text); ++i) out += (i == n ? line : text) + "\n";
    write_text(folder / name, out);
  }

 private:
  std::map<std::string, std::string> before_;
};

}  // namespace

TEST_CASE("aikd-train: wrong images, landmarks and labels") {
  const Wrong w;
  const TrainFolder& folder = w.folder;
  const std::string first = folder.names()[0];  // p0/f00.png
  fs::create_directory(folder / "empty");
  w.check("--images empty", 2, "The dataset is empty: no image was found in 'empty'");
  w.check("--images nowhere", 2, "'nowhere'");
  w.check("--labels nowhere.csv", 2, "The file of labels 'nowhere.csv' cannot be opened: No such file");
  w.check("--landmarks nowhere.csv", 2, "'nowhere.csv': the landmark file cannot be opened: No such file");

  write_text(folder / "strangers.csv", "path,label\nx/a.jpg,1\nx/b.jpg,2\n");
  w.check("--labels strangers.csv", 2,
          "none of its 24 images has both a label and landmarks. 24 images have no label");
  for (const char* number : {"NaN", "inf", "-inf", "1e999", "abc"}) {
    w.file("labels.csv", "wrong.csv", 1, first + "," + number);
    w.check("--labels wrong.csv", 2, "'wrong.csv', line 2: ");
  }
  std::string equal = "path,label\n";
  for (const std::string& name : folder.names()) equal += name + ",0.5\n";
  write_text(folder / "equal.csv", equal);
  for (const char* map : {"minmax", "quantile", "none"})
    w.check(aikd::concat("--labels equal.csv --label-map ", map), 2, "All 24 labels are equal (0.5)");

  w.file("landmarks.csv", "four.csv", 1, first + ",10,20,30,20,20,30,12,40,,");
  w.check("--landmarks four.csv", 2, "'four.csv'");
  write_text(folder / "four.json", "{\"" + first + "\": [[10,20],[30,20],[20,30],[12,40]]}");
  w.check("--landmarks four.json", 2, "'four.json'");
  w.file("landmarks.csv", "nan.csv", 1, first + ",nan,20,30,20,20,30,12,40,28,40");
  w.check("--landmarks nan.csv", 2, "'nan.csv'");
  w.file("landmarks.csv", "line.csv", 1, first + ",10,10,20,20,30,30,40,40,50,50");
  w.check("--landmarks line.csv", 2, "The landmarks of '" + first + "' in 'line.csv' are degenerate: ");
  w.file("landmarks.csv", "point.csv", 1, first + ",10,10,10,10,10,10,10,10,10,10");
  w.check("--landmarks point.csv", 2, "are degenerate: ");

  // Left out where that is asked for, and told.
  const RunResult r = aikd::test::run("cd " + quote(folder.path()) + " && " + quote(program("aikd-train")) +
                                      " -c base.yaml --landmarks line.csv --drop-degenerate --max-steps 1");
  CHECK_MESSAGE(r.exit_code == 0, r.err);
  CHECK_MESSAGE(has(r.err, "1 image has degenerate landmarks"), r.err);
  CHECK_MESSAGE(has(r.err, "17 training and 6 validation images"), r.err);
}

TEST_CASE("aikd-train: wrong divisions and sizes") {
  const Wrong w;
  w.check("--split identity --val-fraction 0.01", 2, "leaves nothing for validation");
  w.check("--split identity --val-fraction 1", 2, "The option val-fraction must be ");
  fs::create_directory(w.folder / "one");
  fs::copy(w.folder / "faces/p0", w.folder / "one/p0", fs::copy_options::recursive);
  w.check("--images one --split identity --val-fraction 0.5 --batch 2", 2, "there are 1 identities");
  write_text(w.folder / "everybody.txt", "p0\np1\np2\np3\np4\np5\n");
  write_text(w.folder / "nobody.txt", "x\n");
  w.check("--split list --val-identities everybody.txt", 2, "none is left for training");
  w.check("--split list --val-identities nobody.txt", 2, "None of the 1 identities of 'nobody.txt' is in");
  w.check("--split list", 2, "val-identities must name a file");
  w.check("--val-stride 1", 2, "val-stride");
  w.check("--batch 19", 2,
          "There are 18 training images, fewer than one batch of 19; use a smaller --batch.");
  w.check("--batch 1", 2, "The option batch must be a whole number between 2 and ");
  w.check("--limit 5000", 2, "The last 5000 tensors of the backbone are to be trained (limit), but it has ");
  w.check("--limit 0", 2, "set cosine-weight to 0");
  w.check("--cosine-weight 0 --quality-weight 0", 2, "there is nothing to train");
}

TEST_CASE("aikd-train: wrong options, configurations and devices") {
  const Wrong w;
  w.check("--batsh 4", 2, "Did you mean --batch?");
  w.check("--no-misaling", 2, "Did you mean --no-misalign?");
  w.check("--head-lr fast", 2, "The option head-lr must be a number ");
  w.check("--head-lr nan", 2, "The option head-lr must be a number ");
  w.check("--optimiser adagrad", 2, "The option optimiser must be one of sgd|adam; got 'adagrad'.");
  w.check("--precision bf16", 2,
          "The precision bf16 was asked for, but on the CPU everything is computed in fp32");
  w.check("--device cuda:9", 3, "The device 'cuda:9' was asked for, but there is no CUDA device");
  w.check("--device gpu", 2, "'gpu'");
  const auto yaml = [&](const std::string& text, const std::string& sentence) {
    write_text(w.folder / "c.yaml", text);
    const RunResult r = aikd::test::run("cd " + quote(w.folder.path()) + " && " +
                                        quote(program("aikd-train")) + " -c c.yaml --run new");
    CHECK(r.exit_code == 2);
    CHECK_MESSAGE(has(r.err, sentence), r.err);
    CHECK_FALSE(fs::exists(w.folder / "new"));
  };
  yaml("seed: 1\nbtach: 4\n",
       "The configuration 'c.yaml', line 2: the key 'btach' is not known; did you mean 'batch'?");
  yaml("batch: [4, 5]\n", "line 1: ");
  yaml("batch: {\n", "'c.yaml'");
  yaml("seed: 1\n", "No teacher was named: give a recognition model with --teacher FILE");
  yaml("teacher: " + score_model().string() + "\n",
       "No images were named: give them with --images or --list.");
  yaml("teacher: " + score_model().string() + "\nimages: faces\n", "No landmarks were named: ");
  yaml("teacher: " + score_model().string() + "\nimages: faces\nlandmarks: landmarks.csv\n",
       "No quality labels were named: give them with --labels (aikd-label makes them).");
  write_text(w.folder / "c.yaml", "teacher: x\n");
  CHECK(has(aikd::test::run(quote(program("aikd-train")) + " -c " + quote(w.folder / "c.yaml")).err,
            "No directory was named for the run: give one with --run DIR."));
  CHECK(aikd::test::run(quote(program("aikd-train")) + " -c nowhere.yaml --run new").exit_code == 2);
}

TEST_CASE("aikd-train: wrong models") {
  const Wrong w;
  w.check("--teacher nowhere.safetensors", 3,
          "The file 'nowhere.safetensors' cannot be opened: No such file");
  w.check("--teacher labels.csv", 3, "'labels.csv'");
  w.check("--teacher old/checkpoint-last.safetensors", 3,
          "cannot be used. It is a safetensors file without this");
  w.check("--student nowhere.safetensors", 3, "'nowhere.safetensors'");
  const std::string model = read_text(score_model());
  write_text(w.folder / "cut.safetensors", model.substr(0, model.size() - 100));
  w.check("--teacher cut.safetensors", 3, "'cut.safetensors'");
  {
    aikd::Context context(aikd::Device::cpu(), 1);
    aikd::UntrainedOptions options;
    options.architecture = "mobilefacenet";
    options.embedding_size = 24;
    options.head = "none";
    aikd::save_model(*aikd::make_untrained(options, aikd::calibration_faces(1, 3), context),
                     w.folder / "other.safetensors");
  }
  w.check("--student other.safetensors", 2,
          "The teacher's embedding has 16 numbers, the student's 24; the cosine loss");
  // Without the cosine loss it is no matter.
  const RunResult r = w.folder.train("--student other.safetensors --cosine-weight 0 --max-steps 1");
  CHECK_MESSAGE(r.exit_code == 0, r.err);
}

TEST_CASE("aikd-train: directories that are none of its own") {
  const TrainFolder folder;
  const auto refuse = [&](const std::string& arguments, int code, const std::string& sentence) {
    const auto before = contents(folder.path());
    const RunResult r = folder.train("--max-steps 1 " + arguments);
    CAPTURE(arguments);
    CHECK(r.exit_code == code);
    CHECK_MESSAGE(has(r.err, sentence), r.err);
    CHECK((contents(folder.path()) == before));
  };
  for (const char* overwrite : {"", " --overwrite"}) {
    refuse(std::string("--run faces") + overwrite, 2,
           "The directory 'faces' holds something that is not a training run");
    refuse(std::string("--run labels.csv") + overwrite, 4, "The run directory 'labels.csv' cannot be made: ");
    refuse(std::string("--run ''") + overwrite, 2, "No directory was named for the run");
  }
}

TEST_CASE("aikd-train: bad images among good ones are told and counted, and only bad ones end the run") {
  const TrainFolder folder;
  for (const std::size_t i : {0U, 7U, 13U})
    write_text(folder / ("faces/" + folder.names()[i]), i == 7U ? "" : "junk");
  const RunResult r = folder.train("--epochs 2 --workers 2 --report");
  CHECK_MESSAGE(r.exit_code == 0, r.err);
  for (const std::size_t i : {0U, 7U, 13U}) {
    const std::string told = "aikd-train: 'faces/" + folder.names()[i] + "': ";
    const auto at = r.err.find(told);
    CHECK_MESSAGE(at != std::string::npos, r.err);
    CHECK(r.err.find(told, at + 1) == std::string::npos);  // once
  }
  const auto rows = rows_of(folder / "run/metrics.jsonl");
  CHECK(rows.size() == 8);  // as many steps as without
  CHECK(rows.back()["bad_images"] == 3);
  CHECK(has(read_text(folder / "run/report.html"), "3 could not be used"));

  for (const std::string& name : folder.names()) write_text(folder / ("faces/" + name), "junk");
  const RunResult none = folder.train("--run none");
  CHECK(none.exit_code == 2);
  CHECK_MESSAGE(has(none.err, "None of the 6 images can be used."), none.err);
  CHECK_FALSE(has(none.err, "bug"));
  // Nothing that was saved goes.
  const auto before = contents(folder / "run");
  CHECK(folder.train("--epochs 3 --workers 2 --report").exit_code == 2);
  for (const auto& [name, bytes] : before)
    if (name.ends_with(".safetensors")) CHECK((read_text(folder / "run" / name) == bytes));
  CHECK(timeless(folder / "run/metrics.jsonl").size() == 8);
}
