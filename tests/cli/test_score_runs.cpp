// aikd-score: resuming, signals, configuration files, self-test and the other answers without scoring.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <sstream>
#include <thread>

#include "kernels/isa.h"
#include "tensor/error.h"
#include "tests/cli/score_fixture.h"

using namespace aikd;
using namespace aikd::test;
namespace fs = std::filesystem;

namespace {

// aikd-score with its standard input held open by the test and its stderr in the file "stderr".
class RunningScore {
 public:
  RunningScore(const fs::path& folder, const std::vector<std::string>& arguments) {
    int ends[2] = {-1, -1};
    REQUIRE(::pipe(ends) == 0);
    const std::string exe = program("aikd-score").string(), err = (folder / "stderr").string();
    std::vector<std::string> words{exe};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    child_ = ::fork();
    if (child_ == 0) {
      const int file = ::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      ::dup2(ends[0], STDIN_FILENO);
      ::dup2(file, STDERR_FILENO);
      ::close(ends[0]);
      ::close(ends[1]);
      if (::chdir(folder.c_str()) == 0) ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(ends[0]);
    input_ = ends[1];
  }
  ~RunningScore() {
    if (child_ > 0) stop(SIGKILL);
  }
  RunningScore(const RunningScore&) = delete;
  RunningScore& operator=(const RunningScore&) = delete;

  void write(const std::string& text) {
    REQUIRE(::write(input_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  bool wait_for_rows(const fs::path& table, std::size_t rows) const {
    for (int i = 0; i < 1200; ++i) {
      if (fs::exists(table) && csv(read_text(table)).size() == rows + 1) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }
  // The exit code, 128 + n when a signal killed it.
  int stop(int signal) {
    ::kill(child_, signal);
    int status = 0;
    ::waitpid(child_, &status, 0);
    child_ = -1;
    ::close(input_);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t child_ = -1;
  int input_ = -1;
};

}  // namespace

TEST_CASE("score: a table cut off anywhere is completed to the same bytes") {
  const FaceFolder faces(4);
  write_text(faces / "a/bad.png", "no picture");
  for (const char* file : {"t.csv", "t.tsv", "t.jsonl"}) {
    CAPTURE(file);
    CHECK(faces.score(concat("a b -o ", file)).exit_code == 1);
    const std::string whole = read_text(faces / file);
    for (const std::size_t keep : {std::size_t{0}, std::size_t{10}, whole.size() / 3, whole.size() / 2,
                                   whole.size() - 1, whole.size()}) {
      CAPTURE(keep);
      write_text(faces / file, whole.substr(0, keep));
      const RunResult r = faces.score(concat("a b --resume -o ", file));
      CHECK(r.exit_code == 1);  // also when the failed row was there already
      CHECK(read_text(faces / file) == whole);
    }
  }
}

TEST_CASE("score: resuming skips what is done and can retry what failed") {
  const FaceFolder faces(3);
  const std::string good = read_text(faces / "a/face0.png");
  write_text(faces / "a/bad.png", "no picture");
  faces.score("a b -o t.csv");
  write_text(faces / "a/bad.png", good);
  const std::string before = read_text(faces / "t.csv");
  CHECK(faces.score("a b --resume -o t.csv").exit_code == 1);
  CHECK(read_text(faces / "t.csv") == before);
  const RunResult r = faces.raw(
      concat("-m ", quote(score_model()), " --score-map linear:-8,8 a b --resume --retry-failed -o t.csv"));
  CHECK(r.exit_code == 0);
  CHECK(has(r.err, "3 rows were there already"));
  CHECK(has(r.err, "1 image scored, 0 failed"));
  const auto rows = csv(read_text(faces / "t.csv"));
  REQUIRE(rows.size() == 5);
  CHECK(rows[4][0] == "a/bad.png");
  CHECK(rows[4][3] == "ok");
}

TEST_CASE("score: a table is never resumed with another model or setting") {
  const FaceFolder faces(2);
  CHECK(faces.score("a -o t.csv").exit_code == 0);
  const std::string before = read_text(faces / "t.csv");
  const RunResult model =
      faces.raw(concat("-m ", quote(other_score_model()), " --score-map linear:-8,8 a b --resume -o t.csv"));
  CHECK(model.exit_code == 2);
  CHECK(has(model.err, "was made with another model (SHA-256 "));
  const RunResult setting = faces.score("a b --no-exif --resume -o t.csv");
  CHECK(setting.exit_code == 2);
  CHECK(has(setting.err, "another setting: exif was true and is now false"));
  write_text(faces / "l.csv", "path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry\nx.png,1,2,3,4,5,6,7,8,9,0\n");
  CHECK(has(faces.score("a b --landmarks l.csv --resume -o t.csv").err,
            "landmarks-sha256 was null and is now"));
  CHECK(read_text(faces / "t.csv") == before);
  write_text(faces / "t.csv.meta.json", "[]");
  CHECK(has(faces.score("a b --resume -o t.csv").err, "does not describe a run of aikd-score"));
  fs::remove(faces / "t.csv.meta.json");
  const RunResult lost = faces.score("a b --resume -o t.csv");
  CHECK(lost.exit_code == 2);
  CHECK(has(lost.err, "t.csv.meta.json', which tells the model it was made with, is not there"));
  write_text(faces / "new.csv", "a,b\n1,2\n");
  write_text(faces / "new.csv.meta.json", "{}");
  CHECK(faces.score("a b --resume -o new.csv").exit_code == 2);
  CHECK(read_text(faces / "new.csv") == "a,b\n1,2\n");
}

TEST_CASE("score: a signal finishes the rows begun and the run can be resumed") {
  const FaceFolder faces(4);
  const std::string model = score_model().string();
  const std::string expected = faces.raw(concat("-q --no-time -m ", quote(model), " a b")).out;
  for (const int number : {SIGINT, SIGTERM}) {
    for (const char* threads : {"1", "2"}) {
      CAPTURE(number);
      fs::remove(faces / "t.csv");
      // The list stays open: the run waits for more when the signal comes.
      RunningScore run(faces.dir().path(),
                       {"-q", "--no-time", "-t", threads, "-m", model, "--list", "-", "-o", "t.csv"});
      run.write("a/face0.png\na/face2.png\n");
      REQUIRE(run.wait_for_rows(faces / "t.csv", 2));
      CHECK(run.stop(number) == 128 + number);
      CHECK(has(read_text(faces / "stderr"), concat("stopped by signal ", number)));
      CHECK(csv(read_text(faces / "t.csv")).size() == 3);
      CHECK(faces.raw(concat("-q --no-time -m ", quote(model), " a b --resume -o t.csv")).exit_code == 0);
      CHECK(read_text(faces / "t.csv") == expected);
    }
  }
}

TEST_CASE("score: a table whose writer was killed is completed to the same bytes") {
  const FaceFolder faces(4);
  const std::string model = score_model().string();
  const std::string expected = faces.raw(concat("-q --no-time -m ", quote(model), " a b")).out;
  RunningScore run(faces.dir().path(), {"-q", "--no-time", "-m", model, "--list", "-", "-o", "t.csv"});
  run.write("a/face0.png\n");
  REQUIRE(run.wait_for_rows(faces / "t.csv", 1));
  CHECK(run.stop(SIGKILL) == 128 + SIGKILL);
  CHECK(faces.raw(concat("-q --no-time -m ", quote(model), " a b --resume -o t.csv")).exit_code == 0);
  CHECK(read_text(faces / "t.csv") == expected);
}

TEST_CASE("score: rows come out while the list is still open") {
  const FaceFolder faces(1);
  for (const int threads : {1, 2}) {
    CAPTURE(threads);
    const RunResult r =
        faces.raw(concat("--version > /dev/null; (echo a/face0.png; for i in $(seq 600); do grep -q ,ok, "
                         "t.csv 2>/dev/null && touch seen && break; sleep 0.05; done) | ",
                         quote(program("aikd-score")), " -q -t ", threads, " -m ", quote(score_model()),
                         " --list - -o t.csv"));
    CHECK(r.exit_code == 0);
    CHECK(fs::exists(faces / "seen"));
    fs::remove(faces / "seen");
    fs::remove(faces / "t.csv");
  }
}

TEST_CASE("score: our configuration file and flags that override it") {
  const FaceFolder faces(3);
  write_text(faces / "c.yaml", concat("input: [a, b]\nmodel: ", quote(score_model()),
                                      "\nscore_map: linear:-8,8\nno-time: true\nquiet: true\nformat: tsv\n"
                                      "batch: 2\nthreads: 1\nexif: false\n"));
  const std::string expected = faces.score("a b --format tsv --no-exif").out;
  CHECK(faces.raw("-c c.yaml").out == expected);
  CHECK(faces.raw("-c c.yaml --format csv b").out == faces.score("b").out);
  const RunResult dumped = faces.raw("-c c.yaml --batch 7 --dump-config");
  CHECK(dumped.exit_code == 0);
  CHECK(has(dumped.out, "batch: 7\n"));
  CHECK(has(dumped.out, "exif: false\n"));
  CHECK(has(dumped.out, "input:\n  - a\n  - b\n"));
  write_text(faces / "d.yaml", dumped.out);
  CHECK(faces.raw("-c d.yaml").out == expected);
  CHECK(faces.raw("-c d.yaml --dump-config").out == dumped.out);
}

TEST_CASE("score: the original's configuration gives the original's pickle") {
  const FaceFolder faces(2);
  fs::create_directory(faces / "weights");
  fs::copy_file(score_model(), faces / "weights/aikd-best.safetensors");
  write_text(faces / "weights/aikd-best.pth", "stands for the original's file");
  const std::string config =
      "\nbase:\n  verbose: 1\n  save_path: \".\"\n  seed: 42069\n  device: \"cuda:0\"\n\n"
      "dataset:\n  loc: \"./a\"\n\ndataloader:\n  params:\n    batch_size: 128\n\n"
      "model:\n  config: \"./configs/model_config.yaml\"\n  weight: \"./weights/aikd-best.pth\"\n";
  write_text(faces / "inference_config.yaml", config);
  const RunResult r = faces.raw("-c inference_config.yaml --device cpu");
  CHECK_MESSAGE(r.exit_code == 0, r.err);
  CHECK(has(r.err, "base.seed in 'inference_config.yaml' has no effect here"));
  CHECK(has(r.err, "model.config in 'inference_config.yaml' has no effect here"));
  CHECK(has(r.err, "EXIF orientation is ignored"));
  CHECK(has(r.err, "using './weights/aikd-best.safetensors'"));
  CHECK(has(r.err, "/1"));  // the progress bar that `verbose` asks for
  CHECK(has(read_text(faces / "quality-scores.pkl"), "./a/face0.png"));
  CHECK(has(read_text(faces / "quality-scores.pkl.meta.json"), "\"exif\": false"));
  const RunResult dumped = faces.raw("-c inference_config.yaml --dump-config");
  CHECK(has(dumped.out, "device: cuda:0\n"));
  CHECK(has(dumped.out, "batch: 128\n"));
  CHECK(has(dumped.out, "exif: false\n"));
  CHECK(has(faces.raw("-c inference_config.yaml --exif --dump-config").out, "exif: true\n"));
}

TEST_CASE("score: each wrong configuration names the key and the nearest known one") {
  const FaceFolder faces(1);
  const std::pair<const char*, const char*> cases[] = {
      {"bacth: 3\n", "'c.yaml', line 1: the key 'bacth' is not known; did you mean 'batch'?"},
      {"model: x\nthread: 3\n", "line 2: the key 'thread' is not known; did you mean 'threads'?"},
      {"zzzzzzzzzz: 3\n", "the key 'zzzzzzzzzz' is not known."},
      {"self-test: true\n", "the key 'self-test' is not known"},
      {"base:\n  sede: 1\n", "the key 'base.sede' is not known; did you mean 'base.seed'?"},
      {"batch: many\n", "line 1: the key 'batch' has a value that is refused"},
      {"batch: [1, 2]\n", "the key 'batch' takes one value, not a list of 2"},
      {"resume: perhaps\n", "line 1: the key 'resume' has a value that is refused"},
      {"batch: 0\n", "--batch must be at least 1"},
      {"batch: [\n", "is not YAML"},
  };
  for (const auto& [text, message] : cases) {
    CAPTURE(text);
    write_text(faces / "c.yaml", text);
    const RunResult r = faces.raw("-c c.yaml a");
    CHECK(r.exit_code == 2);
    CHECK_MESSAGE(has(r.err, message), r.err);
  }
}

TEST_CASE("score: progress quiet and verbose") {
  const FaceFolder faces(2);
  const std::string model = concat("-m ", quote(score_model()), " a b ");
  CHECK(has(faces.raw(model + "--progress").err, "[########################]  2/2  "));
  CHECK_FALSE(has(faces.raw(model).err, "2/2"));
  CHECK(faces.raw(model + "-q").err == "");
  const RunResult verbose = faces.raw(model + "none.png -v");
  CHECK(has(verbose.err, "Plan: "));
  CHECK(has(verbose.err, "conv"));
  CHECK(has(verbose.err, "'none.png': unreadable: The file does not exist."));
}

TEST_CASE("score: the self-test passes and says so") {
  const FaceFolder faces(1);
  const RunResult r = faces.raw(concat("--self-test -m ", quote(score_model())));
  CHECK(r.exit_code == 0);
  CHECK_FALSE(has(r.out, "FAIL"));
  for (const char* item :
       {"PASS  resize (as Pillow)", "PASS  alignment (as OpenCV)", "PASS  network, aligned picture",
        "PASS  the model's scores are finite", "PASS  the model's scores repeat", "PASS  all\n"}) {
    CAPTURE(item);
    CHECK(has(r.out, item));
  }
  CHECK(faces.raw("--self-test -m nowhere").exit_code == 3);
  CHECK(faces.raw("--self-test").exit_code == 0);
}

TEST_CASE("score: help version build devices and citation") {
  const FaceFolder faces(1);
  const RunResult help = faces.raw("--help");
  CHECK(help.exit_code == 0);
  CHECK(has(help.out, "--min-score X"));
  CHECK(has(help.out, "DEVICE=auto"));
  CHECK(has(help.out, "P=fp32"));  // defaults are shown
  CHECK(has(help.out, "too-large"));
  CHECK(has(help.out, "Exit codes: 0 all scored"));
  CHECK_FALSE(has(help.out, "{false}"));
  std::istringstream lines(help.out);
  for (std::string line; std::getline(lines, line);) CHECK_MESSAGE(line.size() <= 110, line);
  CHECK(faces.raw("--version").out.starts_with("aikd-score "));
  CHECK(has(faces.raw("--build-info").out, "JPEG decoder:"));
  CHECK(faces.raw("--list-devices").out.starts_with("cpu  "));
  // The instruction set in use, where it can be forced as well.
  CHECK(has(faces.raw("--list-devices").out, ", " + kernels::isa_name() + "\n"));
  CHECK(has(faces.raw("--build-info").out,
            "Instruction set:  " + kernels::isa_name() + " (usable here: scalar"));
  CHECK(has(faces.raw("--build-info").out, "\nProcessor has:    "));
  CHECK(has(faces.raw("--cite").out, "arXiv:2404.09555"));
  CHECK(faces.raw("--list-devices > /dev/full").exit_code == (fs::exists("/dev/full") ? 4 : 0));
}
