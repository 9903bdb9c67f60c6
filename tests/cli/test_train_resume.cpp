// aikd-train: killed, stopped or out of disk at any moment, and gone on with to the same bits.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <random>
#include <thread>

#include "aikd/checkpoint.h"
#include "aikd/model.h"
#include "tests/cli/train_fixture.h"

using namespace aikd::test;
namespace fs = std::filesystem;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

const std::vector<std::string> kRun{"--epochs",   "3", "--checkpoint-every", "2", "--tensorboard",
                                    "--prefetch", "2"};

std::string text_of(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += word + " ";
  return out;
}

// The uninterrupted run, moved to "whole" (so that the other one has the same name, which its files hold);
// one training image is bad.
struct Interrupted {
  TrainFolder folder;
  fs::path run = folder / "run", whole = folder / "whole";
  milliseconds took{0};

  Interrupted() {
    write_text(folder / ("faces/" + folder.names()[9]), "spoilt");
    const auto start = Clock::now();
    const RunResult r = folder.train(text_of(kRun));
    took = std::chrono::duration_cast<milliseconds>(Clock::now() - start);
    REQUIRE_MESSAGE(r.exit_code == 0, r.err);
    CHECK(has(r.err, "It is left out."));
    CHECK(rows_of(run / "metrics.jsonl").size() == 12);
    CHECK(rows_of(run / "metrics.jsonl").back()["bad_images"] == 1);
    fs::rename(run, whole);
  }
  std::vector<std::string> words() const { return folder.words(kRun); }
  void finish() const {
    const RunResult r = folder.train(text_of(kRun));
    REQUIRE_MESSAGE(r.exit_code == 0, r.err);
    check_same_run(run, whole);
  }
  // Whatever lies there can be read.
  void check_whole() const {
    const aikd::CheckpointStore store(run);
    store.load();
    for (const char* name : {"best.safetensors", "last.safetensors"})
      if (fs::exists(run / name)) aikd::Model::load(run / name);
  }
};

bool any_begins(const fs::path& folder, const std::string& prefix) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    if (at->path().filename().string().starts_with(prefix)) return true;
  return false;
}

}  // namespace

TEST_CASE("aikd-train: killed at random moments and started again, it ends with the same bits") {
  const Interrupted test;
  std::random_device random;
  int killed = 0;
  std::string delays;
  // Later and later, so that some are sure to lie behind a checkpoint.
  for (int i = 0; i < 8; ++i) {
    const auto most = static_cast<unsigned>(test.took.count()) * static_cast<unsigned>(i + 2) / 10;
    const milliseconds delay(random() % (most + 1));
    delays += std::to_string(delay.count()) + " ";
    Child child(test.folder.path(), test.words(), test.folder / "log.txt");
    std::this_thread::sleep_for(delay);
    child.signal(SIGKILL);
    const int code = child.wait();
    INFO("killed after ms: ", delays, child.output());
    CHECK((code == 137 || code == 0));
    killed += code == 137 ? 1 : 0;
    if (fs::exists(test.run)) CHECK_NOTHROW(test.check_whole());
  }
  CAPTURE(delays);
  CHECK(killed > 0);
  test.finish();
}

TEST_CASE("aikd-train: killed while it saves, what was saved before stays and the bits are the same") {
  const Interrupted test;
  int hit = 0;
  for (const std::string being_written :
       {"run.json.tmp-", "config.yaml.tmp-", "best.safetensors.tmp-", "checkpoint-next", "checkpoint-next",
        "checkpoint-next", "last.safetensors.tmp-"}) {
    Child child(test.folder.path(), test.words(), test.folder / "log.txt");
    while (child.running()) {
      if (!any_begins(test.run, being_written)) continue;
      child.signal(SIGKILL);
      hit += child.wait() == 137 ? 1 : 0;
    }
    CAPTURE(being_written);
    if (fs::exists(test.run)) CHECK_NOTHROW(test.check_whole());
  }
  CHECK(hit > 0);
  test.finish();
}

