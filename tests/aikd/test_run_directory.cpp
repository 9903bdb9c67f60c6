#include "aikd/run_directory.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <limits>
#include <nlohmann/json.hpp>

#include "tensor/error.h"
#include "tests/support/test.h"

using namespace aikd;
using nlohmann::ordered_json;

namespace {

ordered_json row(std::int64_t step, double loss = 0.5) {
  return {{"step", step}, {"loss", loss}};
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

template <class F>
std::string sentence_of(ErrorKind kind, F&& body) {
  try {
    body();
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  return "";
}

// A run of rows 0, 2, ..., last and a validation at every tenth step.
void write_steps(RunDirectory& run, std::int64_t first, std::int64_t last) {
  for (std::int64_t step = first; step <= last; step += 2) {
    run.log_metrics(row(step, 1.0 / static_cast<double>(step + 1)), static_cast<double>(1000 + step));
    if (step % 10 == 0)
      run.log_validation({{"step", step}, {"quality_aligned", 0.25}, {"name", "x"}},
                         static_cast<double>(step));
  }
}

std::string all_logs(const std::filesystem::path& run) {
  std::string text;
  for (const char* name : {RunDirectory::kMetrics, RunDirectory::kValidation, RunDirectory::kEvents})
    text += test::read_text(run / name);
  return text;
}

}  // namespace

TEST_CASE("a run directory is made, logged to and gone on with") {
  const test::TempDir folder;
  {
    RunDirectory run(folder / "a/b/run", false);
    CHECK_FALSE(run.existed());
    run.save_config("batch: 3\n");
    CHECK(run.open_logs(-1, true, 1).empty());
    write_steps(run, 0, 20);
    run.sync();
    CHECK_THROWS_AS(run.open_logs(-1, true, 1), Error);
  }
  CHECK(test::read_text(folder / "a/b/run/config.yaml") == "batch: 3\n");
  CHECK(test::read_text(folder / "a/b/run/metrics.jsonl")
            .starts_with("{\"step\":0,\"loss\":1.0}\n{\"step\":2,"));
  const std::string whole = all_logs(folder / "a/b/run");
  const io::TensorboardFile events = io::read_tensorboard(folder / "a/b/run" / RunDirectory::kEvents);
  REQUIRE(events.events.size() == 1 + 11 + 3);
  CHECK(events.events[1].scalars[0].tag == "train/loss");
  CHECK(events.events[2].scalars[0].tag == "validation/quality_aligned");
  CHECK(events.events[2].scalars.size() == 1);  // not the name
  // Resumed at any step, and run to the same end, it gives the same bytes.
  for (const std::int64_t step : {-1, 0, 1, 2, 9, 10, 11, 20, 21}) {
    CAPTURE(step);
    RunDirectory run(folder / "a/b/run", false);
    CHECK(run.existed());
    CHECK(run.open_logs(step, true, 1).empty());
    const RunRows rows = read_rows(folder / "a/b/run/metrics.jsonl");
    for (const ordered_json& r : rows.rows) CHECK(r["step"].get<std::int64_t>() <= step);
    write_steps(run, rows.rows.empty() ? 0 : rows.rows.back()["step"].get<std::int64_t>() + 2, 20);
    CHECK(all_logs(folder / "a/b/run") == whole);
  }
}

TEST_CASE("logs cut off at any byte are gone on with") {
  const test::TempDir folder;
  const auto path = folder / "run";
  {
    RunDirectory run(path, false);
    run.open_logs(-1, true, 1);
    write_steps(run, 0, 20);
  }
  const std::string whole = all_logs(path), metrics = test::read_text(path / "metrics.jsonl");
  for (std::size_t size = 0; size <= metrics.size(); ++size) {
    CAPTURE(size);
    test::write_text(path / "metrics.jsonl", metrics.substr(0, size));
    RunDirectory run(path, false);
    CHECK(run.open_logs(10, true, 1).empty());
    const RunRows rows = read_rows(path / "metrics.jsonl");
    CHECK_FALSE(rows.torn);
    CHECK(rows.unreadable == 0);
    // A checkpoint of step 10 means that rows up to 10 were synced; so only a cut behind them can happen.
    // With less, what is whole stays.
    for (std::size_t i = 0; i < rows.rows.size(); ++i) CHECK(rows.rows[i]["step"] == 2 * i);
    CHECK(rows.rows.size() <= 6);
    if (rows.rows.size() == 6) {
      write_steps(run, 12, 20);
      CHECK(all_logs(path) == whole);
    }
  }
}

TEST_CASE("lines that are no rows are passed over and told") {
  const test::TempDir folder;
  {
    RunDirectory run(folder / "run", false);
    run.open_logs(-1, false, 1);
    write_steps(run, 0, 4);
  }
  const auto path = folder / "run" / "metrics.jsonl";
  const std::string good = test::read_text(path);
  test::write_text(path, std::string(7, '\0') + "\n" + good +
                             "[1]\n{\"loss\":1}\n{\"step\":1.5}\n{\"step\":6}\n{\"step\":8");
  const RunRows rows = read_rows(path);
  CHECK(rows.rows.size() == 4);
  CHECK(rows.unreadable == 4);
  CHECK(rows.torn);
  RunDirectory run(folder / "run", false);
  const std::vector<std::string> notes = run.open_logs(4, false, 1);
  REQUIRE(notes.size() == 1);
  CHECK_MESSAGE(has(notes[0], "/metrics.jsonl' has 4 lines that are no rows; they are passed over."),
                notes[0]);
  CHECK(test::read_text(path) == std::string(7, '\0') + "\n" + good);
  CHECK_FALSE(std::filesystem::exists(folder / "run" / RunDirectory::kEvents));
}

TEST_CASE("a damaged event file is told, and the run goes on") {
  const test::TempDir folder;
  {
    RunDirectory run(folder / "run", false);
    run.open_logs(-1, true, 1);
    write_steps(run, 0, 4);
  }
  test::write_text(folder / "run" / RunDirectory::kEvents, "garbage garbage garbage");
  RunDirectory run(folder / "run", false);
  const std::vector<std::string> notes = run.open_logs(4, true, 1);
  REQUIRE(notes.size() == 1);
  CHECK_MESSAGE(has(notes[0], "was cut where it was damaged; metrics.jsonl has its numbers."), notes[0]);
  run.log_metrics(row(6), 1);
  CHECK(io::read_tensorboard(folder / "run" / RunDirectory::kEvents).events.size() == 2);
}

TEST_CASE("--overwrite removes the files of the run before, and no others") {
  const test::TempDir folder;
  {
    RunDirectory run(folder / "run", false);
    run.open_logs(-1, true, 1);
    write_steps(run, 0, 4);
    run.save_config("x: 1\n");
  }
  test::write_text(folder / "run" / "checkpoint-last.safetensors", "c");
  test::write_text(folder / "run" / "checkpoint-next.safetensors.tmp-12-3", "c");
  test::write_text(folder / "run" / "notes.txt", "mine");
  RunDirectory run(folder / "run", true);
  CHECK_FALSE(run.existed());
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "run")) {
    CAPTURE(entry.path().string());
    const std::string name = entry.path().filename().string();
    CHECK((name == "notes.txt" || name == "run.json" || name == "lock"));
    ++files;
  }
  CHECK(files == 3);
}

