#include "aikd/train_config_original.h"

#include <algorithm>

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
bool any_has(const std::vector<std::string>& notes, const std::string& part) {
  return std::any_of(notes.begin(), notes.end(), [&](const std::string& note) { return has(note, part); });
}

// Keys and values of LSIbabnikz/AI-KD configs/train_config.yaml.
constexpr const char* kAikdOriginal =
    R"(base: {epochs: 1, verbose: 1, save_path: "./weights", seed: 42069, device: "cuda:0",
  amp: 1, validate_every: 0.1, pretrain: .3, warmup: .5}
dataset: {image_location: "faces", quality_location: "q.pkl", landms_location: "l.pkl", misalign: 1, val_percent: 0.01}
dataloader:
  train: {params: {batch_size: 64, shuffle: 1, pin_memory: 1, num_workers: 10}}
  val: {params: {batch_size: 32, pin_memory: 1, num_workers: 10}}
model: {config: "./configs/model_config.yaml"}
ema: {module: torch.optim.swa_utils.SWALR, params: {anneal_strategy: linear, anneal_epochs: 10, swa_lr: 0.05}, ema_alpha: 0.1}
scheduler: {module: torch.optim.lr_scheduler.LambdaLR}
grad_scaler: {module: torch.cuda.amp.GradScaler, params: {init_scale: 256}}
optimizer:
  module: "torch.optim.SGD"
  group_1: {params: "quality_head", lr: 0.05, weight_decay: 5.e-4, momentum: 0.9}
  group_2: {params: "feature_extractor", lr: 0.04, limit: 90, momentum: 0.1}
loss:
  quality: {module: "torch.nn.SmoothL1Loss", params: {beta: 0.25}}
  consistency: {module: "torch.nn.CosineEmbeddingLoss"}
wandb: {use: 0, project: "ai-kd"}
)";

// Keys and values of LSIbabnikz/DifFIQA diffiqa(r)/configs/train_config.yaml.
constexpr const char* kDiffiqaOriginal =
    R"(base: {epochs: 1, verbose: 1, save_path: "./model_weights", seed: 42069, device: "cuda:0"}
dataset: {val_split: 0.1, quality_loc: "./quality_scores", image_loc: "faces"}
dataloader:
  train: {params: {batch_size: 128, shuffle: True, pin_memory: True, num_workers: 10}}
  val: {params: {batch_size: 128, pin_memory: True}}
model: {config: "./configs/model_config.yaml"}
optimizer:
  module: "torch.optim.Adam"
  group_1: {params: "linear", lr: 1.0e-3}
  group_2: {params: "base", lr: 1.0e-4, limit: 100}
loss: {module: "torch.nn.L1Loss"}
wandb: {use: 1, project: "x"}
)";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("the original's AI-KD configuration is taken as it is") {
  std::vector<std::string> notes;
  const TrainConfig config = from_yaml(kAikdOriginal, &notes);
  TrainConfig expected;
  expected.epochs = 1;
  expected.run = "./weights";
  expected.device = "cuda:0";
  expected.precision = Precision::kFp16;
  expected.images = {"faces"};
  expected.labels = {"q.pkl"};
  expected.landmarks = {"l.pkl"};
  expected.val_stride = 100;
  expected.val_batch = 32;
  expected.workers = 10;
  expected.loss_scale = 256;
  expected.head_weight_decay = 5e-4;
  expected.backbone_lr = 0.04;
  expected.backbone_momentum = 0.1;
  expected.limit = 90;
  expected.quality_loss = QualityLoss::kSmoothL1;
  expected.quality_beta = 0.25;
  expected.exif = false;
  CHECK(config == expected);
  for (const char* part : {"base.verbose in 'c.yaml' has no effect here", "model.config in",
                           "ema.ema_alpha in", "ema.params.swa_lr in", "wandb.use in",
                           "dataloader.train.params.shuffle in", "is that of the original's AI-KD: EXIF"})
    CHECK_MESSAGE(any_has(notes, part), part);
  // The command line wins.
  Settings settings = parse_train_config(kAikdOriginal, "c.yaml", notes);
  settings.push_back({"device", {"cpu"}, ""});
  settings.push_back({"as-published", {"true"}, ""});
  const TrainConfig won = make_train_config(settings);
  CHECK(won.device == "cpu");
  CHECK(won.clip_over == ClipOver::kAll);
  CHECK(won.limit == 90);
}

