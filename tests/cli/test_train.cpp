// aikd-train: what a run leaves, and that the number of workers and threads changes none of it.
#include <cmath>
#include <set>

#include "aikd/model.h"
#include "io/table.h"
#include "tests/cli/train_fixture.h"

using namespace aikd::test;
using nlohmann::ordered_json;
namespace fs = std::filesystem;

namespace {

void check_columns(const ordered_json& row, const std::vector<std::string>& columns) {
  std::vector<std::string> names;
  for (const auto& [name, value] : row.items()) names.push_back(name);
  CHECK(names == columns);
}

double loss_of(const ordered_json& row, const char* side) {
  return row.at(std::string("loss_") + side).get<double>();
}

}  // namespace

TEST_CASE("aikd-train: a run ends with rows, models, jitter and a report, and everything is told of it") {
  const TrainFolder folder;
  const RunResult r = aikd::test::run("cd " + quote(folder.path()) + " && " + quote(program("aikd-train")) +
                                      " -c base.yaml --epochs 2 --report --tensorboard --checkpoint-every 3");
  REQUIRE_MESSAGE(r.exit_code == 0, r.err);
  CHECK(r.out.empty());
  for (const char* part :
       {"18 training and 6 validation images; 4 steps per epoch, 8 in all.", "were never trained",
        "step 0: loss ", "(best so far)", "finished at step 8; best at step "})
    CHECK_MESSAGE(has(r.err, part), r.err);
  std::set<std::string> names;
  for (const auto& [name, bytes] : contents(folder / "run")) names.insert(name);
  CHECK(names == std::set<std::string>{"run.json", "config.yaml", "metrics.jsonl", "validation.jsonl",
                                       "events.out.tfevents.aikd", "checkpoint-last.safetensors",
                                       "checkpoint-previous.safetensors", "best.safetensors",
                                       "last.safetensors", "report.html", "invariance.csv", "lock"});

  const auto metrics = rows_of(folder / "run/metrics.jsonl");
  REQUIRE(metrics.size() == 8);
  for (std::size_t i = 0; i < 8; ++i) {
    const ordered_json& row = metrics[i];
    check_columns(row, {"step", "epoch", "loss", "quality_loss", "cosine_loss", "grad_norm", "skipped",
                        "lr_head", "lr_backbone", "loss_scale", "images_per_second", "loader_wait_share",
                        "bad_images", "memory_mb", "eta_seconds"});
    CHECK(row["step"] == i + 1);
    CHECK(row["epoch"] == static_cast<double>(i + 1) / 4);
    CHECK(
        row["loss"].get<double>() ==
        doctest::Approx(row["quality_loss"].get<double>() + row["cosine_loss"].get<double>()).epsilon(1e-12));
    CHECK(row["cosine_loss"].get<double>() > 0);
    CHECK(row["grad_norm"].get<double>() > 0);
    CHECK(row["skipped"] == 0);
    CHECK(row["bad_images"] == 0);
    CHECK(row["lr_head"] == 0.05);
    CHECK(row["images_per_second"].get<double>() > 0);
    CHECK(row["memory_mb"].get<double>() > 1);
  }
  CHECK(metrics.back()["eta_seconds"] == 0);

  const auto validation = rows_of(folder / "run/validation.jsonl");
  REQUIRE(validation.size() == 5);
  double best = INFINITY;
  std::int64_t best_step = -1;
  for (std::size_t i = 0; i < 5; ++i) {
    const ordered_json& row = validation[i];
    check_columns(row, {"step", "loss_aligned", "loss_misaligned", "quality_aligned", "quality_misaligned",
                        "cosine_aligned", "cosine_misaligned", "spearman_aligned", "spearman_misaligned",
                        "spearman_invariance", "embedding_cosine", "images", "best"});
    CHECK(row["step"] == 2 * i);
    CHECK(row["images"] == 6);
    for (const char* side : {"aligned", "misaligned"})
      CHECK(loss_of(row, side) == doctest::Approx(row[std::string("quality_") + side].get<double>() +
                                                  row[std::string("cosine_") + side].get<double>())
                                      .epsilon(1e-12));
    CHECK(row["best"] == (loss_of(row, "misaligned") < best));
    if (loss_of(row, "misaligned") < best) best_step = row["step"].get<std::int64_t>();
    best = std::min(best, loss_of(row, "misaligned"));
    for (const char* name :
         {"spearman_aligned", "spearman_misaligned", "spearman_invariance", "embedding_cosine"})
      CHECK(std::abs(row[name].get<double>()) <= 1 + 1e-12);
  }
  // At step 0 the student is the teacher.
  CHECK(validation[0]["cosine_aligned"].get<double>() == doctest::Approx(0).epsilon(1e-9));
  CHECK(validation[0]["cosine_misaligned"].get<double>() > 0.001);

  const auto metadata = metadata_of(folder / "run/best.safetensors");
  CHECK(metadata.at("aikd.family") == "ai-kd");
  CHECK(metadata.at("aikd.score_map") == "linear:0,1");
  CHECK(metadata.at("aikd.label_map") == "linear:1.04,5.2");
  CHECK(metadata.at("aikd.train_step") == std::to_string(best_step));
  CHECK(metadata.at("aikd.train_config") == read_text(folder / "run/config.yaml"));
  CHECK(metadata.at("aikd.teacher_sha256") == aikd::Model::load(score_model())->sha256());
  CHECK(metadata.at("aikd.source_sha256") == metadata.at("aikd.teacher_sha256"));
  CHECK(metadata.at("aikd.train_data_sha256").size() == 64);
  CHECK(metadata_of(folder / "run/last.safetensors").at("aikd.train_step") == "8");

  for (const char* model : {"best", "last"}) {
    const RunResult scored = aikd::test::run(aikd::concat(
        "cd ", quote(folder.path()), " && ", quote(program("aikd-score")), " --device cpu -m run/", model,
        ".safetensors --landmarks landmarks.csv -q --format jsonl faces"));
    REQUIRE_MESSAGE(scored.exit_code == 0, scored.err);
    std::istringstream lines(scored.out);
    int n = 0;
    std::set<double> different;
    for (std::string line; std::getline(lines, line); ++n) {
      const auto row = ordered_json::parse(line);
      const double score = row.at("score").get<double>();
      CHECK(std::abs(row.at("mapped").get<double>() - 100 * std::clamp(score, 0.0, 1.0)) < 0.0051);
      different.insert(score);
    }
    CHECK(n == 24);
    CHECK(different.size() > 20);
  }

  const auto jitter = csv(read_text(folder / "run/invariance.csv"));
  REQUIRE(jitter.size() == 9);
  CHECK(jitter[0] == std::vector<std::string>{"model", "pixels", "images", "spearman", "spearman_low",
                                              "spearman_high", "score_change", "mean_cosine", "cosine_low",
                                              "cosine_high", "label_spearman"});
  for (std::size_t i = 1; i < 9; ++i) {
    CHECK(jitter[i][0] == (i < 5 ? "before" : "after"));
    CHECK(jitter[i][1] == std::vector<std::string>{"0", "1.5", "3", "6"}[(i - 1) % 4]);
    CHECK(jitter[i][2] == "6");
  }
  CHECK(jitter[5][3] == "1");
  CHECK(jitter[5][6] == "0");
  for (std::size_t i = 1; i < 9; ++i) {  // low, value, high
    CHECK(std::stod(jitter[i][4]) <= std::stod(jitter[i][3]));
    CHECK(std::stod(jitter[i][3]) <= std::stod(jitter[i][5]));
  }
  const std::string report = read_text(folder / "run/report.html");
  for (const char* part :
       {"AI-KD training", "18 for training, 6 for validation", "<svg", "mobilefacenet", "</html>"})
    CHECK_MESSAGE(has(report, part), part);
  CHECK_FALSE(has(report, "http://"));  // offline
  CHECK_FALSE(has(report, "https://"));

  const auto events = timeless_events(folder / "run/events.out.tfevents.aikd");
  const auto is_there = [&](const std::string& tag, const ordered_json& row, const char* column) {
    const std::string text = aikd::concat(tag, column, " ", row["step"].get<int>(), " ",
                                          aikd::io::format_number(row[column].get<float>()));
    CHECK_MESSAGE(std::ranges::count(events, text) == 1, text);
  };
  for (const ordered_json& row : metrics)
    for (const char* column : {"loss", "quality_loss", "grad_norm"}) is_there("train/", row, column);
  for (const ordered_json& row : validation)
    for (const char* column : {"loss_misaligned", "embedding_cosine"}) is_there("validation/", row, column);

  // The same command again has nothing to do, and changes nothing.
  const auto before = contents(folder / "run");
  const RunResult again = folder.train("--epochs 2 --report --tensorboard --checkpoint-every 3");
  CHECK_MESSAGE(again.exit_code == 0, again.err);
  CHECK((contents(folder / "run") == before));

  // Nor with fewer images for the jitter, but for the jitter.
  const RunResult fewer =
      folder.train("--epochs 2 --report --tensorboard --checkpoint-every 3 --jitter-images 4");
  CHECK_MESSAGE(fewer.exit_code == 0, fewer.err);
  const auto rows = csv(read_text(folder / "run/invariance.csv"));
  REQUIRE(rows.size() == 9);
  for (std::size_t i = 1; i < 9; ++i) CHECK(rows[i][2] == "4");
}

TEST_CASE("aikd-train: one seed, any number of workers and threads: the same numbers and the same weights") {
  const TrainFolder folder;
  const auto train = [&](const std::string& name, const std::string& arguments) {
    const RunResult r = folder.train("--epochs 2 --run " + name + " " + arguments);
    REQUIRE_MESSAGE(r.exit_code == 0, r.err);
  };
  train("one", "");
  const auto metrics = timeless(folder / "one/metrics.jsonl");
  CHECK(metrics.size() == 8);
  for (const char* n : {"2", "3"}) {
    CAPTURE(n);
    const fs::path other = folder / n;
    train(n, aikd::concat("--workers ", n, " --threads ", n, " --prefetch ", n));
    CHECK(timeless(other / "metrics.jsonl") == metrics);
    CHECK(read_text(other / "validation.jsonl") == read_text(folder / "one/validation.jsonl"));
    for (const char* name : {"best.safetensors", "last.safetensors", "checkpoint-last.safetensors"})
      CHECK((tensors_of(other / name) == tensors_of(folder / "one" / name)));
  }
  train("seed", "--seed 7");
  CHECK(timeless(folder / "seed/metrics.jsonl") != metrics);
}
