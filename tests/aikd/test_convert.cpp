#include "aikd/convert.h"

#include <cstring>
#include <functional>
#include <limits>

#include "aikd/model_info.h"
#include "aikd/untrained.h"
#include "io/sha256.h"
#include "tests/aikd/model_fixtures.h"

using namespace aikd;
using namespace aikd::test;

namespace {

struct Fixture {
  TempDir dir;
  std::filesystem::path source = dir / "original.pth";
  Fixture() { write_text(source, "only hashed"); }
  Conversion run(StateDict dict, const ConvertOptions& options = {}) const {
    return convert(source_of(std::move(dict)), source, options);
  }
  // A PyTorch-like safetensors file.
  std::filesystem::path write(const StateDict& dict, const std::string& name) const {
    io::SafetensorsFile file;
    for (const auto& entry : dict) file.tensors.push_back({entry.name, entry.tensor});
    sort_for_writing(file);
    io::write_safetensors(dir / name, file);
    return dir / name;
  }
};

void check_same(StateDict expected, const io::SafetensorsFile& got) {
  REQUIRE(got.tensors.size() == expected.size());
  for (const auto& entry : expected) {
    const Tensor* tensor = got.find(entry.name);
    REQUIRE_MESSAGE(tensor != nullptr, entry.name);
    REQUIRE(tensor->shape() == entry.tensor.shape());
    REQUIRE(tensor->dtype() == entry.tensor.dtype());
    CHECK_MESSAGE(std::memcmp(tensor->raw(), entry.tensor.raw(), tensor->bytes()) == 0, entry.name);
  }
}

}  // namespace

TEST_CASE("convert: there and back gives the same names, shapes and bits") {
  const Fixture f;
  StateDict iresnet = backbone_dict("iresnet18", "base.", true, 8);
  append_head(iresnet, "linear", "linear.", true, 8);
  for (const StateDict& dict : {small_ai_kd(), iresnet, backbone_dict("mobilefacenet-v2", "", true)}) {
    const auto model = f.dir / "model.safetensors", back = f.dir / "back.safetensors";
    save_model(*f.run(dict).model, model);
    write_torch_layout(model, back);
    check_same(dict, io::read_safetensors(back));
    CHECK(io::read_safetensors(back).metadata.at("format") == "pt");
    // And the result converts again to the same tensors.
    const auto again = convert(read_source(back), back, {});
    const auto first = Model::load(model);
    const auto a = model_tensors(*first), b = model_tensors(*again.model);
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      CHECK(std::memcmp(a[i].tensor->raw(), b[i].tensor->raw(), a[i].tensor->bytes()) == 0);
    }
  }
}

TEST_CASE("convert: filters and flattened columns are permuted to our layouts") {
  const Fixture f;
  StateDict dict = backbone_dict("iresnet18", "", true, 8);
  const Tensor conv = tensor_named(dict, "layer2.0.conv1.weight"), fc = tensor_named(dict, "fc.weight");
  const auto result = f.run(dict);
  for (const auto& t : model_tensors(*result.model)) {
    if (t.name == "backbone.layer2.0.conv1.weight") {
      REQUIRE(t.tensor->shape() == Shape{128, 3, 3, 64});
      CHECK(t.tensor->values<float>()[((5 * 3 + 1) * 3 + 2) * 64 + 7] ==
            conv.values<float>()[((5 * 64 + 7) * 3 + 1) * 3 + 2]);
    }
    if (t.name == "backbone.fc.weight") {
      CHECK(t.tensor->values<float>()[3 * 25088 + 20 * 512 + 100] ==
            fc.values<float>()[3 * 25088 + 100 * 49 + 20]);
    }
  }
}

TEST_CASE("convert: half and double sources become fp32") {
  const Fixture f;
  for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF64}) {
    StateDict dict = small_ai_kd();
    for (auto& entry : dict) {
      if (is_floating(entry.tensor.dtype())) entry.tensor = entry.tensor.to(dtype);
    }
    const auto result = f.run(dict);
    CHECK(result.model->metadata().at("aikd.source_dtype") == name_of(dtype));
    StateDict expected = dict;
    for (auto& entry : expected) {
      if (is_floating(entry.tensor.dtype())) entry.tensor = entry.tensor.to(DType::kF32);
    }
    const auto model = f.dir / "m.safetensors", back = f.dir / "b.safetensors";
    save_model(*result.model, model);
    write_torch_layout(model, back);
    check_same(expected, io::read_safetensors(back));
  }
}