TEST_CASE("the original's DifFIQA(R) configuration is taken as it is") {
  std::vector<std::string> notes;
  const TrainConfig config = from_yaml(kDiffiqaOriginal, &notes);
  TrainConfig expected = train_defaults(TrainMethod::kDiffiqaR, false);
  expected.run = "./model_weights";
  expected.device = "cuda:0";
  expected.images = {"faces"};
  expected.labels = {"./quality_scores"};
  expected.workers = 10;
  expected.head_momentum = expected.backbone_momentum = 0;
  expected.exif = false;
  CHECK(config == expected);
  CHECK(any_has(notes, "is that of the original's DifFIQA(R)"));
}

TEST_CASE("what a group of the original leaves out is torch's default") {
  const std::string without = replaced(kAikdOriginal, ", limit: 90, momentum: 0.1", "");
  const TrainConfig config = from_yaml(replaced(without, ", weight_decay: 5.e-4, momentum: 0.9", ""));
  CHECK(config.limit == TrainConfig::kAllTensors);
  CHECK(config.head_momentum == 0);
  CHECK(config.backbone_momentum == 0);
  CHECK(config.head_weight_decay == 0);
  // Groups may stand the other way round, and Adam has its own names.
  const TrainConfig turned = from_yaml(
      "optimizer:\n  module: torch.optim.Adam\n"
      "  group_1: {params: base, lr: 0.25, betas: [0.5, 0.75], eps: 1.e-6}\n  group_2: {params: linear, lr: "
      "0.5}\n"
      "loss: {module: torch.nn.L1Loss}\nbase: {amp: 0}\n");
  CHECK(turned.backbone_lr == 0.25);
  CHECK(turned.head_lr == 0.5);
  CHECK(turned.adam_beta1 == 0.5);
  CHECK(turned.adam_beta2 == 0.75);
  CHECK(turned.adam_eps == 1e-6);
  CHECK(turned.precision == Precision::kFp32);
}

TEST_CASE("a wrong original configuration has its own sentence") {
  const std::pair<std::pair<const char*, const char*>, const char*> cases[] = {
      {{"validate_every", "validate_evry"},
       "the key 'base.validate_evry' is not known; did you mean 'base.validate_every'?"},
      {{"momentum: 0.1", "momentun: 0.1"},
       "'optimizer.group_2.momentun' is not known; did you mean 'optimizer.group_2.momentum'?"},
      {{"torch.optim.SGD", "torch.optim.LBFGS"},
       "the key 'optimizer.module' must be torch.optim.SGD or torch.optim.Adam; got 'torch.optim.LBFGS'."},
      {{"SmoothL1Loss", "MSELoss"},
       "the key 'loss.quality.module' must be torch.nn.SmoothL1Loss or torch.nn.L1Loss"},
      {{"CosineEmbeddingLoss", "MSELoss"},
       "the key 'loss.consistency.module' must be torch.nn.CosineEmbeddingLoss"},
      {{"\"feature_extractor\"", "\"body\""},
       "the key 'optimizer.group_2.params' must be quality_head, linear, feature_extractor or base; got "
       "'body'."},
      {{"params: \"feature_extractor\", ", ""}, "has no 'params', which name the part of the model."},
      {{"lr: 0.05, weight", "lr: 0.05, limit: 3, weight"}, "a 'limit' is understood for the backbone only"},
      {{"amp: 1", "amp: 2"}, "the key 'base.amp' must be 0 or 1; got '2'."},
      {{"val_percent: 0.01", "val_percent: 0.9"}, "must be a share above 0 and at most 0.5; got '0.9'."},
      {{"val_percent: 0.01", "val_percent: x"}, "must be a share above 0 and at most 0.5; got 'x'."},
      {{"amp: 1", "amp: [1, 2]"}, "the key 'base.amp' takes one value; got 2."},
      {{"momentum: 0.1", "betas: [1]"}, "takes two values; got 1."},
      {{"epochs: 1", "epochs: 0"}, "line 1: the option epochs must be a whole number"},
  };
  for (const auto& [change, expected] : cases) {
    CAPTURE(expected);
    const std::string sentence = sentence_of(replaced(kAikdOriginal, change.first, change.second));
    CHECK_MESSAGE(has(sentence, expected), sentence);
    CHECK(has(sentence, "The configuration 'c.yaml', line "));
  }
}
