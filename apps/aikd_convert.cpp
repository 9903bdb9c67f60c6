// aikd-convert: PyTorch model files into this program's safetensors files and back.
#include <CLI/CLI.hpp>
#include <string>

#include "aikd/families.h"
#include "apps/aikd_convert/commands.h"
#include "apps/common/program.h"
#include "nn/networks.h"

namespace {

using namespace aikd;
using namespace aikd::apps;

DType parse_weights(const std::string& text) {
  return text == "f16" ? DType::kF16 : text == "bf16" ? DType::kBF16 : DType::kF32;
}

// What the user types is the user's mistake, not the model's.
template <class Parse>
void check_argument(const char* option, const std::string& text, Parse parse) {
  if (text.empty()) return;
  try {
    parse(text);
  } catch (const Error& error) {
    fail(ErrorKind::kUsage, option, ": ", error.what());
  }
}
void check_score_map(const std::string& text) {
  check_argument("--score-map", text, [](const std::string& t) { ScoreMap::parse(t); });
}

int body(int argc, char** argv) {
  CLI::App app(
      "Converts PyTorch model files (.pth, .pt, or safetensors with PyTorch's names) to the model files that "
      "aikd-score reads, without Python.\nA command word can be written as ./info to mean a file of that "
      "name.",
      "aikd-convert");
  app.set_version_flag("--version", version_line("aikd-convert"));
  app.get_formatter()->column_width(34);

  ConvertCommand convert;
  std::string dtype = "f32", score_map, preprocess;
  app.add_option("IN", convert.input, "Model file to convert");
  app.add_option("OUT", convert.output, "Model file to write");
  app.add_option("--family", convert.options.request.family, "Instead of recognising it by its tensor names")
      ->check(CLI::IsMember(family_names()));
  app.add_option("--architecture", convert.options.request.architecture, "Require this architecture")
      ->check(CLI::IsMember(nn::backbone_names()));
  app.add_option("--prefix", convert.options.request.prefix,
                 "Prefix of the backbone's names, when the file holds several (\"student.\")");
  app.add_option("--drop", convert.options.request.drop,
                 "Leave out this tensor, or all below a prefix that ends in '.'; may be repeated")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  app.add_option("--dtype", dtype, "Element type of the weights: f32, f16, bf16 (the rest stays f32)")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}))
      ->capture_default_str();
  app.add_option("--score-map", score_map,
                 "Mapping of scores to 0..100: linear:lo,hi  sigmoid:x0,w  percentiles:v0,...,v100  none");
  app.add_option("--preprocess", preprocess, "Pre-processing as JSON, instead of the family's own");
  app.add_flag("--to-torch-layout", convert.to_torch_layout,
               "Back: from a model file to a safetensors file with the original names and layouts");
  app.add_flag("--force", convert.force, "Replace OUT where it exists");
  app.add_flag("-q,--quiet", convert.quiet, "Say nothing but errors");

  InfoCommand info;
  CLI::App* info_app = app.add_subcommand("info", "Print what a model file is (PyTorch files too)");
  info_app->add_option("FILE", info.file)->required();
  info_app->add_flag("--json", info.json, "As JSON");

  VerifyCommand verify;
  CLI::App* verify_app = app.add_subcommand("verify", "Check a model file completely");
  verify_app->add_option("FILE", verify.file)->required();
  verify_app->add_option("--sha256", verify.sha256, "The SHA-256 it must have");

  InitCommand init;
  std::string init_dtype = "f32", init_map;
  CLI::App* init_app = app.add_subcommand("init", "Make an untrained model with seeded weights, for tests");
  init_app->add_option("OUT", init.output)->required();
  init_app->add_option("--architecture", init.options.architecture)
      ->check(CLI::IsMember(nn::backbone_names()))
      ->capture_default_str();
  init_app->add_option("--head", init.options.head)
      ->check(CLI::IsMember({"none", "linear", "mlp"}))
      ->capture_default_str();
  init_app
      ->add_option("--embedding", init.options.embedding_size, "Size of the embedding (default: 512 or 128)")
      ->check(CLI::Range(1, 65536));
  init_app->add_option("--hidden", init.options.hidden_size, "Hidden units of an MLP head")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  init_app->add_option("--seed", init.options.seed)->capture_default_str();
  init_app->add_option(
      "--calibrate", init.calibrate,
      "Image or folder over which BatchNorm statistics are taken (default: synthetic faces)");
  init_app->add_option("--images", init.images, "At most so many images")
      ->check(CLI::Range(2, 4096))
      ->capture_default_str();
  init_app->add_option("--threads", init.threads, "0: all processors")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  init_app->add_option("--dtype", init_dtype)
      ->check(CLI::IsMember({"f32", "f16", "bf16"}))
      ->capture_default_str();
  init_app->add_option("--score-map", init_map, "As for converting");
  init_app->add_flag("--force", init.force, "Replace OUT where it exists");
  init_app->add_flag("-q,--quiet", init.quiet);

  if (!parse_command_line(app, argc, argv)) return kExitOk;
  if (info_app->parsed()) return run_info(info);
  if (verify_app->parsed()) return run_verify(verify);
  if (init_app->parsed()) {
    check_score_map(init_map);
    init.weights = parse_weights(init_dtype);
    if (!init_map.empty()) init.score_map = init_map;
    return run_init(init);
  }
  require(!convert.input.empty() && !convert.output.empty(), ErrorKind::kUsage,
          "An input and an output are needed: aikd-convert IN.pth OUT.safetensors.");
  check_score_map(score_map);
  check_argument("--preprocess", preprocess, [](const std::string& t) { Preprocessing::parse(t); });
  convert.options.weights = parse_weights(dtype);
  if (!score_map.empty()) convert.options.score_map = score_map;
  if (!preprocess.empty()) convert.options.preprocessing = preprocess;
  return run_convert(convert);
}

}  // namespace

int main(int argc, char** argv) {
  return run_program(argc, argv, body);
}
