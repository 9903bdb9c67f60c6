#include "apps/aikd_score/score_command.h"

#include <unistd.h>

#include <atomic>
#include <cmath>
#include <filesystem>

#include "aikd/landmark_file.h"
#include "aikd/score_run.h"
#include "aikd/scorer.h"
#include "apps/aikd_score/outputs.h"
#include "apps/aikd_score/provenance.h"
#include "apps/common/devices.h"
#include "apps/common/program.h"
#include "apps/common/signals.h"
#include "io/text.h"
#include "kernels/isa.h"
#include "tensor/config.h"

namespace aikd::apps {
namespace fs = std::filesystem;
namespace {

class Source final : public ScoreSource {
 public:
  Source(InputFiles& inputs, const std::set<std::string>& done) : inputs_(inputs), done_(done) {}
  std::optional<ScoreInput> next() override {
    while (std::optional<InputFile> file = inputs_.next()) {
      if (!done_.contains(file->path)) return ScoreInput{std::move(file->path), file->from_folder};
      ++skipped_;
    }
    return std::nullopt;
  }
  void cancel() override { inputs_.cancel(); }
  std::int64_t skipped() const { return skipped_; }

 private:
  InputFiles& inputs_;
  const std::set<std::string>& done_;
  std::atomic<std::int64_t> skipped_{0};
};

void require_inputs(const ScoreOptions& options, const InputFiles& inputs, Console& console) {
  for (const std::string& folder : inputs.empty_folders())
    console.warn(concat("The folder ", io::in_quotes(folder, 1000), " holds no files."));
  const std::optional<std::int64_t> total = inputs.total();
  if (!total.has_value() || *total > 0) return;
  const bool one = options.inputs.size() == 1 && options.lists.empty();
  fail(ErrorKind::kUsage, "There is nothing to score: ",
       one ? concat("the folder ", io::in_quotes(options.inputs.front(), 1000), " holds no files.")
           : std::string("the inputs name no file."));
}

// One image named on the command line, and a person looking: the number is all that is wanted.
bool wants_bare_score(const ScoreOptions& options) {
  std::error_code ignored;
  return options.format.empty() && options.output.empty() && options.lists.empty() &&
         options.inputs.size() == 1 && is_terminal(STDOUT_FILENO) &&
         !fs::is_directory(options.inputs.front(), ignored);
}

std::unique_ptr<LandmarkFile> read_landmarks(const ScoreOptions& options) {
  if (options.landmarks.empty()) return nullptr;
  try {
    return std::make_unique<LandmarkFile>(LandmarkFile::read(options.landmarks));
  } catch (const Error& error) {  // a file the user chose, not one image among many
    throw Error(error.kind() == ErrorKind::kInput ? ErrorKind::kUsage : error.kind(), error.what());
  }
}

std::string model_sentence(const Model& model, const ScoreMap& map) {
  return concat("model ", model.architecture(), ", family ", model.family(),
                ", score = ", model.head() != nullptr ? "output of the head" : "norm of the embedding",
                ", mapping ", map.describe(), ", SHA-256 ", model.sha256());
}

std::string alignment_sentence(const ScoreOptions& options) {
  if (options.landmarks.empty()) return "none: images are resized to the network's input";
  return concat("by the landmarks of ", io::escape_for_terminal(options.landmarks, 400),
                options.unaligned_ok ? "; images without are resized" : "");
}

PrepareOptions prepare_options(const ScoreOptions& options, const Model& model,
                               const LandmarkFile* landmarks) {
  PrepareOptions prepare;
  prepare.decode.limits.max_pixels = options.max_pixels;
  prepare.resize_order = parse_resize_order(options.resize_order);
  prepare.decode.apply_exif_orientation = options.exif;
  prepare.landmarks = landmarks;
  prepare.resize_without_landmarks = options.unaligned_ok;
  prepare.width = model.preprocessing().width;
  prepare.height = model.preprocessing().height;
  return prepare;
}

OutputSettings output_settings(const ScoreOptions& options, const Model& model, const ScoreMap& map,
                               const Context& context, const PrepareOptions& prepare) {
  OutputSettings settings;
  settings.style.format = wants_bare_score(options) ? RowFormat::kBare : options.row_format();
  settings.style.missing = options.missing;
  settings.style.with_time = options.time;
  settings.style.model_sha256 = model.sha256();
  settings.embedding_size = options.embeddings.empty() ? 0 : model.embedding_size();
  settings.map = map;
  settings.prepare = prepare;
  settings.facts = {{"Program", concat("aikd-score ", kVersion)},
                    {"Model", options.model},
                    {"Model's SHA-256", model.sha256()},
                    {"Family", concat(model.family(), ", ", model.architecture())},
                    {"Score", model.head() != nullptr ? "output of the quality head, higher is better"
                                                      : "norm of the embedding, higher is better"},
                    {"Mapping to 0..100", map.describe()},
                    {"Pre-processing", model.preprocessing().to_json()},
                    {"Alignment", alignment_sentence(options)},
                    {"EXIF orientation", options.exif ? "honoured" : "ignored"},
                    {"Device", device_sentence(options.device, options.precision, context)}};
  return settings;
}

void print_plan(const nn::Plan& plan, Console& console) {
  std::string text = concat("Plan: ", plan.steps().size(), " steps, ", plan.macs_per_image() / 1'000'000,
                            " million multiply-adds per image, ", plan.memory_bytes() / (1U << 20), " MiB\n");
  for (const nn::PlanStep& step : plan.steps())
    text += concat("  ", step.name, step.macs > 0 ? concat("  ", step.macs / 1'000'000, " M") : "", "\n");
  console.print(text);
}

}  // namespace

std::shared_ptr<const Model> load_model(const ScoreOptions& options, Console& console) {
  require(!options.model.empty(), ErrorKind::kUsage,
          "No model was given: name one with -m FILE or in $AIKD_MODEL. Model files are made from published "
          "PyTorch "
          "weights by 'aikd-convert WEIGHTS.pth MODEL.safetensors'.");
  fs::path path = options.model;
  if (path.extension() == ".pth" || path.extension() == ".pt") {
    fs::path converted = path;
    converted.replace_extension(".safetensors");
    std::error_code ignored;
    require(fs::is_regular_file(converted, ignored), ErrorKind::kModel, "The model ",
            io::in_quotes(options.model, 1000),
            " is a PyTorch file; make a model file of it once: aikd-convert ",
            io::in_quotes(path.string(), 1000), " ", io::in_quotes(converted.string(), 1000), ".");
    console.note(concat("using ", io::in_quotes(converted.string(), 1000), " for ",
                        io::in_quotes(options.model, 1000), "."));
    path = converted;
  }
  return Model::load(path);
}

Device choose_device(const ScoreOptions& options) {
  try {
    return Device::parse(options.device);
  } catch (const Error& error) {
    throw Error(error.kind(), concat(error.what(), error.kind() == ErrorKind::kDevice
                                                       ? " (--device cpu overrides a configuration file.)"
                                                       : ""));
  }
}

int score(const ScoreOptions& options, Console& console) {
  require(!options.inputs.empty() || !options.lists.empty(), ErrorKind::kUsage,
          "No input was given: name images or folders, or a list with --list FILE ('-' for standard input).");
  for (const std::string& note : options.notes) console.note(note);
  InputFiles inputs(
      {.paths = options.inputs, .lists = options.lists, .nul_separated = options.nul_separated});
  require_inputs(options, inputs, console);

  Context context(choose_device(options), options.threads);
  if (const std::string problem = kernels::isa_problem(); !problem.empty()) console.warn(problem);
  const std::shared_ptr<const Model> model = load_model(options, console);
  const ScoreMap map = options.score_map.empty() ? model->score_map() : ScoreMap::parse(options.score_map);
  const std::unique_ptr<LandmarkFile> landmarks = read_landmarks(options);
  console.note(device_sentence(options.device, options.precision, context));
  console.note(model_sentence(*model, map));
  if (model->metadata().contains("aikd.probe"))
    console.note("This model's head was fitted on a frozen backbone by aikd-probe.");
  else if (model->metadata().contains("aikd.untrained"))
    console.note("This model's weights are untrained: its scores say nothing about images.");
  const bool on_cuda = context.device().type == Device::Type::kCuda;
  // On a card of 132 multiprocessors 172 images of 14x14 pixels make two full waves of 128x256 tiles.
  const int batch = options.batch.value_or(on_cuda ? 172 : 8);
  Scorer scorer(model, context,
                {.max_batch = on_cuda ? batch : std::min(batch, 32),
                 .precision = nn::precision_from_name(options.precision).value_or(nn::Precision::kFp32),
                 .autotune = options.autotune});
  if (options.verbose) print_plan(scorer.plan(), console);

  const bool keeps_table = !options.output.empty() && options.output != "-";
  const nlohmann::ordered_json run_description = describe_run(*model, map, options);
  ResumedRows resumed;
  if (options.resume) resumed = resume_rows(options, run_description);

  ScoreRunOptions run;
  run.prepare = prepare_options(options, *model, landmarks.get());
  // One thread does everything itself, unless it would have to wait for a list that somebody is still
  // writing.
  run.workers = context.threads() == 1 && inputs.total().has_value() ? 0 : context.threads();
  run.batch = batch;
  run.embedding_size = options.embeddings.empty() ? 0 : model->embedding_size();
  run.stop = [] { return stop_signal() != 0; };
  OutputSettings settings = output_settings(options, *model, map, context, run.prepare);
  settings.append = !resumed.done.empty();
  settings.scores_before = resumed.scores;
  Outputs outputs(options, std::move(settings), inputs, console);
  const bool pickle_file = options.row_format() == RowFormat::kPickle;
  if (keeps_table && (outputs.writes_regular_file() || pickle_file))
    write_sidecar(options.output, run_description);

  watch_stop_signals();
  Source source(inputs, resumed.done);
  const auto start = std::chrono::steady_clock::now();
  ScoreRunCounts counts;
  try {
    counts = run_scores(
        source,
        [&](std::span<const std::uint8_t> crops, std::int64_t n, std::span<float> embeddings) {
          std::vector<Score> scores = scorer.score(crops, n, embeddings);
          for (Score& s : scores) s.mapped = map.map(static_cast<double>(s.raw));
          return scores;
        },
        outputs, run);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kOutput) throw;
    outputs.finish();  // what was computed before is not lost
    throw;
  }
  require(counts.scored + counts.failed + source.skipped() > 0 || stop_signal() != 0, ErrorKind::kUsage,
          "There is nothing to score: no image was found in the inputs.");
  outputs.finish();

  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (counts.passed_over > 0)
    console.note(concat(counts.passed_over, counts.passed_over == 1 ? " file" : " files",
                        " in folders passed over: no image by content or name."));
  if (source.skipped() > 0)
    console.note(concat(source.skipped(), " rows were there already, ", resumed.failed, " of them failed."));
  console.note(concat(
      outputs.summary(), ", in ", format_duration(seconds),
      counts.scored > 0 && seconds > 0
          ? concat(" (", std::round(static_cast<double>(counts.scored) / seconds * 10) / 10, " images/s).")
          : "."));
  if (const int number = stop_signal(); number != 0) {
    console.warn(concat("stopped by signal ", number, "; the rows begun were finished."));
    return 128 + number;
  }
  return counts.failed + resumed.failed > 0 ? kExitSomeFailed : kExitOk;
}

}  // namespace aikd::apps
