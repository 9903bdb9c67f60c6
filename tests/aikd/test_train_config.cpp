#include "aikd/train_config.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "tensor/error.h"
#include "tests/support/test.h"

using namespace aikd;

namespace {

using Settings = std::vector<TrainSetting>;

TrainConfig from_yaml(const std::string& text, std::vector<std::string>* notes = nullptr) {
  std::vector<std::string> ignored;
  return make_train_config(parse_train_config(text, "c.yaml", notes != nullptr ? *notes : ignored));
}

std::string sentence_of(const std::string& yaml) {
  try {
    from_yaml(yaml);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kUsage);
    return error.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
}  // namespace

TEST_CASE("the table of training options names each once and reads back what it prints") {
  std::set<std::string> names;
  for (const TrainOption& option : train_options()) {
    CAPTURE(option.name);
    CHECK(names.insert(option.name).second);
    CHECK_FALSE(option.group.empty());
    CHECK((option.kind == TrainOption::Kind::kFlag) == option.type.empty());
    CHECK(find_train_option(option.name) == &option);
    for (const TrainMethod method : {TrainMethod::kAikd, TrainMethod::kDiffiqaR}) {
      TrainConfig config = train_defaults(method, true);
      const TrainConfig before = config;
      option.set(config, option.get(config));
      CHECK(config == before);
    }
  }
  CHECK(names.size() > 60);
  CHECK(find_train_option("none-such") == nullptr);
}

TEST_CASE("docs/training-config.md has a true row for every option") {
  const std::string page = test::read_text(test::source_dir() / "docs" / "training-config.md");
  const auto shown = [](const TrainOption& option, const TrainConfig& config) -> std::string {
    const std::vector<std::string> values = option.get(config);
    return values.empty() || values.front().empty() ? "-" : values.front();
  };
  for (const TrainOption& option : train_options()) {
    const std::string standard = shown(option, train_defaults(TrainMethod::kAikd, false));
    const auto other = [&](TrainMethod method, bool as_published) {
      const std::string value = shown(option, train_defaults(method, as_published));
      return value == standard ? "" : value;
    };
    std::string type = option.kind == TrainOption::Kind::kFlag ? "flag" : option.type;
    if (option.kind == TrainOption::Kind::kList) type += "...";
    for (std::size_t at = type.find('|'); at != std::string::npos; at = type.find('|', at + 2))
      type.insert(at, "\\");
    const char* resume = option.resume == TrainOption::Resume::kFixed  ? "no"
                         : option.resume == TrainOption::Resume::kFree ? "yes"
                                                                       : "by content";
    const std::string row =
        concat("| `", option.name, "` | ", type, " | ", standard, " | ", other(TrainMethod::kAikd, true),
               " | ", other(TrainMethod::kDiffiqaR, false), " | ", resume, " | ", option.help, " |\n");
    CHECK_FALSE(option.help.empty());
    CHECK_MESSAGE(has(page, row), row);
  }
}

TEST_CASE("every option of the table changes one thing of the configuration, its own") {
  // Another legal value for each; what get() says of the others must not move.
  for (const TrainOption& option : train_options()) {
    CAPTURE(option.name);
    TrainConfig config;
    const std::string now = option.get(config).empty() ? "" : option.get(config).front();
    std::vector<std::string> values;
    if (option.kind == TrainOption::Kind::kFlag) {
      values = {now == "true" ? "false" : "true"};
    } else if (option.kind == TrainOption::Kind::kList) {
      values = {"a b", "c: d"};
    } else if (has(option.type, "|") && option.type.front() != 'N' && option.type.front() != 'X') {
      const std::size_t bar = option.type.find('|');  // the second or the first word
      const std::string first = option.type.substr(0, bar);
      values = {now == first ? option.type.substr(bar + 1, option.type.find('|', bar + 1) - bar - 1) : first};
    } else if (option.type == "N" || option.type == "N|all") {
      values = {now == "7" ? "8" : "7"};
    } else if (option.type == "X" || option.type == "X|off") {
      for (const char* number : {"0.375", "1.5"})
        if (values.empty()) {
          try {
            TrainConfig scratch;
            option.set(scratch, {number});
            values = {number};
          } catch (const Error&) {
          }
        }
    } else {
      values = {"some where"};
    }
    REQUIRE_FALSE(values.empty());
    option.set(config, values);
    CHECK(option.get(config) == values);
    CHECK_FALSE(config == TrainConfig());
    for (const TrainOption& other : train_options())
      if (other.name != option.name) CHECK(other.get(config) == other.get(TrainConfig()));
  }
}

TEST_CASE("defaults are the paper's, and as-published those of the script") {
  const TrainConfig paper = make_train_config(Settings{});
  CHECK(paper == TrainConfig());
  CHECK(paper.quality_loss == QualityLoss::kL1);
  CHECK(paper.backbone_momentum == 0.9);
  CHECK(paper.clip_over == ClipOver::kTrained);
  CHECK(paper.perturb == 3);
  CHECK(paper.limit == 100);
  const TrainConfig script = from_yaml("as-published: true\n");
  CHECK(script.quality_loss == QualityLoss::kSmoothL1);
  CHECK(script.quality_beta == 0.5);
  CHECK(script.head_momentum == 0.9);
  CHECK(script.backbone_momentum == 0.1);
  CHECK(script.clip_over == ClipOver::kAll);
  CHECK(script.label_map == "none");
  CHECK(script.ema == 0);
  CHECK(script.warmup_from_zero);
  CHECK(script.validate_after_pretrain);
  CHECK(script.keep_best == KeepBest::kQualityAligned);
  CHECK_FALSE(script.exif);
  const TrainConfig sibling = from_yaml("method: diffiqa-r\n");
  CHECK(sibling.optimiser == nn::OptimiserKind::kAdam);
  CHECK(sibling.head_lr == 1e-3);
  CHECK(sibling.backbone_lr == 1e-4);
  CHECK(sibling.cosine_weight == 0);
  CHECK(sibling.batch == 128);
  CHECK(sibling.val_stride == 10);
  CHECK(sibling.label_map == "minmax");
  CHECK(from_yaml("method: diffiqa-r\nas-published: 1\n").clip_over == ClipOver::kAll);
}

TEST_CASE("later settings win, and defaults are those of the method wherever it is named") {
  std::vector<std::string> notes;
  Settings settings = parse_train_config("batch: 32\nlimit: all\nema: off\n", "c.yaml", notes);
  settings.push_back({"batch", {"16"}, ""});
  settings.push_back({"method", {"diffiqa-r"}, ""});
  const TrainConfig config = make_train_config(settings);
  CHECK(config.batch == 16);
  CHECK(config.limit == TrainConfig::kAllTensors);
  CHECK(config.ema == 0);
  CHECK(config.val_batch == 128);  // diffiqa-r's default
  CHECK(notes.empty());
  // An explicit value is not undone by a preset that is said later.
  CHECK(from_yaml("quality-loss: l1\nas-published: true\n").quality_loss == QualityLoss::kL1);
}

TEST_CASE("a resolved configuration reads back equal") {
  Settings settings{{"method", {"aikd"}, ""},
                    {"as-published", {"yes"}, ""},
                    {"images", {"a: b", "it's \"quoted\"", "# no remark", "true"}, ""},
                    {"labels", {}, ""},
                    {"teacher", {"- x"}, ""},
                    {"key-root", {"null"}, ""},
                    {"quality-weight", {"0.1"}, ""},
                    {"adam-eps", {"1e-08"}, ""},
                    {"limit", {"all"}, ""},
                    {"seed", {"9007199254740992"}, ""},
                    {"run", {"line\nbreak"}, ""}};
  for (const TrainConfig& config :
       {make_train_config(settings), TrainConfig(), train_defaults(TrainMethod::kDiffiqaR, true)}) {
    const std::string yaml = dump_train_config(config);
    CAPTURE(yaml);
    CHECK(from_yaml(yaml) == config);
    CHECK(dump_train_config(from_yaml(yaml)) == yaml);
  }
  const test::TempDir folder;
  test::write_text(folder / "c.yaml", dump_train_config(make_train_config(settings)));
  std::vector<std::string> notes;
  CHECK(make_train_config(read_train_config(folder / "c.yaml", notes)) == make_train_config(settings));
}

TEST_CASE("flags may be negated, keys may have underscores, null leaves the default") {
  CHECK_FALSE(from_yaml("no-misalign: true\n").misalign);
  CHECK(from_yaml("no-misalign: off\n").misalign);
  CHECK_FALSE(from_yaml("no_exif: 1\n").exif);
  CHECK(from_yaml("val_stride: 7\n").val_stride == 7);
  CHECK(from_yaml("batch:\nteacher: ~\n") == TrainConfig());
  CHECK(from_yaml("images: one\n").images == std::vector<std::string>{"one"});
}

TEST_CASE("each wrong configuration has its own sentence") {
  const std::pair<const char*, const char*> cases[] = {
      {"\nbacth: 3\n",
       "The configuration 'c.yaml', line 2: the key 'bacth' is not known; did you mean 'batch'?"},
      {"no-batch: 3\n", "the key 'no-batch' is not known"},
      {"qwertyuiop: 3\n", "the key 'qwertyuiop' is not known."},
      {"batch: [1, 2]\n", "line 1: the option batch takes one value; got 2."},
      {"batch: 1\n", "the option batch must be a whole number between 2 and 65536; got '1'."},
      {"batch: 2.5\n", "a whole number between 2 and 65536; got '2.5'"},
      {"batch: many\n", "got 'many'"},
      {"head-lr: -1\n", "the option head-lr must be a number at least 0"},
      {"head-lr: nan\n", "got 'nan'"},
      {"head-lr: inf\n", "got 'inf'"},
      {"head-momentum: 1\n", "the option head-momentum must be a number at least 0 and below 1; got '1'."},
      {"quality-beta: 0\n", "must be a number above 0"},
      {"val-fraction: 1\n", "must be a number above 0 and below 1; got '1'."},
      {"pretrain: 1.5\n", "must be a number at least 0 and at most 1; got '1.5'."},
      {"misalign: maybe\n", "the option misalign is true or false; got 'maybe'."},
      {"no-misalign: maybe\n", "the option misalign is true or false; got 'maybe'."},
      {"precision: fp8\n", "the option precision must be one of fp32|bf16|fp16; got 'fp8'."},
      {"limit: most\n", "the option limit must be a whole number between -1 and"},
      {"label-map: log\n", "The option label-map must be one of minmax|quantile|none; got 'log'."},
      {"identity-folder: 0\n", "The option identity-folder counts from 1, or is -1; got 0."},
      {"split: list\n", "The option split is list, so that val-identities must name a file."},
      {"val-identities: f\n", "The option val-identities needs split list; split is another."},
      {"quality-weight: 0\ncosine-weight: 0\n", "both 0: there is nothing to train"},
      {"limit: 0\n", "set cosine-weight to 0."},
      {"method: diffiqa-r\ncosine-weight: 1\n", "diffiqa-r has no teacher: cosine-weight must be 0; got 1."},
      {"head-lr: 0\nbackbone-lr: 0\n", "no learning rate is above 0"},
      {"misalign: false\nperturb-relative: 0.1\n", "The option perturb-relative needs misalign"},
      {"lr-end: 0.1\n", "The option lr-end needs decay cosine; got 0.1 with constant."},
  };
  for (const auto& [yaml, expected] : cases) {
    CAPTURE(yaml);
    const std::string sentence = sentence_of(yaml);
    CHECK_MESSAGE(has(sentence, expected), sentence);
  }
  CHECK(sentence_of("limit: 0\ncosine-weight: 0\n").empty());
  // A setting without a place: the command line.
  CHECK_THROWS_WITH_AS(make_train_config(Settings{{"clip", {"-1"}, ""}}),
                       "The option clip must be a number at least 0 and at most 1e+300; got '-1'.", Error);
  CHECK_THROWS_AS(make_train_config(Settings{{"none-such", {"1"}, ""}}), Error);
  std::vector<std::string> notes;
  CHECK_THROWS_AS(read_train_config("/nonexistent.yaml", notes), Error);
}

TEST_CASE("shares of an epoch become steps as in the script") {
  // In Python for L = 48543 (VGGFace2's 3.1 million images): int(L * .3) = 14562, int(14562 * .5) = 7281,
  // int(.1 * L) = 4854.
  const TrainPhases large = train_phases(TrainConfig(), 48543);
  CHECK(large.total_steps == 48543);
  CHECK(large.pretrain_end == 14562);
  CHECK(large.warmup_steps == 7281);
  CHECK(large.validate_steps == 4854);
  // int(29 * .1) = 2, int(.29 * 100) = 28: binary fractions, as there.
  TrainConfig config;
  config.pretrain = 0.29;
  CHECK(train_phases(config, 100).pretrain_end == 28);
  CHECK(train_phases(config, 29).validate_steps == 2);
  CHECK(train_phases(config, 3).validate_steps == 1);  // the script divides by 0
  config.epochs = 4;
  CHECK(train_phases(config, 10).total_steps == 40);
  CHECK(train_phases(config, 10).pretrain_end == 2);
  config.max_steps = 33;
  CHECK(train_phases(config, 10).total_steps == 33);
  CHECK_THROWS_AS(train_phases(config, 0), Error);
}

TEST_CASE("validations come at multiples, at the end, and behind pretrain where asked") {
  TrainConfig config;
  config.max_steps = 95;
  const auto when = [&config] {
    const TrainPhases phases = train_phases(config, 100);
    std::vector<std::int64_t> steps;
    for (std::int64_t done = 0; done <= phases.total_steps; ++done)
      if (phases.validates(done)) steps.push_back(done);
    return steps;
  };
  CHECK(when() == std::vector<std::int64_t>{0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95});
  config.validate_after_pretrain = true;
  CHECK(when() == std::vector<std::int64_t>{40, 50, 60, 70, 80, 90, 95});
  config.max_steps = 0;
  CHECK(when().size() == 7);  // the script's seven
  config.pretrain = 1;
  CHECK(when() == std::vector<std::int64_t>{100});  // never none at all
}

TEST_CASE("the schedule of a configuration") {
  TrainConfig config;
  const nn::ScheduleOptions schedule = train_schedule(config, train_phases(config, 100));
  CHECK(schedule.warm_up_steps == 15);
  CHECK(nn::learning_rate_factor(schedule, 13) < 1);
  CHECK(nn::learning_rate_factor(schedule, 14) == 1);
  config.decay = nn::Decay::kCosine;
  config.lr_end = 0.25;
  const nn::ScheduleOptions cosine = train_schedule(config, train_phases(config, 100));
  CHECK(!(std::abs(nn::learning_rate_factor(cosine, 100) - 0.25) > 1e-15));
  config.max_steps = 10;
  CHECK_THROWS_WITH_AS(train_schedule(config, train_phases(config, 100)),
                       "A cosine schedule of 10 steps has none left behind a warm-up of 15.", Error);
}

TEST_CASE("the nearest name is near or none") {
  const std::vector<std::string> names{"batch", "val-batch", "epochs"};
  CHECK(nearest_name("bathc", names) == "batch");
  CHECK(nearest_name("val_batch", names) == "val-batch");
  CHECK(nearest_name("epoch", names) == "epochs");
  CHECK(nearest_name("temperature", names).empty());
  CHECK(nearest_name("", {}).empty());
}
