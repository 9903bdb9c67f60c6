// Whether a run may be gone on with: what checkpoints remember of its configuration and data.
#include <algorithm>

#include "aikd/checkpoint.h"
#include "tensor/error.h"
#include "tests/support/test.h"

using namespace aikd;
using nlohmann::ordered_json;

namespace {

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

}  // namespace

TEST_CASE("the fingerprint of the data sees every item, its numbers and its side") {
  const auto make = [](std::size_t n) {
    std::vector<DatasetItem> items;
    for (std::size_t i = 0; i < n; ++i) {
      DatasetItem item{concat("/here/p", 10'000 + i, "/a.jpg"), concat("p", 10'000 + i, "/a.jpg"), "",
                       kReferenceLandmarks, 0.25 * static_cast<double>(i)};
      item.landmarks[0].x += static_cast<double>(i % 3);
      items.push_back(item);
    }
    return items;
  };
  const auto print = [](const std::vector<DatasetItem>& items, std::vector<std::size_t> validation = {0}) {
    Split split;
    for (std::size_t i = 0; i < items.size(); ++i)
      if (std::find(validation.begin(), validation.end(), i) == validation.end()) split.training.push_back(i);
    split.validation = std::move(validation);
    return data_fingerprint(Dataset::make(items), split);
  };
  const std::string whole = print(make(9000));  // three blocks
  CHECK(whole.size() == 64);
  CHECK(whole == print(make(9000)));
  CHECK(whole != print(make(8999)));
  CHECK(whole != print(make(9000), {1}));
  for (const std::size_t i : {std::size_t{0}, std::size_t{4095}, std::size_t{4096}, std::size_t{8999}}) {
    CAPTURE(i);
    auto items = make(9000);
    items[i].label += 1e-12 * (1 + items[i].label);
    CHECK(whole != print(items));
    items = make(9000);
    items[i].landmarks[4].y += 1e-9;
    CHECK(whole != print(items));
    items = make(9000);
    items[i].key += "x";
    CHECK(whole != print(items));
    items = make(9000);
    items[i].path = "/elsewhere" + items[i].path;
    CHECK(whole == print(items));
  }
}

TEST_CASE("a run is gone on with only as it was begun") {
  const TrainConfig begun;
  const Fingerprints prints{{"data", std::string(64, 'a')}, {"teacher", std::string(64, 'b')}};
  const ordered_json saved = ordered_json::parse(describe_run(begun, prints).dump());
  CHECK(check_resume(saved, begun, prints).empty());

  TrainConfig now = begun;
  now.batch = 32;
  now.quality_loss = QualityLoss::kSmoothL1;
  CHECK(config_hash(now) != config_hash(begun));
  const std::string sentence = sentence_of(ErrorKind::kUsage, [&] { check_resume(saved, now, prints); });
  CHECK_MESSAGE(sentence ==
                    "The run cannot be gone on with: quality-loss was l1 and is smooth-l1; batch was 64 and "
                    "is 32. Give "
                    "what it began with, or --overwrite to begin anew.",
                sentence);

  // What may differ: told, unless it is a path, whose content the fingerprints compare.
  now = begun;
  now.workers = 9;
  now.device = "cuda:0";
  now.images = {"/moved"};
  now.teacher = "/moved/teacher.safetensors";
  now.run = "/moved/run";
  now.epochs = 3;
  const std::vector<std::string> notes = check_resume(saved, now, prints);
  CHECK(config_hash(now) == config_hash(begun));
  REQUIRE(notes.size() == 3);
  CHECK(notes[0] == "The option epochs was 1 and is 3 from here on.");
  CHECK(notes[1] == "The option workers was 0 and is 9 from here on.");
  CHECK(notes[2] ==
        "The option device was auto and is cuda:0 from here on; another device rounds differently.");

  // With a cosine every rate depends on how many steps there will be.
  TrainConfig cosine = begun, longer = begun;
  cosine.decay = longer.decay = nn::Decay::kCosine;
  longer.epochs = 3;
  CHECK(
      has(sentence_of(ErrorKind::kUsage, [&] { check_resume(describe_run(cosine, prints), longer, prints); }),
          "epochs was 1 and is 3"));

  Fingerprints other = prints;
  other["data"] = std::string(64, 'c');
  CHECK(has(sentence_of(ErrorKind::kUsage, [&] { check_resume(saved, begun, other); }),
            "data is not what the run began with (SHA-256 aaaaaaaaaaaa then, cccccccccccc now)"));
  other = prints;
  other["student"] = std::string(64, 'd');
  CHECK(has(sentence_of(ErrorKind::kUsage, [&] { check_resume(saved, begun, other); }),
            "student is not what the run began with (SHA-256 none then, dddddddddddd now)"));
}

TEST_CASE("every option that is fixed is compared, and every other is not refused") {
  const Fingerprints prints;
  const ordered_json saved = describe_run(TrainConfig(), prints);
  for (const TrainOption& option : train_options()) {
    CAPTURE(option.name);
    ordered_json changed = saved;
    changed["config"][option.name] = {"something else"};
    const std::string sentence =
        sentence_of(ErrorKind::kUsage, [&] { check_resume(changed, TrainConfig(), prints); });
    const bool free =
        option.resume != TrainOption::Resume::kFixed || option.name == "epochs" || option.name == "max-steps";
    CHECK(sentence.empty() == free);
    // A run begun before the option was there had its default.
    changed["config"].erase(option.name);
    CHECK(check_resume(changed, TrainConfig(), prints).empty());
  }
}

TEST_CASE("a checkpoint that does not describe its run is refused") {
  for (const char* text : {"{}", "[]", "{\"config\":{}}", "{\"config\":{\"batch\":3},\"fingerprints\":{}}"})
    CHECK(has(
        sentence_of(ErrorKind::kModel, [&] { check_resume(ordered_json::parse(text), TrainConfig(), {}); }),
        "does not say what its run was begun with"));
}
