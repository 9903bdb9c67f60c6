#include "apps/aikd_label/options.h"

#include <CLI/CLI.hpp>

#include "aikd/labels.h"
#include "apps/common/program.h"
#include "io/table.h"

namespace aikd::apps {
namespace {

std::string footer() {
  std::string text = "Methods:\n";
  for (const LabelMethod& method : label_methods()) {
    text += "  " + method.name + std::string(10 - std::min<std::size_t>(9, method.name.size()), ' ') +
            method.description + "\n";
  }
  text +=
      "\nThe table has one row per image: path, label (higher is better), the parts it is made of, status "
      "and "
      "error;\n"
      "NA where an image failed. aikd-train reads it as it is.\n"
      "\nExit codes: 0 all labelled; 1 finished, some images failed; 2 usage; 3 model or device; 4 output; "
      "128+n ended\n"
      "by signal n (the rows begun are finished and written first).\n";
  return text;
}

// Options of all methods, each once; which method has which option is checked when the generator is made.
void add_method_options(CLI::App& app, LabelOptions& o) {
  std::map<std::string, std::string> owners;
  for (const LabelMethod& method : label_methods())
    for (const LabelOption& option : method.options)
      owners[option.name] += (owners[option.name].empty() ? "" : ", ") + method.name;
  for (const LabelMethod& method : label_methods()) {
    for (const LabelOption& option : method.options) {
      std::string& methods = owners[option.name];
      if (methods.empty()) continue;  // another method has added it
      const std::string name = option.name;
      app.add_option_function<double>(
             "--" + name, [&o, name](const double& value) { o.method_options[name] = value; },
             concat(option.help, " (", methods, "; default ", io::format_number(option.value), ")"))
          ->type_name(option.integer ? "INT" : "FLOAT")
          ->group("Options of methods");
      methods.clear();
    }
  }
}

}  // namespace

std::optional<LabelOptions> parse_label_options(int argc, char** argv) {
  LabelOptions o;
  CLI::App app("Quality labels for training, from a face recognition model alone.", "aikd-label");
  app.footer(footer());
  app.set_version_flag("--version", version_line("aikd-label"));
  app.option_defaults()->always_capture_default();
  app.get_formatter()->column_width(34);
  std::vector<std::string> names;
  for (const LabelMethod& method : label_methods()) names.push_back(method.name);
  app.add_option("method", o.method, "How labels are made")
      ->type_name("METHOD")
      ->required()
      ->check(CLI::IsMember(names))
      ->group("Inputs");
  app.add_option("input", o.inputs, "Images and folders")
      ->type_name("INPUT")
      ->expected(0, 1 << 30)
      ->group("Inputs");
  app.add_option("--list", o.lists,
                 "A file with one path a line; '-' is standard input, read to its end first")
      ->type_name("FILE")
      ->take_all()
      ->expected(1, 1000)
      ->allow_extra_args(false)
      ->group("Inputs");
  app.add_flag("-0,--null", o.nul_separated, "The paths of lists end with NUL bytes")->group("Inputs");
  app.add_option("-m,--model", o.model, "Model file; a quality head in it is not used")
      ->type_name("FILE")
      ->envname("AIKD_MODEL")
      ->group("Inputs");
  app.add_option("--landmarks", o.landmarks, "Align by these (CSV, JSON, pickle); else images are resized")
      ->type_name("FILE")
      ->group("Images");
  app.add_flag("--unaligned-ok", o.unaligned_ok, "Resize images without an entry in the landmark file")
      ->group("Images");
  app.add_flag("--no-exif", o.no_exif, "Ignore EXIF orientation")->group("Images");
  app.add_option("--max-pixels", o.max_pixels, "Images with more are refused")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))
      ->group("Images");
  add_method_options(app, o);
  app.add_option("-o,--output", o.output, "CSV to write; standard output without it")
      ->type_name("FILE")
      ->group("Outputs");
  app.add_option("--pickle", o.pickle, "Also write {key: label} as the original's pickle")
      ->type_name("FILE")
      ->group("Outputs");
  app.add_option("--key-root", o.key_root,
                 "Keys of the pickle are what follows this folder's name in a path; without it, what follows "
                 "the input folder")
      ->type_name("NAME")
      ->group("Outputs");
  app.add_option("-t,--threads", o.threads, "0: all processors")
      ->check(CLI::Range(0, 1024))
      ->group("Running");
  app.add_option("--batch", o.batch, "Images per pass of the network")
      ->check(CLI::Range(1, 1024))
      ->group("Running");
  app.add_flag("--quiet,-q", o.quiet, "Only warnings and errors on stderr")->group("Running");
  app.add_flag("--progress", o.progress, "Show progress also where stderr is no terminal")->group("Running");
  if (!parse_command_line(app, argc, argv)) return std::nullopt;
  return o;
}

}  // namespace aikd::apps