TEST_CASE("left-overs of interrupted writes go, and nothing that only looks alike") {
  const test::TempDir folder;
  { const RunDirectory run(folder / "run", false); }
  for (const char* name : {"checkpoint-next.safetensors.tmp-1-2", "config.yaml.tmp-77-0", "mine.tmp-1-2"})
    test::write_text(folder / "run" / name, "x");
  const RunDirectory run(folder / "run", false);
  CHECK(run.existed());
  CHECK_FALSE(std::filesystem::exists(folder / "run" / "checkpoint-next.safetensors.tmp-1-2"));
  CHECK_FALSE(std::filesystem::exists(folder / "run" / "config.yaml.tmp-77-0"));
  CHECK(std::filesystem::exists(folder / "run" / "mine.tmp-1-2"));
}

TEST_CASE("a process that died while it made the directory left one that can be made") {
  const test::TempDir folder;
  std::filesystem::create_directory(folder / "run");
  test::write_text(folder / "run" / "lock", "");
  test::write_text(folder / "run" / "run.json.tmp-5-0", "{");
  const RunDirectory run(folder / "run", false);
  CHECK_FALSE(run.existed());
}

TEST_CASE("directories that are not a run's are refused and left alone") {
  const test::TempDir folder;
  std::filesystem::create_directory(folder / "photos");
  test::write_text(folder / "photos" / "a.jpg", "x");
  test::write_text(folder / "file", "x");
  for (const bool overwrite : {false, true}) {
    CHECK(has(sentence_of(ErrorKind::kUsage, [&] { RunDirectory(folder / "photos", overwrite); }),
              "holds something that is not a training run (it has no run.json of one)"));
    CHECK_FALSE(std::filesystem::exists(folder / "photos" / "lock"));
    CHECK(has(sentence_of(ErrorKind::kOutput, [&] { RunDirectory(folder / "file", overwrite); }),
              "cannot be made"));
  }
  test::write_text(folder / "photos" / "run.json", "{\"format\":\"other\"}");
  CHECK(has(sentence_of(ErrorKind::kUsage, [&] { RunDirectory(folder / "photos", true); }),
            "is not a training run"));
  test::write_text(folder / "photos" / "run.json", "[");
  CHECK(has(sentence_of(ErrorKind::kUsage, [&] { RunDirectory(folder / "photos", true); }),
            "is not a training run"));
  CHECK(has(sentence_of(ErrorKind::kUsage, [] { RunDirectory("", false); }), "its name is empty"));
  CHECK(has(sentence_of(ErrorKind::kOutput, [] { RunDirectory("/proc/nothing/run", false); }),
            "cannot be made: "));
}

