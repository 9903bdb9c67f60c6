#include "apps/aikd_convert/commands.h"

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "aikd/model_builder.h"
#include "aikd/model_info.h"
#include "apps/common/inputs.h"
#include "apps/common/program.h"
#include "apps/common/terminal.h"
#include "io/image.h"
#include "io/sha256.h"
#include "io/text.h"

namespace aikd::apps {
namespace {
namespace fs = std::filesystem;

void check_output(const std::string& output, const std::string& input, bool force) {
  std::error_code ignored;
  const bool exists = fs::exists(output, ignored);
  require(!exists || !fs::is_directory(output, ignored), ErrorKind::kUsage, "The output ",
          io::in_quotes(output), " is a folder; give the name of a file.");
  require(input.empty() || !exists || !fs::equivalent(input, output, ignored), ErrorKind::kUsage,
          "Input and output are the same file, ", io::in_quotes(output), ".");
  require(!exists || force, ErrorKind::kOutput, "The output ", io::in_quotes(output),
          " exists already; --force replaces it.");
}

std::string describe_model(const Model& model) {
  std::int64_t parameters = model.backbone().parameter_count();
  if (model.head() != nullptr) parameters += model.head()->parameter_count();
  return concat(model.family(), ", ", model.architecture(), ", head ", model.metadata().at("aikd.head"), ", ",
                parameters, " parameters");
}

std::vector<io::Image> read_images(const InitCommand& command, Console& console) {
  InputOptions inputs;
  inputs.paths = command.calibrate;
  InputFiles files(inputs);
  std::vector<io::Image> images;
  while (static_cast<int>(images.size()) < command.images) {
    const std::optional<InputFile> file = files.next();
    if (!file) break;
    try {
      images.push_back(io::read_image(file->path).image);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kInput) throw;
      if (!file->from_folder) console.warn(error.what());
    }
  }
  require(images.size() >= 2, ErrorKind::kUsage, "Calibration needs at least 2 readable images, found ",
          images.size(), ".");
  return images;
}

}  // namespace

int run_convert(const ConvertCommand& command) {
  Console console("aikd-convert", command.quiet, false);
  check_output(command.output, command.input, command.force);
  if (command.to_torch_layout) {
    write_torch_layout(command.input, command.output);
    console.note(concat("Wrote ", io::in_quotes(command.output), " with PyTorch's names and layouts."));
    return kExitOk;
  }
  const Conversion result = convert(read_source(command.input), command.input, command.options);
  save_model(*result.model, command.output, command.options.weights);
  if (!result.dropped.empty()) {
    console.note(concat("Left out ", result.dropped.size(),
                        result.dropped.size() == 1 ? " tensor" : " tensors",
                        " that scoring does not use: ", list_names(result.dropped), "."));
  }
  console.note(concat("Wrote ", io::in_quotes(command.output), ": ", describe_model(*result.model),
                      ", sha256 ", io::sha256_file(command.output), "."));
  return kExitOk;
}

int run_info(const InfoCommand& command) {
  const ModelInfo info = inspect_model(command.file);
  std::cout << (command.json ? info.to_json() + "\n" : info.to_text());
  return kExitOk;
}

int run_verify(const VerifyCommand& command) {
  std::string wanted = command.sha256;
  std::transform(wanted.begin(), wanted.end(), wanted.begin(),
                 [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
  require(wanted.empty() ||
              (wanted.size() == 64 && wanted.find_first_not_of("0123456789abcdef") == std::string::npos),
          ErrorKind::kUsage, "--sha256 takes 64 hexadecimal digits, got ", io::in_quotes(command.sha256),
          ".");
  const auto model = Model::load(command.file);
  require(wanted.empty() || wanted == model->sha256(), ErrorKind::kModel, "The model file ",
          io::in_quotes(command.file), " has the SHA-256 ", model->sha256(), ", expected ", wanted, ".");
  std::cout << "OK " << describe_model(*model) << ", sha256 " << model->sha256() << "\n";
  return kExitOk;
}

int run_init(const InitCommand& command) {
  Console console("aikd-convert", command.quiet, false);
  check_output(command.output, "", command.force);
  Context context(Device::cpu(), command.threads);
  const std::vector<io::Image> images = command.calibrate.empty()
                                            ? calibration_faces(command.options.seed, command.images)
                                            : read_images(command, console);
  const auto model = make_untrained(command.options, images, context);
  if (command.score_map) {
    ModelBuilder::set_metadata(*model, "aikd.score_map", ScoreMap::parse(*command.score_map).to_string());
  }
  save_model(*model, command.output, command.weights);
  console.note(concat("Wrote ", io::in_quotes(command.output), ": ", describe_model(*model),
                      ". Its weights are seeded, not trained: its scores mean nothing."));
  return kExitOk;
}

}  // namespace aikd::apps
