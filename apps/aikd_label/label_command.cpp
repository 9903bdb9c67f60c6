#include "apps/aikd_label/label_command.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <unordered_map>

#include "aikd/dataset_files.h"
#include "aikd/label_run.h"
#include "aikd/label_table.h"
#include "aikd/landmark_file.h"
#include "aikd/model.h"
#include "apps/common/inputs.h"
#include "apps/common/output.h"
#include "apps/common/program.h"
#include "apps/common/signals.h"
#include "io/atomic_file.h"
#include "io/text.h"
#include "kernels/isa.h"
#include "tensor/error.h"

namespace aikd::apps {
namespace fs = std::filesystem;
namespace {

// All inputs, known before the first image is labelled, so that keys which collide are told at once.
class Source final : public ScoreSource {
 public:
  explicit Source(InputFiles& inputs) {
    while (std::optional<InputFile> file = inputs.next())
      files_.push_back({std::move(file->path), file->from_folder});
  }
  std::optional<ScoreInput> next() override {
    if (at_ == files_.size()) return std::nullopt;
    return files_[at_++];
  }
  void cancel() override {}
  const std::vector<ScoreInput>& files() const { return files_; }

 private:
  std::vector<ScoreInput> files_;
  std::size_t at_ = 0;
};

// The pickle's keys, by path. Error(kUsage) where two paths have one key.
std::unordered_map<std::string, std::string> pickle_keys(const LabelOptions& options,
                                                         const std::vector<ScoreInput>& files) {
  std::unordered_map<std::string, std::string> by_path, by_key;
  if (options.pickle.empty()) return by_path;
  std::vector<std::string> folders;
  for (const std::string& input : options.inputs) {
    std::error_code ignored;
    if (fs::is_directory(input, ignored)) folders.push_back(input);
  }
  const KeyRule rule(folders, options.key_root);
  for (const ScoreInput& file : files) {
    if (file.from_folder && !has_image_extension(file.path)) {
      by_path[file.path] = fs::path(file.path).lexically_normal().generic_string();
      continue;
    }
    const std::string key = rule.image_key(file.path);
    const auto [at, is_new] = by_key.try_emplace(key, file.path);
    require(is_new || at->second == file.path, ErrorKind::kUsage, "The images ",
            io::in_quotes(at->second, 1000), " and ", io::in_quotes(file.path, 1000), " have the same key ",
            io::in_quotes(key, 1000), " in the pickle; choose another --key-root.");
    by_path[file.path] = key;
  }
  return by_path;
}

class Sink final : public LabelSink {
 public:
  Sink(const LabelOptions& options, const LabelMethod& method, std::int64_t total, Console& console,
       std::unordered_map<std::string, std::string> keys)
      : parts_(method.parts.size()),
        total_(total),
        console_(console),
        keys_(std::move(keys)),
        out_(options.output) {
    out_.write(label_header(method));
  }
  void row(const LabelledFace& face) override {
    out_.write(label_row(face, parts_));
    if (!face.row.ok()) {
      ++failed_;
    } else if (!keys_.empty()) {
      labels_.emplace_back(keys_.at(face.row.path), face.label);
    }
    progress();
  }
  void flush() override { out_.flush(); }
  void passed_over(const std::string&) override { progress(); }
  void finish() {
    console_.finish_progress();
    out_.close();
  }
  // A path given twice has one entry.
  std::vector<std::pair<std::string, double>> unique_labels() const {
    std::unordered_map<std::string, std::size_t> place;
    std::vector<std::pair<std::string, double>> unique;
    for (const auto& label : labels_)
      if (place.try_emplace(label.first, unique.size()).second) unique.push_back(label);
    return unique;
  }

 private:
  void progress() { console_.progress(++done_, total_, failed_); }

