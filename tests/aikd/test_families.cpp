#include "aikd/families.h"

#include "tests/aikd/model_fixtures.h"

using namespace aikd;
using namespace aikd::test;

namespace {

Recognition recognise_with(const std::string& backbone_prefix, const std::string& kind,
                           const std::string& head_prefix, const FamilyRequest& request = {}) {
  StateDict dict = backbone_dict("mobilefacenet", backbone_prefix);
  if (kind != "none") append_head(dict, kind, head_prefix);
  return recognise(dict, request);
}

}  // namespace

TEST_CASE("families: each is told from the names its authors' code gives") {
  struct Case {
    const char *backbone, *kind, *head, *family;
  };
  for (const Case& c :
       {Case{"feature_extractor.", "mlp", "quality_head.", "ai-kd"},
        Case{"base_model.", "mlp", "mlp.", "ediffiqa"},
        Case{"base_model.", "mlp", "quality_head.", "ediffiqa"},
        Case{"base.", "linear", "linear.", "diffiqa-r"}, Case{"0.", "linear", "1.", "diffiqa-r"},
        Case{"base_model.", "linear", "quality_head.", "diffiqa-r"}, Case{"", "linear", "qs.", "cr-fiqa"},
        Case{"backbone.", "linear", "backbone.qs.", "cr-fiqa"},
        Case{"features.module.", "none", "", "magface"}, Case{"features.", "none", "", "magface"},
        Case{"", "none", "", "backbone"}, Case{"arcface.", "none", "", "backbone"},
        Case{"student.feature_extractor.", "mlp", "student.quality_head.", "ai-kd"}}) {
    const Recognition r = recognise_with(c.backbone, c.kind, c.head);
    CHECK_MESSAGE(r.family == c.family, c.backbone, " ", c.head);
    CHECK(r.architecture == "mobilefacenet");
    CHECK(r.head == c.kind);
    CHECK(r.backbone_prefix == c.backbone);
    CHECK(r.head_prefix == c.head);
    CHECK(r.embedding_size == 16);
    CHECK(r.hidden_size == (r.head == "mlp" ? 32 : 0));
  }
}

TEST_CASE("families: depths of iResNet are counted") {
  for (const char* name : {"iresnet18", "iresnet34", "iresnet50"}) {
    CHECK(recognise(backbone_dict(name, "")).architecture == name);
  }
  CHECK(recognise(backbone_dict("mobilefacenet-v2", "module.")).architecture == "mobilefacenet-v2");
}

TEST_CASE("families: pre-processing and epsilon are the family's own") {
  const Recognition plain = recognise(backbone_dict("iresnet50", ""));
  CHECK(plain.preprocessing == Preprocessing());
  CHECK(plain.batch_norm_eps == 1e-5F);
  CHECK(plain.score_map.empty());
  const Recognition magface = recognise(backbone_dict("iresnet50", "features.module."));
  CHECK(magface.preprocessing.bgr);
  CHECK(magface.preprocessing.mean == std::array<float, 3>{0, 0, 0});
  CHECK(magface.preprocessing.std == std::array<float, 3>{1, 1, 1});
  CHECK(magface.batch_norm_eps == 2e-5F);
  CHECK(magface.score_map == "sigmoid:23,2.6");
  CHECK(recognise(backbone_dict("iresnet18", "features.module.")).score_map.empty());
  const Recognition v2 = recognise(backbone_dict("mobilefacenet-v2", ""));
  CHECK(v2.preprocessing.mean == std::array<float, 3>{0.485F, 0.456F, 0.406F});
  CHECK(v2.preprocessing.std == std::array<float, 3>{0.229F, 0.224F, 0.225F});
}

TEST_CASE("families: the user may say which one it is") {
  CHECK(recognise(backbone_dict("iresnet18", ""), {.family = "magface"}).batch_norm_eps == 2e-5F);
  CHECK(recognise_with("feature_extractor.", "mlp", "quality_head.", {.family = "ediffiqa"}).family ==
        "ediffiqa");
  CHECK(recognise_with("feature_extractor.", "mlp", "quality_head.", {.family = "backbone"}).head == "none");
  CHECK(recognise_with("", "none", "", {.architecture = "mobilefacenet"}).family == "backbone");
}

TEST_CASE("families: what is not a known model says what was found and what is known") {
  const StateDict torchvision{{"conv1.weight", Tensor::zeros({64, 3, 7, 7})},
                              {"layer1.0.conv1.weight", Tensor::zeros({64, 64, 3, 3})},
                              {"fc.weight", Tensor::zeros({1000, 512})},
                              {"a\x1b[2J", Tensor::zeros({1})},
                              {"e", Tensor::zeros({1})},
                              {"f", Tensor::zeros({1})}};
  const std::string message = message_of([&] { recognise(torchvision); });
  CHECK_CONTAINS(
      message,
      "The model is of no known family: it holds 6 tensors, 'conv1.weight', 'layer1.0.conv1.weight', "
      "'fc.weight', ");
  CHECK_CONTAINS(message, "and 1 more. Known are AI-KD");
  CHECK(message.find('\x1b') == std::string::npos);
  CHECK_CONTAINS(message_of([] { recognise({}); }), "it holds 0 tensors, nothing.");
}

