// aikd-crop: writes the crops that a network would see, aligned by landmarks or resized.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <unordered_set>
#include <vector>

#include "aikd/landmark_file.h"
#include "aikd/preprocess.h"
#include "aikd/score_run.h"
#include "apps/common/inputs.h"
#include "apps/common/output.h"
#include "apps/common/program.h"
#include "apps/common/signals.h"
#include "apps/common/terminal.h"
#include "io/image.h"
#include "io/table.h"
#include "io/text.h"
#include "tensor/error.h"
#include "tensor/thread_pool.h"

namespace {

namespace fs = std::filesystem;
using aikd::ErrorKind;

struct Options {
  aikd::apps::InputOptions inputs;
  std::string out, rows, landmarks, format = "png", resize_order = "horizontal-first";
  int size = 112, threads = 0;
  bool no_exif = false, resize_without_landmarks = false, quiet = false, progress = false;
  std::int64_t max_pixels = aikd::io::DecodeLimits{}.max_pixels;
};

struct Crop {
  aikd::PreparedFace face;
  std::vector<std::uint8_t> encoded;  // empty unless face.row.ok()
};

// Where an input's crop goes, below the output folder: its path below the folder it was found in; a file that
// was named keeps its path, without root and "..", so that nothing is written outside of the output folder.
fs::path relative_name(const aikd::apps::InputFile& input, const Options& options) {
  std::string best;
  for (const std::string& folder : options.inputs.paths) {
    const std::string prefix = folder.ends_with('/') ? folder : folder + "/";
    if (input.from_folder && input.path.starts_with(prefix) && prefix.size() > best.size()) best = prefix;
  }
  fs::path name;
  for (const fs::path& part : fs::path(input.path.substr(best.size())).lexically_normal().relative_path())
    if (part != "..") name /= part;
  return name.replace_extension(options.format);
}

Crop make_crop(const aikd::apps::InputFile& input, const aikd::PrepareOptions& prepare,
               const Options& options) {
  Crop crop{aikd::prepare_face(input.path, prepare), {}};
  if (!crop.face.row.ok()) return crop;
  try {
    crop.encoded = options.format == "png" ? aikd::io::encode_png(crop.face.crop)
                                           : aikd::io::encode_jpeg(crop.face.crop, 95);
  } catch (const std::exception& error) {
    crop.face.row.status = aikd::ScoreStatus::kFailed;
    crop.face.row.error = error.what();
  }
  return crop;
}

void write_file(const fs::path& path, const std::vector<std::uint8_t>& bytes) {
  const std::string name = aikd::io::in_quotes(path.string(), 1000);
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  aikd::require(!error, ErrorKind::kOutput, "The folder of ", name, " cannot be made: ", error.message(),
                ".");
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  out.close();
  aikd::require(!out.fail(), ErrorKind::kOutput, "The crop ", name, " cannot be written.");
}

// Crops below an input folder would be inputs of the next run, or overwrite one of this run's.
void check_output_folder(const Options& options) {
  const std::string out = fs::weakly_canonical(options.out).string() + "/";
  for (const std::string& input : options.inputs.paths) {
    std::error_code ignored;
    if (!fs::is_directory(input, ignored)) continue;
    aikd::require(!out.starts_with(fs::weakly_canonical(input).string() + "/"), ErrorKind::kUsage,
                  "The output folder ", aikd::io::in_quotes(options.out, 1000), " lies in the input folder ",
                  aikd::io::in_quotes(input, 1000), "; choose another.");
  }
}

class Run {
 public:
  Run(const Options& options, const aikd::PrepareOptions& prepare)
      : options_(options),
        prepare_(prepare),
        inputs_(options.inputs),
        pool_(options.threads),
        rows_(options.rows),
        console_("aikd-crop", options.quiet,
                 options.progress ||
                     (!options.quiet && aikd::apps::is_terminal(2) && !aikd::apps::is_terminal(1))) {}