TEST_CASE("aikd-train: a signal stops it, all is saved, and the same command goes on") {
  const Interrupted test;
  struct Moment {
    int number;
    const char* log;
    std::size_t rows;
  };
  // The first one comes at step 0 or soon after it: its validation is not made again.
  for (const auto& [number, log, rows] :
       {Moment{SIGHUP, "validation.jsonl", 1}, Moment{SIGTERM, "metrics.jsonl", 3},
        Moment{SIGINT, "metrics.jsonl", 6}}) {
    Child child(test.folder.path(), test.words(), test.folder / "log.txt");
    REQUIRE_MESSAGE(wait_for_rows(child, test.run / log, rows), child.output());
    child.signal(number);
    CHECK(child.wait() == 128 + number);
    const auto taken = rows_of(test.run / "metrics.jsonl").size();
    CHECK(rows_of(test.run / log).size() >= rows);
    CHECK(taken < 12);
    CHECK_MESSAGE(
        has(child.output(), aikd::concat("stopped by signal ", number, " at step ", taken,
                                         "; everything is saved, and the same command goes on; best at")),
        child.output());
    CHECK(metadata_of(test.run / "last.safetensors").at("aikd.train_step") == std::to_string(taken));
    const aikd::CheckpointStore store(test.run);
    CHECK(store.load()->checkpoint.state["step"] == taken);
  }
  test.finish();
}

TEST_CASE("aikd-train: stopped before the first row of the log and the first validation, it goes on") {
  const TrainFolder folder;
  const std::string late =
      "--epochs 3 --log-every 5 --checkpoint-every 1 --validate-after-pretrain --pretrain 0.9 ";
  REQUIRE(folder.train(late).exit_code == 0);
  fs::rename(folder / "run", folder / "whole");
  std::vector<std::string> words = folder.words({});
  std::istringstream more(late);
  for (std::string word; more >> word;) words.push_back(word);
  {
    Child child(folder.path(), words, folder / "log.txt");
    while (child.running() && !fs::exists(folder / "run/checkpoint-last.safetensors")) {
    }
    child.signal(SIGTERM);
    CHECK_MESSAGE(child.wait() == 143, child.output());
  }
  const RunResult r = folder.train(late);
  REQUIRE_MESSAGE(r.exit_code == 0, r.err);
  check_same_run(folder / "run", folder / "whole");
}

TEST_CASE("aikd-train: a damaged last checkpoint is told, and the one before it goes on") {
  const Interrupted test;
  fs::copy(test.whole, test.run);
  fs::remove(test.run / "last.safetensors");
  const std::string bytes = read_text(test.run / "checkpoint-last.safetensors");
  SUBCASE("cut off") {
    write_text(test.run / "checkpoint-last.safetensors", bytes.substr(0, bytes.size() / 2));
  }
  SUBCASE("one bit") {
    std::string other = bytes;
    other[other.size() - 1000] = static_cast<char>(other[other.size() - 1000] ^ 4);
    write_text(test.run / "checkpoint-last.safetensors", other);
  }
  SUBCASE("empty") {
    write_text(test.run / "checkpoint-last.safetensors", "");
  }
  SUBCASE("both") {
    write_text(test.run / "checkpoint-last.safetensors", "");
    write_text(test.run / "checkpoint-previous.safetensors", "x");
    const auto before = contents(test.run);
    const RunResult r = test.folder.train(text_of(kRun));
    CHECK(r.exit_code == 3);
    CHECK_MESSAGE(has(r.err, "--overwrite begins anew"), r.err);
    CHECK((contents(test.run) == before));
    return;
  }
  const RunResult r = test.folder.train(text_of(kRun));
  REQUIRE_MESSAGE(r.exit_code == 0, r.err);
  CHECK_MESSAGE(has(r.err, "which is older"), r.err);
  check_same_run(test.run, test.whole);
}