TEST_CASE("one process trains in a directory at a time, a killed one leaves no lock") {
  const test::TempDir folder;
  {
    const RunDirectory run(folder / "run", false);
    CHECK(has(sentence_of(ErrorKind::kUsage, [&] { RunDirectory(folder / "run", true); }),
              "Another process trains in the directory"));
  }
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    RunDirectory run(folder / "run", false);
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  const RunDirectory run(folder / "run", false);
  CHECK(run.existed());
}

TEST_CASE("rows need a whole step that does not go back") {
  const test::TempDir folder;
  RunDirectory run(folder / "run", false);
  run.open_logs(-1, false, 1);
  run.log_metrics(row(5), 1);
  CHECK(has(sentence_of(ErrorKind::kInternal, [&] { run.log_metrics(row(4), 1); }),
            "A row of metrics.jsonl for step 4 follows one for step 5."));
  for (const ordered_json& bad : {ordered_json{{"loss", 1}}, ordered_json{{"step", 1.5}}, ordered_json(3)})
    CHECK(
        has(sentence_of(ErrorKind::kInternal, [&] { run.log_validation(bad, 1); }), "needs a whole number"));
  run.log_metrics(row(5, std::numeric_limits<double>::quiet_NaN()), 1);
  run.log_metrics({{"step", 6}, {"text", "a\xFF\nb"}}, 1);
  CHECK(
      test::read_text(folder / "run/metrics.jsonl") ==
      "{\"step\":5,\"loss\":0.5}\n{\"step\":5,\"loss\":null}\n{\"step\":6,\"text\":\"a\xEF\xBF\xBD\\nb\"}\n");
}

TEST_CASE("a full disk ends in a sentence and loses no row") {
  const test::TempDir folder;
  RunDirectory run(folder / "run", false);
  run.open_logs(-1, false, 1);
  write_steps(run, 0, 6);
  const std::string before = test::read_text(folder / "run/metrics.jsonl");
  rlimit old{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{before.size() + 5, old.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &tight) == 0);
  const std::string sentence = sentence_of(ErrorKind::kOutput, [&] { run.log_metrics(row(8), 1); });
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  CHECK_MESSAGE(
      has(sentence, "metrics.jsonl' cannot be written: writing failed, and what it held before is intact"),
      sentence);
  CHECK(test::read_text(folder / "run/metrics.jsonl") == before);
  run.log_metrics(row(8), 1);
  CHECK(read_rows(folder / "run/metrics.jsonl").rows.size() == 5);
}

TEST_CASE("curves come out of rows") {
  std::vector<ordered_json> rows{
      row(1, 0.5), {{"step", 2}, {"loss", nullptr}}, {{"step", 3}, {"loss", "x"}}, {{"step", 4}}, row(5, 2)};
  const auto curve = row_curve(rows, "loss");
  REQUIRE(curve.size() == 3);
  CHECK(curve[0] == std::pair(1.0, 0.5));
  CHECK(curve[1].first == 2);
  CHECK(std::isnan(curve[1].second));
  CHECK(curve[2] == std::pair(5.0, 2.0));
  CHECK_THROWS_AS(read_rows("/nonexistent"), Error);
}

TEST_CASE("progress is told with rate and time left") {
  const Progress progress{
      .step = 120, .total_steps = 4800, .window_steps = 20, .window_images = 1280, .window_seconds = 4};
  const ProgressFacts facts = progress_facts(progress);
  CHECK(!(std::abs(facts.share - 0.025) > 1e-12));
  CHECK(facts.images_per_second == 320);
  CHECK(!(std::abs(facts.seconds_left - 936) > 1e-9));
  CHECK(progress_line(progress) == "step 120/4800 (2.5 %), 320.0 images/s, ETA 15:36");
  CHECK(progress_line({.step = 0, .total_steps = 10}) == "step 0/10 (0.0 %), - images/s, ETA -");
  CHECK(progress_line({.step = 10, .total_steps = 10}) == "step 10/10 (100.0 %), - images/s, ETA 0:00");
  CHECK(progress_facts({}).share == 0);
  CHECK(duration_text(7) == "0:07");
  CHECK(duration_text(59.6) == "1:00");
  CHECK(duration_text(9065) == "2:31:05");
  CHECK(duration_text(86400 + 61) == "1 day 00:01:01");
  CHECK(duration_text(3 * 86400 + 3600) == "3 days 01:00:00");
  CHECK(duration_text(-5) == "0:00");
  CHECK(duration_text(std::numeric_limits<double>::infinity()) == "-");
}