  int run() {
    std::error_code error;
    fs::create_directories(options_.out, error);
    aikd::require(!error, ErrorKind::kOutput, "The output folder ", aikd::io::in_quotes(options_.out, 1000),
                  " cannot be made: ", error.message(), ".");
    rows_.write("path,output,status,error,width,height,aligned\n");
    while (aikd::apps::stop_signal() == 0 && run_batch()) {
    }
    console_.finish_progress();
    rows_.close();
    if (const int signal = aikd::apps::stop_signal(); signal != 0) return 128 + signal;
    for (const std::string& folder : inputs_.empty_folders())
      console_.warn("There is no file in the folder " + aikd::io::in_quotes(folder, 1000) + ".");
    aikd::require(written_ + failed_ > 0, ErrorKind::kUsage, "No image was found in the inputs.");
    console_.note(aikd::concat(written_, " crops written to ", aikd::io::in_quotes(options_.out, 1000), ", ",
                               failed_, " inputs failed."));
    return failed_ == 0 ? aikd::apps::kExitOk : aikd::apps::kExitSomeFailed;
  }

 private:
  // Decoding and encoding in parallel, rows and files in input order. False when the inputs are at their end.
  bool run_batch() {
    const std::size_t batch = 16 * static_cast<std::size_t>(pool_.threads());
    std::vector<aikd::apps::InputFile> inputs;
    while (inputs.size() < batch) {
      auto input = inputs_.next();
      if (!input) break;
      std::error_code ignored;
      if (!input->from_folder) named_.insert(fs::weakly_canonical(input->path, ignored).string());
      inputs.push_back(std::move(*input));
    }
    std::vector<Crop> crops(inputs.size());
    aikd::kernels::Context context;
    context.executor = &pool_;
    aikd::kernels::parallel_for(context, static_cast<std::ptrdiff_t>(inputs.size()),
                                [&](std::ptrdiff_t i, int) {
                                  crops[static_cast<std::size_t>(i)] =
                                      make_crop(inputs[static_cast<std::size_t>(i)], prepare_, options_);
                                });
    for (std::size_t i = 0; i < inputs.size(); ++i) finish(inputs[i], crops[i]);
    rows_.flush();
    return inputs.size() == batch;
  }

  void finish(const aikd::apps::InputFile& input, Crop& crop) {
    aikd::ScoreRow& row = crop.face.row;
    if (crop.face.not_an_image && input.from_folder && !aikd::has_image_extension(input.path)) return;
    const fs::path path = fs::path(options_.out) / relative_name(input, options_);
    std::error_code ignored;
    if (row.ok() && !outputs_.insert(path.string()).second) {
      fail_row(row,
               "An earlier input has written its crop to " + aikd::io::in_quotes(path.string(), 1000) + ".");
    } else if (row.ok() && named_.contains(fs::weakly_canonical(path, ignored).string())) {
      fail_row(row, "The crop would overwrite an input.");
    }
    if (row.ok()) write_file(path, crop.encoded);
    ++(row.ok() ? written_ : failed_);
    const std::string fields[] = {row.path,
                                  row.ok() ? path.string() : "",
                                  std::string(aikd::name_of(row.status)),
                                  row.error,
                                  row.width > 0 ? std::to_string(row.width) : "",
                                  row.height > 0 ? std::to_string(row.height) : "",
                                  row.aligned ? "1" : "0"};
    rows_.write(aikd::io::delimited_record(fields, ','));
    console_.progress(written_ + failed_, inputs_.total(), failed_);
  }

  static void fail_row(aikd::ScoreRow& row, std::string error) {
    row.status = aikd::ScoreStatus::kFailed;
    row.error = std::move(error);
  }

