// aikd-score: one row per face image, telling how useful it is for recognition.
#include <unistd.h>

#include <iostream>

#include "apps/aikd_score/options.h"
#include "apps/aikd_score/score_command.h"
#include "apps/aikd_score/self_test.h"
#include "apps/common/devices.h"
#include "apps/common/program.h"
#include "io/image.h"
#include "kernels/isa.h"
#include "tensor/config.h"
#include "tensor/cuda_runtime.h"

namespace {

using namespace aikd;
using namespace aikd::apps;

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text.empty() ? "unknown" : text;
}

void print_build_info() {
  const io::Image pixel(1, 1);
  std::string why_no_cuda;
  const auto devices = cuda::devices(&why_no_cuda);
  std::cout << version_line("aikd-score") << "\nInstruction set:  " << kernels::isa_name()
            << " (usable here: " << joined(kernels::available_isas())
            << ")\nProcessor has:    " << joined(kernels::cpu_features())
            << "\nJPEG decoder:     " << io::decode_image(io::encode_jpeg(pixel, 90)).decoder
            << "\nPNG decoder:      " << io::decode_image(io::encode_png(pixel)).decoder
            << "\nCUDA in build:    " << (kHasCuda ? "yes" : "no")
            << "\nCUDA versions:    " << cuda::runtime_description() << "\nCUDA devices:     "
            << (devices.empty() ? concat("none (", why_no_cuda, ")") : std::to_string(devices.size()))
            << '\n';
}

bool wants_progress(const ScoreOptions& options) {
  if (options.progress.has_value()) return *options.progress;
  const bool rows_on_terminal =
      (options.output.empty() || options.output == "-") && is_terminal(STDOUT_FILENO);
  return !options.quiet && is_terminal(STDERR_FILENO) && !rows_on_terminal;
}

int run_self_test(const ScoreOptions& options, Console& console) {
  Context context(choose_device(options), options.threads);
  const std::shared_ptr<const Model> model = options.model.empty() ? nullptr : load_model(options, console);
  return self_test(std::cout, context, model) ? kExitOk : kExitModel;
}

int body(int argc, char** argv) {
  const std::optional<ScoreOptions> options = parse_options(argc, argv);
  if (!options.has_value()) return kExitOk;
  Console console("aikd-score", options->quiet, wants_progress(*options));
  if (options->list_devices) {
    print_devices(std::cout);
  } else if (options->build_info) {
    print_build_info();
  } else if (options->cite) {
    std::cout << citation();
  } else if (options->dump_config) {
    std::cout << dump_config(*options);
  } else if (options->self_test) {
    return run_self_test(*options, console);
  } else {
    return score(*options, console);
  }
  return kExitOk;
}

}  // namespace

int main(int argc, char** argv) {
  return aikd::apps::run_program(argc, argv, body);
}