  std::size_t parts_;
  std::int64_t total_, done_ = 0, failed_ = 0;
  Console& console_;
  std::unordered_map<std::string, std::string> keys_;
  std::vector<std::pair<std::string, double>> labels_;
  OutputFile out_;
};

std::unique_ptr<LandmarkFile> read_landmarks(const LabelOptions& options) {
  if (options.landmarks.empty()) return nullptr;
  try {
    return std::make_unique<LandmarkFile>(LandmarkFile::read(options.landmarks));
  } catch (const Error& error) {  // a file the user chose, not one image among many
    throw Error(error.kind() == ErrorKind::kInput ? ErrorKind::kUsage : error.kind(), error.what());
  }
}

void write_pickle(const std::string& path, const std::vector<std::pair<std::string, double>>& labels) {
  const std::vector<std::uint8_t> bytes = write_label_pickle(labels);
  io::AtomicFile file(path);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

ScoreRunOptions run_options(const LabelOptions& options, const Preprocessing& input,
                            const LandmarkFile* landmarks, int threads) {
  ScoreRunOptions run;
  run.prepare.decode.limits.max_pixels = options.max_pixels;
  run.prepare.decode.apply_exif_orientation = !options.no_exif;
  run.prepare.landmarks = landmarks;
  run.prepare.resize_without_landmarks = options.unaligned_ok;
  run.prepare.width = input.width;
  run.prepare.height = input.height;
  run.workers = threads == 1 ? 0 : threads;
  run.batch = options.batch;
  run.stop = [] { return stop_signal() != 0; };
  return run;
}

}  // namespace

int label(const LabelOptions& options, Console& console) {
  require(!options.inputs.empty() || !options.lists.empty(), ErrorKind::kUsage,
          "No input was given: name images or folders, or a list with --list FILE ('-' for standard input).");
  require(!options.model.empty(), ErrorKind::kUsage,
          "No model was given: name one with -m FILE or in $AIKD_MODEL.");
  require(options.key_root.empty() || !options.pickle.empty(), ErrorKind::kUsage,
          "--key-root tells the keys of the pickle, but no --pickle was given.");
  const LabelMethod& method = find_label_method(options.method);
  watch_stop_signals();
  InputFiles inputs(
      {.paths = options.inputs, .lists = options.lists, .nul_separated = options.nul_separated});
  Source source(inputs);
  if (const int number = stop_signal(); number != 0) return 128 + number;
  for (const std::string& folder : inputs.empty_folders())
    console.warn(concat("The folder ", io::in_quotes(folder, 1000), " holds no files."));
  require(!source.files().empty(), ErrorKind::kUsage, "There is nothing to label: the inputs name no file.");
  auto keys = pickle_keys(options, source.files());

  Context context(Device::cpu(), options.threads);
  if (const std::string problem = kernels::isa_problem(); !problem.empty()) console.warn(problem);
  const std::shared_ptr<const Model> model = Model::load(options.model);
  const std::unique_ptr<LandmarkFile> landmarks = read_landmarks(options);
  LabelSetup setup;
  setup.backbone = &model->backbone();
  setup.input = model->preprocessing().table();
  setup.context = &context;
  setup.max_batch = std::min(options.batch, 32);
  setup.options = options.method_options;
  const std::unique_ptr<LabelGenerator> generator = make_label_generator(method, std::move(setup));
  console.note(concat("method ", method.name, ", model ", model->architecture(), ", SHA-256 ",
                      model->sha256(), ", ", context.threads(),
                      context.threads() == 1 ? " thread" : " threads"));
  if (model->metadata().contains("aikd.untrained"))
    console.note("This model's weights are untrained: its labels say nothing about images.");

  Sink sink(options, method, static_cast<std::int64_t>(source.files().size()), console, std::move(keys));
  const auto start = std::chrono::steady_clock::now();
  ScoreRunCounts counts;
  try {
    counts = run_labels(source, *generator, method.parts.size(), sink,
                        run_options(options, model->preprocessing(), landmarks.get(), context.threads()));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kOutput) sink.finish();  // what was computed before is not lost
    throw;
  }
  sink.finish();
  require(counts.scored + counts.failed > 0 || stop_signal() != 0, ErrorKind::kUsage,
          "There is nothing to label: no image was found in the inputs.");
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (counts.passed_over > 0)
    console.note(concat(counts.passed_over, counts.passed_over == 1 ? " file" : " files",
                        " in folders passed over: no image by content or name."));
  const double each = counts.scored > 0 ? 1000 * seconds / static_cast<double>(counts.scored) : 0;
  console.note(concat(counts.scored, " labelled, ", counts.failed, " failed, in ", format_duration(seconds),
                      " (", std::round(each * 10) / 10, " ms/image)."));
  if (const int number = stop_signal(); number != 0) {
    console.warn(concat("stopped by signal ", number, "; the rows begun were finished",
                        options.pickle.empty() ? "." : ", the pickle was not written."));
    return 128 + number;
  }
  if (!options.pickle.empty()) write_pickle(options.pickle, sink.unique_labels());
  return counts.failed > 0 ? kExitSomeFailed : kExitOk;
}

}  // namespace aikd::apps