TEST_CASE("aikd-train: a run is gone on with only as it was begun") {
  const TrainFolder folder;
  REQUIRE(folder.train("--epochs 1 --tensorboard").exit_code == 0);
  const auto before = contents(folder / "run");
  write_text(folder / "labels2.csv", read_text(folder / "labels.csv").replace(30, 1, "9"));
  fs::copy(folder / "faces", folder / "fewer", fs::copy_options::recursive);
  fs::remove(folder / ("fewer/" + folder.names()[3]));
  const auto refuse = [&](const std::string& arguments, const std::string& sentence) {
    CAPTURE(arguments);
    const RunResult r = folder.train("--tensorboard --epochs 2 " + arguments);
    CHECK(r.exit_code == 2);
    CHECK_MESSAGE(has(r.err, "aikd-train: The run cannot be gone on with: " + sentence), r.err);
    CHECK(has(r.err, "or --overwrite to begin anew."));
    CHECK((contents(folder / "run") == before));
  };
  refuse("--head-lr 0.1", "head-lr was 0.05 and is 0.1.");
  refuse("--seed 1 --batch 5", "batch was 4 and is 5; seed was 42069 and is 1.");
  refuse("--labels labels2.csv", "data is not what the run began with (SHA-256 ");
  refuse("--images fewer", "data is not what the run began with");
  refuse("--val-stride 5", "val-stride was 4 and is 5; data is not what");
  refuse("--teacher " + quote(other_score_model()), "student is not what the run began with");
  refuse("--decay cosine", "decay was constant and is cosine; epochs was 1 and is 2.");

  // What may change, does; the same files by other names too.
  fs::rename(folder / "labels.csv", folder / "renamed.csv");
  fs::rename(folder / "faces", folder / "elsewhere");
  const RunResult r = aikd::test::run("cd " + quote(folder.path()) + " && " + quote(program("aikd-train")) +
                                      " -c base.yaml --tensorboard --epochs 2 --labels renamed.csv --images "
                                      "elsewhere --workers 2 --log-every 2");
  REQUIRE_MESSAGE(r.exit_code == 0, r.err);
  CHECK(has(r.err, "Going on at step 4 of 8 in 'run'."));
  CHECK(has(r.err, "The option epochs was 1 and is 2 from here on."));
  const auto rows = timeless(folder / "run/metrics.jsonl");
  REQUIRE(rows.size() == 6);
  REQUIRE(before.at("metrics.jsonl").size() > 100);
  CHECK(read_text(folder / "run/metrics.jsonl").starts_with(before.at("metrics.jsonl")));
  CHECK(rows_of(folder / "run/metrics.jsonl").back()["step"] == 8);
  CHECK(has(read_text(folder / "run/config.yaml"), "epochs: 2"));

  // Fewer steps than there were: nothing is done, and nothing is lost.
  const RunResult less =
      folder.train("--tensorboard --epochs 2 --max-steps 5 --labels renamed.csv --images elsewhere");
  CHECK_MESSAGE(less.exit_code == 0, less.err);
  CHECK(timeless(folder / "run/metrics.jsonl") == rows);
}

