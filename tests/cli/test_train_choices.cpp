// aikd-train: methods, parts that are trained, configurations of others, ends other than success.
#include <cmath>
#include <csignal>

#include "tests/cli/train_fixture.h"

using namespace aikd::test;
using nlohmann::ordered_json;
namespace fs = std::filesystem;

namespace {

std::map<std::string, std::string> trained(const TrainFolder& folder, const std::string& arguments) {
  const RunResult r =
      folder.train("--overwrite " + arguments + (has(arguments, "--max-steps") ? "" : " --max-steps 3"));
  REQUIRE_MESSAGE(r.exit_code == 0, r.err);
  for (const ordered_json& row : rows_of(folder / "run/metrics.jsonl")) CHECK(row["loss"].is_number());
  return tensors_of(folder / "run/last.safetensors");
}

// Tensors of the backbone that differ from the teacher's.
int moved(const std::map<std::string, std::string>& tensors) {
  int n = 0;
  for (const auto& [name, bytes] : tensors_of(score_model()))
    if (name.starts_with("backbone.") && tensors.at(name) != bytes) ++n;
  return n;
}

}  // namespace

TEST_CASE("aikd-train: what is trained, and how") {
  const TrainFolder folder;
  static const int last = moved(trained(folder, ""));  // once for all subcases
  CHECK(last > 12);                                    // 12 parameters and some statistics
  CHECK(last < 40);

  SUBCASE("the head alone") {
    CHECK(moved(trained(folder, "--limit 0 --cosine-weight 0")) == 0);
    const auto row = rows_of(folder / "run/metrics.jsonl").back();
    CHECK(row["lr_backbone"] == 0);
    CHECK(row["cosine_loss"] == 0);
    CHECK(rows_of(folder / "run/validation.jsonl").back()["cosine_misaligned"].is_null());
  }
  SUBCASE("everything") {
    const auto all = trained(folder, "--limit all");
    CHECK(moved(all) > 150);
    CHECK((trained(folder, "--limit -1") == all));
  }
  SUBCASE("the distillation alone leaves the head where weight decay leads it") {
    trained(folder, "--quality-weight 0 --head-weight-decay 0");
    for (const ordered_json& row : rows_of(folder / "run/metrics.jsonl"))
      CHECK(row["loss"] == row["cosine_loss"]);
    const auto first = tensors_of(folder / "run/last.safetensors");
    CHECK(moved(first) == last);
    const auto untouched =
        trained(folder, "--quality-weight 0 --head-weight-decay 0 --backbone-lr 0 --head-lr 1");
    CHECK(first.at("head.l1.weight") == untouched.at("head.l1.weight"));
  }
  SUBCASE("the norm over all gradients") {
    CHECK(moved(trained(folder, "--clip-over all")) >= last);
  }
  SUBCASE("aligned crops only") {
    trained(folder, "--no-misalign");
    const auto row = rows_of(folder / "run/validation.jsonl").front();
    CHECK(row["loss_misaligned"] != row["loss_aligned"]);  // measured on moved landmarks all the same
  }
  SUBCASE("as published") {
    trained(folder, "--as-published --pretrain 0.5 --warmup 1");
    const auto rows = rows_of(folder / "run/metrics.jsonl");
    CHECK(rows[0]["lr_head"] == 0);  // sin(0)
    CHECK(rows[1]["lr_head"].get<double>() == doctest::Approx(0.05 * std::sin(std::acos(-1.0) / 4)));
    CHECK(metadata_of(folder / "run/last.safetensors").at("aikd.label_map") == "none");
    CHECK(metadata_of(folder / "run/last.safetensors").at("aikd.score_map") == "none");
    CHECK(rows_of(folder / "run/validation.jsonl").front()["step"] == 3);  // behind pretrain, then the end
  }
  SUBCASE("DifFIQA(R)") {
    const auto tensors =
        trained(folder, "--report --method diffiqa-r --max-steps 2 --split identity --val-fraction 0.3");
    CHECK(tensors.contains("head.weight"));
    CHECK(metadata_of(folder / "run/last.safetensors").at("aikd.family") == "diffiqa-r");
    CHECK(rows_of(folder / "run/metrics.jsonl").back()["cosine_loss"] == 0);
    CHECK(has(read_text(folder / "run/report.html"), "DifFIQA(R) training"));
  }
  SUBCASE("one validation image has no rank, and no jitter is measured on it") {
    trained(folder, "--report");
    CHECK(fs::exists(folder / "run/invariance.csv"));
    trained(folder, "--report --val-stride 100");
    const auto row = rows_of(folder / "run/validation.jsonl").back();
    CHECK(row["images"] == 1);
    CHECK(row["spearman_invariance"].is_null());
    CHECK_FALSE(fs::exists(folder / "run/invariance.csv"));  // nor that of the run before is left
    CHECK(has(read_text(folder / "run/report.html"), "Fewer than two"));
  }
}

TEST_CASE("aikd-train: --overwrite begins anew and leaves what is not the run's") {
  const TrainFolder folder;
  REQUIRE(folder.train("--report --max-steps 2 --seed 3").exit_code == 0);
  write_text(folder / "run/notes.txt", "mine");
  REQUIRE(folder.train("--max-steps 4 --seed 4 --overwrite").exit_code == 0);
  CHECK(read_text(folder / "run/notes.txt") == "mine");
  CHECK(rows_of(folder / "run/metrics.jsonl").size() == 4);
  CHECK_FALSE(fs::exists(folder / "run/report.html"));
  CHECK_FALSE(fs::exists(folder / "run/invariance.csv"));
}