TEST_CASE("convert: provenance, pre-processing and mapping are recorded") {
  const Fixture f;
  ConvertOptions options;
  options.score_map = "sigmoid:1,2";
  options.preprocessing =
      R"({"width":112,"height":112,"order":"BGR","divide":1,"mean":[127.5,127.5,127.5],"std":[128,128,128]})";
  const auto result = f.run(small_ai_kd(), options);
  const auto& metadata = result.model->metadata();
  CHECK(metadata.at("aikd.source") == "original.pth");
  CHECK(metadata.at("aikd.source_sha256") == io::sha256_file(f.source));
  CHECK(metadata.at("aikd.source_container") == "zip");
  CHECK(metadata.at("aikd.source_key") == "state_dict");
  CHECK(metadata.at("aikd.backbone_prefix") == "feature_extractor.");
  CHECK(metadata.at("aikd.score_map") == "sigmoid:1,2");
  CHECK(result.model->preprocessing().bgr);
  CHECK(result.model->preprocessing().divide == 1.0F);
  CHECK(metadata.count("aikd.dropped") == 0);
  CHECK(f.run(backbone_dict("mobilefacenet", "features.module.", true))
            .model->metadata()
            .at("aikd.batch_norm_eps") == "2e-05");
}

TEST_CASE("convert: leftovers of training are dropped and reported and others are not") {
  const Fixture f;
  StateDict dict = backbone_dict("mobilefacenet", "arcface.", true);
  dict.push_back({"head.weight", Tensor::zeros({10, 16})});
  const auto result = f.run(dict);
  CHECK(result.dropped == std::vector<std::string>{"head.weight"});
  CHECK(result.model->metadata().at("aikd.dropped") == R"(["head.weight"])");

  dict.push_back({"arcface.layer9.weight", Tensor::zeros({1})});
  CHECK_CONTAINS(
      message_of([&] { f.run(dict); }),
      "1 tensor does not belong to mobilefacenet: 'arcface.layer9.weight'; leave them out with --drop");
  ConvertOptions options;
  options.request.drop = {"arcface.layer9."};
  CHECK(f.run(dict, options).dropped == std::vector<std::string>{"arcface.layer9.weight", "head.weight"});
  options.request.drop = {"nothing"};
  CHECK(message_of([&] { f.run(dict, options); }) == "There is no tensor to drop named 'nothing'.");
}

TEST_CASE("convert: asked for the backbone alone leaves the quality head out") {
  const Fixture f;
  ConvertOptions options;
  options.request.family = "backbone";
  const auto result = f.run(small_ai_kd(), options);
  CHECK(result.model->head() == nullptr);
  CHECK(result.dropped.size() == 4);
}

TEST_CASE("convert: every wrong tensor has its own sentence") {
  struct Case {
    std::string sentence;
    std::function<void(StateDict&)> spoil;
  };
  const float inf = std::numeric_limits<float>::infinity();
  const auto filled = [](Shape shape, float value) { return Tensor::full(shape, value); };
  const std::vector<Case> cases{
      {"1 tensor of mobilefacenet is missing: 'feature_extractor.sep_bn.running_var'.",
       [](StateDict& d) { remove_named(d, "feature_extractor.sep_bn.running_var"); }},
      {"The tensor 'feature_extractor.sep.weight' has the shape [512, 128], expected [512, 128, 1, 1].",
       [](StateDict& d) {
         tensor_named(d, "feature_extractor.sep.weight") = Tensor::zeros({512, 128});
       }},
      {"The tensor 'quality_head.l1.weight' has the shape [32, 8], expected [32, 16].",
       [](StateDict& d) {
         tensor_named(d, "quality_head.l1.weight") = Tensor::zeros({32, 8});
       }},
      {"The tensor 'quality_head.l1.weight' has the shape [32], expected [hidden, 16].",
       [](StateDict& d) { tensor_named(d, "quality_head.l1.weight") = Tensor::zeros({32}); }},
      {"The tensor 'quality_head.l2.bias' has the element type I32, expected F32, F16, BF16 or F64.",
       [](StateDict& d) { tensor_named(d, "quality_head.l2.bias") = Tensor::zeros({1}, DType::kI32); }},
      {"The tensor 'quality_head.l2.bias' holds a NaN at element 0.",
       [&](StateDict& d) { tensor_named(d, "quality_head.l2.bias") = filled({1}, inf - inf); }},
      {"The tensor 'quality_head.l2.bias' holds an infinite value",
       [&](StateDict& d) { tensor_named(d, "quality_head.l2.bias") = filled({1}, inf); }},
      {"The tensor 'quality_head.l2.bias' holds an infinite value (or one too large for a 32-bit float)",
       [](StateDict& d) {
         const double huge[] = {1e300};
         tensor_named(d, "quality_head.l2.bias") = Tensor::from<double>(huge, {1});
       }},
      {"The BatchNorm variance 'feature_extractor.last_bn.running_var' is negative (-1) at element 0.",
       [&](StateDict& d) { tensor_named(d, "feature_extractor.last_bn.running_var") = filled({16}, -1); }},
  };
  const Fixture f;
  for (const Case& c : cases) {
    StateDict dict = small_ai_kd();
    c.spoil(dict);
    const std::string message = message_of([&] { f.run(dict); });
    CHECK_CONTAINS(message, "original.pth' cannot be converted. ");
    CHECK_CONTAINS(message, c.sentence);
  }
}

