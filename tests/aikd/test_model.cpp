#include "aikd/model.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "io/sha256.h"
#include "tests/aikd/model_fixtures.h"

using namespace aikd;
using namespace aikd::test;

namespace {

io::SafetensorsFile valid_file() {
  ConvertOptions options;
  options.score_map = "linear:-1,2";
  static const TempDir dir;
  static const std::filesystem::path source = [] {
    write_text(dir / "source.pth", "only hashed");
    return dir / "source.pth";
  }();
  return to_safetensors(*convert(source_of(small_ai_kd()), source, options).model);
}

Tensor& tensor_in(io::SafetensorsFile& file, const std::string& name) {
  for (auto& entry : file.tensors) {
    if (entry.name == name) return entry.tensor;
  }
  throw std::runtime_error("no tensor " + name);
}

void set_value(Tensor& tensor, std::size_t at, float value) {
  tensor = tensor.clone();
  tensor.mutable_values<float>()[at] = value;
}

}  // namespace

TEST_CASE("model: written and loaded again has the same bits and properties") {
  const TempDir dir;
  const auto path = dir / "model.safetensors";
  const io::SafetensorsFile file = valid_file();
  io::write_safetensors(path, file);
  const auto model = Model::load(path);
  CHECK(model->family() == "ai-kd");
  CHECK(model->architecture() == "mobilefacenet");
  CHECK(model->embedding_size() == 16);
  CHECK(model->head() != nullptr);
  CHECK(model->preprocessing() == Preprocessing());
  CHECK(model->score_map().map(0.5) == doctest::Approx(50));
  CHECK(model->sha256() == io::sha256_file(path));
  CHECK(model->metadata().at("aikd.source") == "source.pth");
  const io::SafetensorsFile again = to_safetensors(*model);
  CHECK(again.metadata == file.metadata);
  REQUIRE(again.tensors.size() == file.tensors.size());
  for (std::size_t i = 0; i < file.tensors.size(); ++i) {
    CHECK(again.tensors[i].name == file.tensors[i].name);
    REQUIRE(again.tensors[i].tensor.bytes() == file.tensors[i].tensor.bytes());
    CHECK(std::memcmp(again.tensors[i].tensor.raw(), file.tensors[i].tensor.raw(),
                      file.tensors[i].tensor.bytes()) == 0);
  }
}

TEST_CASE("model: half and bfloat16 weights are computed in fp32") {
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    const TempDir dir;
    const auto whole = dir / "whole.safetensors", narrow = dir / "narrow.safetensors";
    io::write_safetensors(whole, valid_file());
    const auto model = Model::load(whole);
    save_model(*model, narrow, dtype);
    CHECK(std::filesystem::file_size(narrow) * 10 < std::filesystem::file_size(whole) * 6);
    const auto loaded = Model::load(narrow);
    const auto a = model_tensors(*model), b = model_tensors(*loaded);
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (a[i].role == nn::TensorRole::kBnCount) continue;
      REQUIRE(b[i].tensor->dtype() == DType::kF32);
      const bool weight = a[i].role == nn::TensorRole::kConvWeight ||
                          a[i].role == nn::TensorRole::kDepthwiseWeight ||
                          a[i].role == nn::TensorRole::kLinearWeight;
      const Tensor expected = weight ? a[i].tensor->to(dtype).to(DType::kF32) : *a[i].tensor;
      CHECK(std::memcmp(expected.raw(), b[i].tensor->raw(), expected.bytes()) == 0);
    }
  }
}

TEST_CASE("model: optional tensors may be absent") {
  const TempDir dir;
  io::SafetensorsFile file = valid_file();
  std::erase_if(file.tensors, [](const auto& entry) { return entry.name.ends_with("num_batches_tracked"); });
  io::write_safetensors(dir / "m.safetensors", file);
  const auto model = Model::load(dir / "m.safetensors");
  CHECK(to_safetensors(*model).tensors.size() == file.tensors.size());
}