TEST_CASE("aikd-train: a full disk ends it with a sentence, and what was saved goes on to the same bits") {
  const Interrupted test;
  {
    Child child(test.folder.path(), test.words(), test.folder / "log.txt");
    REQUIRE(wait_for_rows(child, test.run / "metrics.jsonl", 5));
    child.signal(SIGTERM);
    REQUIRE(child.wait() == 143);
  }
  fs::remove(test.run / "last.safetensors");
  const auto before = contents(test.run);
  const std::uint64_t checkpoint = before.at("checkpoint-last.safetensors").size(),
                      model = before.at("best.safetensors").size(), log = before.at("metrics.jsonl").size();
  REQUIRE(checkpoint < model);
  struct Case {
    std::string name;
    std::uint64_t limit;
    const char* part;  // of the sentence
  };
  for (const Case& c : {Case{"configuration", 1200, "config.yaml"}, Case{"log", log + 100, "metrics.jsonl"},
                        Case{"checkpoint", checkpoint - 4096, "checkpoint-next.safetensors"},
                        Case{"model", model - 1, ".safetensors"}}) {
    CAPTURE(c.name);
    Child child(test.folder.path(), test.words(), test.folder / "log.txt", c.limit);
    CHECK(child.wait() == 4);
    CHECK_MESSAGE(has(child.output(), c.part), child.output());
    CHECK_MESSAGE(has(child.output(), "aikd-train: "), child.output());
    // Models and checkpoints are whole; there is none less than before; rows are whole.
    CHECK_NOTHROW(test.check_whole());
    for (const auto& [name, bytes] : contents(test.run)) CHECK_MESSAGE(!has(name, ".tmp-"), name);
    for (const char* name : {"metrics.jsonl", "validation.jsonl"}) {
      const std::string now = read_text(test.run / name);
      CHECK((now.empty() || now.ends_with('\n')));
      rows_of(test.run / name);
    }
    if (c.name != "model") {
      for (const char* name :
           {"checkpoint-last.safetensors", "checkpoint-previous.safetensors", "best.safetensors"})
        CHECK((read_text(test.run / name) == before.at(name)));
    }
  }
  test.finish();
}

TEST_CASE("aikd-train: a file system that is full") {
  const Interrupted test;
  if (aikd::test::run("unshare -rm true").exit_code != 0)
    AIKD_SKIP("no user namespaces here to mount a small tmpfs in");
  // 7 MiB hold a model and a checkpoint, and not three checkpoints.
  const auto in_small = [&](const std::string& commands) {
    return aikd::test::run("cd " + quote(test.folder.path()) + " && mkdir -p run && unshare -rm sh -c " +
                           quote("mount -t tmpfs -o size=7m none run || exit 99; " + commands));
  };
  const std::string train = quote(program("aikd-train")) + " -c base.yaml -q " + text_of(kRun);
  const RunResult r = in_small(train + "; code=$?; mkdir -p out; cp -a run/. out; exit $code");
  if (r.exit_code == 99) AIKD_SKIP("a tmpfs cannot be mounted here");
  CHECK_MESSAGE(r.exit_code == 4, r.err);
  CHECK_MESSAGE(has(r.err, "No space left on device"), r.err);
  fs::remove_all(test.run);
  fs::rename(test.folder / "out", test.run);
  CHECK_NOTHROW(test.check_whole());
  test.finish();
}

TEST_CASE("aikd-train: one process at a time trains in a directory") {
  const TrainFolder folder;
  REQUIRE(folder.train("--max-steps 2").exit_code == 0);
  const auto before = contents(folder / "run");
  const int lock = ::open((folder / "run/lock").c_str(), O_RDWR);
  REQUIRE(::flock(lock, LOCK_EX | LOCK_NB) == 0);
  for (const char* arguments : {"--max-steps 3", "--max-steps 3 --overwrite"}) {
    const RunResult r = folder.train(arguments);
    CHECK(r.exit_code == 2);
    CHECK_MESSAGE(has(r.err, "Another process trains in the directory 'run'"), r.err);
    CHECK((contents(folder / "run") == before));
  }
  ::close(lock);
  CHECK(folder.train("--max-steps 3").exit_code == 0);

  // Two that begin a run at once: one makes it.
  {
    Child one(folder.path(), folder.words({"--max-steps", "3", "--run", "both"}), folder / "one.txt");
    Child other(folder.path(), folder.words({"--max-steps", "3", "--run", "both"}), folder / "other.txt");
    for (Child* child : {&one, &other}) {
      const int code = child->wait();
      CHECK_MESSAGE((code == 0 || (code == 2 && has(child->output(), "Another process trains"))),
                    child->output());
    }
  }
  CHECK(timeless(folder / "both/metrics.jsonl") == timeless(folder / "run/metrics.jsonl"));
}