TEST_CASE("aikd-train: the original's train_config.yaml, and a configuration that reads back equal") {
  const TrainFolder folder;
  write_text(folder / "original.yaml",
             R"(base: {epochs: 1, verbose: 1, save_path: "theirs", seed: 42069, device: "cpu",
  amp: 0, validate_every: 0.5, pretrain: .3, warmup: .5}
dataset: {image_location: "faces", quality_location: "labels.csv", landms_location: "landmarks.csv", misalign: 1,
  val_percent: 0.25}
dataloader:
  train: {params: {batch_size: 4, shuffle: 1, pin_memory: 1, num_workers: 2}}
  val: {params: {batch_size: 4, pin_memory: 1, num_workers: 2}}
model: {config: "./configs/model_config.yaml"}
scheduler: {module: torch.optim.lr_scheduler.LambdaLR}
optimizer:
  module: "torch.optim.SGD"
  group_1: {params: "quality_head", lr: 0.05, weight_decay: 5.e-4, momentum: 0.9}
  group_2: {params: "feature_extractor", lr: 0.04, limit: 9, momentum: 0.1}
loss:
  quality: {module: "torch.nn.SmoothL1Loss", params: {beta: 0.25}}
  consistency: {module: "torch.nn.CosineEmbeddingLoss"}
wandb: {use: 0, project: "ai-kd"}
)");
  const auto program_on = [&](const std::string& arguments) {
    return aikd::test::run("cd " + quote(folder.path()) + " && " + quote(program("aikd-train")) + " " +
                           arguments);
  };
  const std::string given = "-c original.yaml --head-width 8 --teacher " + quote(score_model());
  const RunResult dumped = program_on(given + " --dump-config");
  REQUIRE_MESSAGE(dumped.exit_code == 0, dumped.err);
  CHECK_FALSE(fs::exists(folder / "theirs"));
  CHECK(has(dumped.out, "limit: 9"));
  write_text(folder / "dumped.yaml", dumped.out);
  CHECK(program_on("-c dumped.yaml --dump-config").out == dumped.out);

  const RunResult r = program_on(given);
  REQUIRE_MESSAGE(r.exit_code == 0, r.err);
  CHECK(has(r.err, "is that of the original's AI-KD"));
  CHECK(read_text(folder / "theirs/config.yaml") == dumped.out);
  const auto row = rows_of(folder / "theirs/metrics.jsonl").back();
  CHECK(row["step"] == 4);
  CHECK(row["lr_backbone"] == 0.04);
  CHECK(rows_of(folder / "theirs/validation.jsonl").back()["images"] == 6);
}

TEST_CASE("aikd-train: a loss that runs away ends the run with 3 and leaves its checkpoint") {
  const TrainFolder folder;
  REQUIRE(folder.train("--max-steps 3 --epochs 9 --checkpoint-every 1").exit_code == 0);
  fs::copy(folder / "run", folder / "saved");

  SUBCASE("times what it was") {
    const RunResult r =
        folder.train("--overwrite --report --epochs 9 --head-lr 1e4 --clip 0 --validate-every 9");
    CHECK(r.exit_code == 3);
    CHECK_MESSAGE(has(r.err, "aikd-train: The loss rose to "), r.err);
    CHECK(has(r.err, "more than 10 times the "));
    CHECK(has(r.err, "best at step 0"));
    CHECK_FALSE(fs::exists(folder / "run/last.safetensors"));
    CHECK(has(read_text(folder / "run/report.html"), "The loss rose to "));
    const auto n = rows_of(folder / "run/metrics.jsonl").size();
    CHECK(n >= 2);
    CHECK(n < 20);
    // Where it is allowed it goes further.
    const RunResult on = folder.train(
        "--epochs 9 --head-lr 1e4 --clip 0 --validate-every 9 --divergence-limit 0 "
        "--max-steps 9 --check-nan");
    CHECK(rows_of(folder / "run/metrics.jsonl").size() > n);
    CHECK_MESSAGE((on.exit_code == 0 || on.exit_code == 3), on.err);
  }
  SUBCASE("later, with a checkpoint before it") {
    // Goes on with the saved run: divergence-limit may change.
    const auto before = contents(folder / "run");
    const RunResult r = folder.train("--epochs 9 --checkpoint-every 1 --divergence-limit 0.001");
    CHECK(r.exit_code == 3);
    CHECK_MESSAGE(
        has(r.err, "The run ended at step 4; its last checkpoint was left as it was; best at step "), r.err);
    for (const char* name : {"checkpoint-last.safetensors", "checkpoint-previous.safetensors",
                             "best.safetensors", "last.safetensors"})
      CHECK((read_text(folder / "run" / name) == before.at(name)));
    REQUIRE(folder.train("--epochs 9 --max-steps 5").exit_code == 0);
    CHECK(rows_of(folder / "run/metrics.jsonl").size() == 5);
  }
  SUBCASE("no number, looked for") {
    const RunResult r = folder.train(
        "--overwrite --epochs 9 --head-lr 1e30 --clip 0 --check-nan --log-every 50 "
        "--validate-every 9");
    CHECK(r.exit_code == 3);
    CHECK_MESSAGE(has(r.err, "In step 2 the loss is not finite (check-nan)."), r.err);
  }
  SUBCASE("no number, told by the log") {
    const RunResult r = folder.train(
        "--overwrite --epochs 9 --head-lr 1e30 --clip 0 --log-every 3 "
        "--validate-every 9");
    CHECK(r.exit_code == 3);
    CHECK_MESSAGE(has(r.err, "The loss was no number in 2 of the last 3 steps."), r.err);
    CHECK(rows_of(folder / "run/metrics.jsonl").back()["skipped"] == 2);
  }
}