TEST_CASE("model: every way to be wrong has its own sentence") {
  struct Case {
    std::string sentence;
    std::function<void(io::SafetensorsFile&)> spoil;
  };
  const auto set = [](const char* key, const char* value) {
    return [key, value](io::SafetensorsFile& f) { f.metadata[key] = value; };
  };
  const auto erase = [](const char* key) { return [key](io::SafetensorsFile& f) { f.metadata.erase(key); }; };
  const std::vector<Case> cases{
      {"It is a safetensors file without this program's metadata; make a model of it with aikd-convert.",
       [](io::SafetensorsFile& f) { f.metadata.clear(); }},
      {"The metadata 'aikd.format' is '2', but this program reads format 1 only.", set("aikd.format", "2")},
      {"The metadata lacks 'aikd.family'.", erase("aikd.family")},
      {"The metadata 'aikd.family' is 'x', expected one of ai-kd, diffiqa-r, ", set("aikd.family", "x")},
      {"The metadata lacks 'aikd.architecture'.", erase("aikd.architecture")},
      {"The metadata 'aikd.architecture' is 'vgg\\n', expected one of iresnet18, ",
       set("aikd.architecture", "vgg\n")},
      {"The metadata lacks 'aikd.head'.", erase("aikd.head")},
      {"The metadata 'aikd.head' is 'deep', expected one of none, linear, mlp.", set("aikd.head", "deep")},
      {"The metadata lacks 'aikd.score'.", erase("aikd.score")},
      {"The metadata 'aikd.score' is 'norm', expected 'head' for a head of kind 'mlp'.",
       set("aikd.score", "norm")},
      {"The metadata lacks 'aikd.batch_norm_eps'.", erase("aikd.batch_norm_eps")},
      {"The metadata 'aikd.batch_norm_eps' is '-1', expected a number above 0 and at most 0.1.",
       set("aikd.batch_norm_eps", "-1")},
      {"The metadata 'aikd.batch_norm_eps' is '1e-5x', expected a number",
       set("aikd.batch_norm_eps", "1e-5x")},
      {"The metadata 'aikd.batch_norm_eps' is 'nan', expected a number", set("aikd.batch_norm_eps", "nan")},
      {"The metadata lacks 'aikd.preprocess'.", erase("aikd.preprocess")},
      {"cannot be used. ", set("aikd.preprocess", "{")},
      {"takes images of 112 x 112 pixels, but the pre-processing gives 96 x 112.",
       set("aikd.preprocess",
           R"({"width":96,"height":112,"order":"RGB","divide":255,"mean":[0.5,0.5,0.5],"std":[0.5,0.5,0.5]})")},
      {"The metadata lacks 'aikd.score_map'.", erase("aikd.score_map")},
      {"cannot be used. ", set("aikd.score_map", "linear:1")},
      {"The tensor 'backbone.features.weight' is missing.",
       [](io::SafetensorsFile& f) {
         std::erase_if(f.tensors, [](const auto& e) { return e.name == "backbone.features.weight"; });
       }},
      {"The tensor 'backbone.features.weight' has the shape [], expected a matrix.",
       [](io::SafetensorsFile& f) { tensor_in(f, "backbone.features.weight") = Tensor::zeros({}); }},
      {"embedding size must be between 1 and 65536, got 0.",
       [](io::SafetensorsFile& f) {
         tensor_in(f, "backbone.features.weight") = Tensor::zeros({0, 1, 1, 512});
       }},
      {"2 tensors of mobilefacenet are missing: 'backbone.sep.weight', 'head.l2.bias'.",
       [](io::SafetensorsFile& f) {
         std::erase_if(f.tensors, [](const auto& e) {
           return e.name == "backbone.sep.weight" || e.name == "head.l2.bias";
         });
       }},
      {"1 tensor does not belong to mobilefacenet with a head of kind 'mlp': 'extra'.",
       [](io::SafetensorsFile& f) {
         f.tensors.push_back({"extra", Tensor::zeros({2})});
       }},
      {"The tensor 'backbone.sep.weight' has the shape [512, 128], expected [512, 1, 1, 128].",
       [](io::SafetensorsFile& f) {
         tensor_in(f, "backbone.sep.weight") = Tensor::zeros({512, 128});
       }},
      {"The tensor 'backbone.sep_bn.bias' has the element type I32, expected F32, F16, BF16 or F64.",
       [](io::SafetensorsFile& f) {
         tensor_in(f, "backbone.sep_bn.bias") = Tensor::zeros({512}, DType::kI32);
       }},
      {"The tensor 'backbone.sep_bn.num_batches_tracked' has the element type F32, expected I64.",
       [](io::SafetensorsFile& f) {
         tensor_in(f, "backbone.sep_bn.num_batches_tracked") = Tensor::zeros({});
       }},
      {"The tensor 'backbone.prelu.weight' holds a NaN at element 7.",
       [](io::SafetensorsFile& f) {
         set_value(tensor_in(f, "backbone.prelu.weight"), 7, std::numeric_limits<float>::quiet_NaN());
       }},
      {"The tensor 'head.l1.weight' holds an infinite value (or one too large for a 32-bit float) at element "
       "0.",
       [](io::SafetensorsFile& f) {
         set_value(tensor_in(f, "head.l1.weight"), 0, -std::numeric_limits<float>::infinity());
       }},
      {"The BatchNorm variance 'backbone.last_bn.running_var' is negative (-0.5) at element 3.",
       [](io::SafetensorsFile& f) { set_value(tensor_in(f, "backbone.last_bn.running_var"), 3, -0.5F); }},
  };
  const TempDir dir;
  const auto path = dir / "bad.safetensors";
  for (const Case& c : cases) {
    io::SafetensorsFile file = valid_file();
    c.spoil(file);
    sort_for_writing(file);
    io::write_safetensors(path, file);
    const std::string message = message_of([&] { Model::load(path); });
    CHECK_CONTAINS(message, "The model file '" + path.string() + "' cannot be used. ");
    CHECK_CONTAINS(message, c.sentence);
  }
}

TEST_CASE("model: a file that is absent or no safetensors file is refused") {
  const TempDir dir;
  CHECK_CONTAINS(message_of([&] { Model::load(dir / "absent.safetensors"); }), "absent.safetensors");
  write_text(dir / "text.safetensors", "hello, this is not a model");
  CHECK_CONTAINS(message_of([&] { Model::load(dir / "text.safetensors"); }), "text.safetensors");
}

TEST_CASE("model: a weight that does not fit in a half is refused when writing") {
  const TempDir dir;
  io::SafetensorsFile file = valid_file();
  set_value(tensor_in(file, "backbone.sep.weight"), 5, 70000.0F);
  io::write_safetensors(dir / "m.safetensors", file);
  const auto model = Model::load(dir / "m.safetensors");
  CHECK(message_of([&] { to_safetensors(*model, DType::kF16); }) ==
        "The tensor 'backbone.sep.weight (as F16)' holds an infinite value (or one too large for a 32-bit "
        "float) at "
        "element 5.");
  CHECK(message_of([&] { to_safetensors(*model, DType::kBF16); }).empty());
}