  const Options& options_;
  const aikd::PrepareOptions& prepare_;
  aikd::apps::InputFiles inputs_;
  aikd::ThreadPool pool_;
  aikd::apps::OutputFile rows_;
  aikd::apps::Console console_;
  std::unordered_set<std::string> outputs_;
  std::unordered_set<std::string>
      named_;  // inputs that are not below an input folder, as far as they were read
  std::int64_t written_ = 0, failed_ = 0;
};

aikd::LandmarkFile read_landmarks(const std::string& path) {
  try {
    return aikd::LandmarkFile::read(path);
  } catch (const aikd::Error& error) {
    throw aikd::Error(ErrorKind::kUsage, error.what());  // an option's file, not one of the inputs
  }
}

int body(int argc, char** argv) {
  Options o;
  CLI::App app("Writes the crops a quality network would see: aligned by five landmarks, or resized.",
               "aikd-crop");
  app.set_version_flag("--version", aikd::apps::version_line("aikd-crop"));
  app.add_option("input", o.inputs.paths, "Images and folders")->group("Input");
  app.add_option("--list", o.inputs.lists, "File with one path a line; - is standard input")->group("Input");
  app.add_flag("-0,--null", o.inputs.nul_separated, "Lists are separated by NUL bytes")->group("Input");
  app.add_option("--landmarks", o.landmarks,
                 "CSV, JSON or pickle with five points per image: crops are aligned")
      ->group("Input");
  app.add_flag("--resize-without-landmarks", o.resize_without_landmarks,
               "Resize an image that the landmark file does not have, instead of failing")
      ->group("Input");
  app.add_flag("--no-exif", o.no_exif, "Ignore the EXIF orientation, as the original does")->group("Input");
  app.add_option("--max-pixels", o.max_pixels, "Refuse larger images, before decoding")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group("Input");
  app.add_option("--out,-o", o.out, "Folder for the crops; they keep their relative names")
      ->required()
      ->group("Output");
  app.add_option("--rows", o.rows, "File for the rows, instead of standard output")->group("Output");
  app.add_option("--format", o.format, "png (exact) or jpg (quality 95)")
      ->check(CLI::IsMember({"png", "jpg"}))
      ->capture_default_str()
      ->group("Output");
  app.add_option("--size", o.size, "Side of the crops in pixels")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str()
      ->group("Output");
  app.add_option("--resize-order", o.resize_order,
                 "horizontal-first: the bytes of Pillow up to 12; pillow13: those of Pillow 13 and later")
      ->check(CLI::IsMember({"horizontal-first", "pillow13"}))
      ->capture_default_str()
      ->group("Output");
  app.add_option("--threads", o.threads, "0: all processors")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str()
      ->group("Running");
  app.add_flag("--quiet,-q", o.quiet, "Only errors on stderr")->group("Running");
  app.add_flag("--progress", o.progress, "Show progress also where stderr is no terminal")->group("Running");
  if (!aikd::apps::parse_command_line(app, argc, argv)) return aikd::apps::kExitOk;
  aikd::require(!o.inputs.paths.empty() || !o.inputs.lists.empty(), ErrorKind::kUsage,
                "Nothing to do: give images or folders, or --list FILE.");

  check_output_folder(o);
  aikd::LandmarkFile landmarks;
  if (!o.landmarks.empty()) landmarks = read_landmarks(o.landmarks);
  aikd::PrepareOptions prepare;
  prepare.decode.limits.max_pixels = o.max_pixels;
  prepare.decode.apply_exif_orientation = !o.no_exif;
  prepare.landmarks = o.landmarks.empty() ? nullptr : &landmarks;
  prepare.resize_without_landmarks = o.resize_without_landmarks;
  prepare.width = prepare.height = o.size;
  prepare.resize_order = aikd::parse_resize_order(o.resize_order);
  aikd::apps::watch_stop_signals();
  return Run(o, prepare).run();
}

}  // namespace

int main(int argc, char** argv) {
  return aikd::apps::run_program(argc, argv, body);
}