TEST_CASE("convert: tensors that may be absent may be absent") {
  const Fixture f;
  StateDict dict = backbone_dict("iresnet18", "", true, 8);
  remove_named(dict, "features.weight");
  std::erase_if(dict, [](const auto& entry) { return entry.name.ends_with("num_batches_tracked"); });
  save_model(*f.run(dict).model, f.dir / "m.safetensors");
  write_torch_layout(f.dir / "m.safetensors", f.dir / "b.safetensors");
  check_same(dict, io::read_safetensors(f.dir / "b.safetensors"));
}

TEST_CASE("convert: a model of this program is not converted again") {
  const Fixture f;
  save_model(*f.run(small_ai_kd()).model, f.dir / "m.safetensors");
  CHECK_CONTAINS(
      message_of([&] { convert(read_source(f.dir / "m.safetensors"), f.dir / "m.safetensors", {}); }),
      "It is a model of this program already; --to-torch-layout gives");
  CHECK_CONTAINS(
      message_of([&] { write_torch_layout(f.write(small_ai_kd(), "t.safetensors"), f.dir / "o"); }),
      "make a model of it with aikd-convert");
}

TEST_CASE("convert: info tells what files are") {
  const Fixture f;
  save_model(*f.run(small_ai_kd()).model, f.dir / "m.safetensors");
  const ModelInfo ours = inspect_model(f.dir / "m.safetensors");
  CHECK(ours.container == "model");
  CHECK(ours.family == "ai-kd");
  CHECK(ours.parameters == 1'003'136 - 512 * 112 - 2 * 112 + 16 * 32 + 32 + 32 + 1);
  CHECK(ours.not_recognised.empty());
  CHECK_CONTAINS(ours.to_text(), "architecture: mobilefacenet\n");
  const ModelInfo torch = inspect_model(f.write(small_ai_kd(), "t.safetensors"));
  CHECK(torch.container == "safetensors");
  CHECK(torch.parameters == ours.parameters);
  const ModelInfo other = inspect_model(f.write({{"x\n\x1b[1m", Tensor::zeros({3})}}, "x.safetensors"));
  CHECK(other.dtype_bytes.at("F32") == 12);
  CHECK_CONTAINS(other.not_recognised, "The model is of no known family: it holds 1 tensor, ");
  CHECK_CONTAINS(other.to_json(), "\"recognised\": false");
  CHECK(other.to_text().find('\x1b') == std::string::npos);
}

TEST_CASE("convert: an untrained model is calibrated and marked") {
  Context context;
  UntrainedOptions options;
  options.architecture = "mobilefacenet";
  options.head = "linear";
  options.seed = 4;
  const auto faces = calibration_faces(4, 4);
  const auto model = make_untrained(options, faces, context);
  CHECK(model->metadata().at("aikd.untrained") == "1");
  CHECK(model->family() == "diffiqa-r");
  bool moved = false;
  for (const auto& t : model_tensors(*model)) {
    if (t.role == nn::TensorRole::kBnMean) {
      for (const float v : t.tensor->values<float>()) moved = moved || v != 0.0F;
    }
  }
  CHECK(moved);
  CHECK(message_of([&] { make_untrained(options, {faces[0]}, context); }) ==
        "Calibrating BatchNorm statistics needs at least 2 images, got 1.");
  options.architecture = "vgg";
  CHECK_CONTAINS(message_of([&] { make_untrained(options, faces, context); }),
                 "no backbone architecture 'vgg'");
}

TEST_CASE("convert: the published MobileFaceNets convert") {
  if (data_dir().empty()) AIKD_SKIP("no shared data here");
  struct Case {
    const char *file, *architecture;
    std::int64_t parameters;
  };
  for (const Case& c : {Case{"mobilefacenet_arcface_casia.pth", "mobilefacenet", 1'003'136},
                        Case{"mobilefacenet_v2_ms1m.pt", "mobilefacenet-v2", 999'936}}) {
    const auto path = data_dir() / "models" / c.file;
    const SourceTensors source = read_source(path);
    CHECK(source.container == "legacy");
    const auto result = convert(source, path, {});
    CHECK(result.model->architecture() == c.architecture);
    CHECK(result.model->family() == "backbone");
    CHECK(result.model->embedding_size() == 128);
    CHECK(result.model->backbone().parameter_count() == c.parameters);
    CHECK(result.dropped.empty());
    const TempDir dir;
    save_model(*result.model, dir / "m.safetensors");
    write_torch_layout(dir / "m.safetensors", dir / "b.safetensors");
    check_same(source.tensors, io::read_safetensors(dir / "b.safetensors"));
  }
}