TEST_CASE("families: the normalising MobileFaceNet of eDifFIQA T is refused by name") {
  const StateDict dict{{"base_model.conv_6_dw.conv.weight", Tensor::zeros({512, 1, 7, 7})}};
  CHECK_CONTAINS(message_of([&] { recognise(dict); }), "whose embedding is L2-normalised inside the network");
}

TEST_CASE("families: several backbones need a prefix") {
  StateDict dict = backbone_dict("mobilefacenet", "student.");
  append(dict, *nn::make_backbone("mobilefacenet", 16, 1e-5F), "teacher.");
  CHECK(message_of([&] { recognise(dict); }) ==
        "There are 2 backbones, under the prefixes 'student.', 'teacher.'; say which one to take with "
        "--prefix.");
  CHECK(recognise(dict, {.prefix = "teacher."}).backbone_prefix == "teacher.");
  CHECK_CONTAINS(
      message_of([&] { recognise(dict, {.prefix = "ema."}); }),
      "There is no known backbone under the prefix 'ema.'; the 666 tensors are 'student.conv1.conv.weight'");
}

TEST_CASE("families: several heads are ambiguous") {
  StateDict dict = backbone_dict("mobilefacenet", "base.");
  append_head(dict, "linear", "linear.");
  append_head(dict, "mlp", "quality_head.");
  CHECK(message_of([&] { recognise(dict); }) ==
        "There are 2 quality heads, 'quality_head.*', 'linear.*'; leave out all but one with --drop.");
}

TEST_CASE("families: contradictions are refused") {
  CHECK(message_of([] { recognise_with("", "none", "", {.architecture = "iresnet18"}); }) ==
        "The architecture 'iresnet18' was asked for, but the tensors are those of mobilefacenet.");
  CHECK(message_of([] { recognise_with("", "none", "", {.family = "ai-kd"}); }) ==
        "The family ai-kd has a quality head of kind 'mlp', but the tensors have no quality head.");
  CHECK(message_of([] { recognise_with("base.", "linear", "linear.", {.family = "ai-kd"}); }) ==
        "The family ai-kd has a quality head of kind 'mlp', but the tensors have one of kind 'linear'.");
  CHECK(message_of([] { recognise({}, {.family = "aikd"}); }) ==
        "There is no model family 'aikd'; known are ai-kd, diffiqa-r, ediffiqa, cr-fiqa, magface, backbone.");
}

TEST_CASE("families: an iResNet of unknown depth is refused with its depths") {
  StateDict dict = backbone_dict("iresnet34", "");
  std::erase_if(dict, [](const auto& entry) { return entry.name.starts_with("layer3.5."); });
  CHECK_CONTAINS(message_of([&] { recognise(dict); }),
                 "an iResNet with 3, 4, 5, 3 blocks in its four layers");
}

TEST_CASE("families: a backbone without the tensor that tells its embedding is refused") {
  StateDict dict = backbone_dict("iresnet18", "");
  remove_named(dict, "fc.weight");
  CHECK(message_of([&] { recognise(dict); }) ==
        "The iresnet18 lacks 'fc.weight', which tells the size of its embedding.");
}

TEST_CASE("families: a name that stands twice is refused") {
  StateDict dict = backbone_dict("mobilefacenet", "");
  dict.push_back(dict.front());
  CHECK(message_of([&] { recognise(dict); }) == "The tensor 'conv1.conv.weight' is in the file twice.");
}

TEST_CASE("families: leftovers of training are known") {
  const Recognition magface = recognise(backbone_dict("iresnet18", "features.module."));
  CHECK(is_training_leftover("fc.weight", magface));
  const Recognition plain = recognise(backbone_dict("iresnet18", ""));
  CHECK_FALSE(is_training_leftover("fc.weight", plain));
  CHECK(is_training_leftover("kernel", plain));
  CHECK_FALSE(is_training_leftover("layer5.0.conv1.weight", plain));
  const Recognition arcface = recognise_with("arcface.", "none", "");
  CHECK(is_training_leftover("head.weight", arcface));
}

TEST_CASE("families: lists of names are cut") {
  CHECK(list_names({"a", "b"}) == "'a', 'b'");
  CHECK(list_names({"a", "b", "c"}, 1) == "'a' and 2 more");
}
