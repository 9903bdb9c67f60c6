#include "apps/aikd_score/options.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "aikd/score_map.h"
#include "apps/aikd_score/config_keys.h"
#include "apps/common/program.h"
#include "io/config.h"
#include "io/table.h"
#include "io/text.h"
#include "nn/plan.h"
#include "tensor/error.h"

namespace aikd::apps {
namespace {

std::string footer() {
  std::string text = "Statuses of a row:\n";
  for (const ScoreStatus status : kAllStatuses)
    text +=
        concat("  ", name_of(status), std::string(15 - name_of(status).size(), ' '), describe(status), "\n");
  text +=
      "\nExit codes: 0 all scored; 1 finished, some inputs failed; 2 usage or configuration; 3 model or "
      "device;\n"
      "4 output; 128+n ended by signal n (the rows begun are finished and written first).\n"
      "\nA folder stands for all files below it, in the order of `find -type f | LC_ALL=C sort`. Formats are "
      "known\n"
      "by content. Files of a folder that are no images, by content and by name, are passed over; a file "
      "named on\n"
      "the command line or in a list always has a row.\n"
      "The score says how useful the image is for automatic recognition, not how beautiful the face is.\n";
  return text;
}

class Parser {
 public:
  explicit Parser(ScoreOptions& o) : o_(o) {
    app_.footer(footer());
    app_.set_version_flag("--version", version_line("aikd-score"))->group(kActions);
    app_.get_help_ptr()->group(kActions);
    app_.option_defaults()->always_capture_default();
    inputs_and_model();
    results();
    choosing();
    summaries();
    images();
    running();
    actions();
  }

  CLI::App& app() { return app_; }
  const std::string& config() const { return config_; }

 private:
  template <class T>
  CLI::Option* option(const char* names, T& target, const char* help, const char* group) {
    return app_.add_option(names, target, help)->group(group);
  }
  CLI::Option* flag(const char* names, bool& target, const char* help, const char* group) {
    return app_.add_flag(names, target, help)->group(group);
  }

  void inputs_and_model() {
    constexpr const char* kInputs = "Inputs";
    option("input", o_.inputs, "Images and folders", kInputs)->type_name("INPUT")->expected(0, 1 << 30);
    option("--list", o_.lists, "A file with one path a line; '-' is standard input, read as it comes",
           kInputs)
        ->type_name("FILE")
        ->take_all()
        ->expected(1)
        ->expected(1, 1000)
        ->allow_extra_args(false);
    flag("-0,--null", o_.nul_separated, "The paths of lists end with NUL bytes (find -print0)", kInputs);
    app_.add_option("-c,--config", config_,
                    "YAML: long option names as keys, or the original's inference_config.yaml")
        ->type_name("FILE")
        ->group(kInputs);

    constexpr const char* kModel = "Model";
    option("-m,--model", o_.model, "Model file (safetensors, made by aikd-convert)", kModel)
        ->envname("AIKD_MODEL")
        ->type_name("FILE");
    option(
        "--score-map", o_.score_map,
        "Mapping to 0..100 instead of the model's: linear:lo,hi  sigmoid:x0,w  percentiles:v0,...,v100  none",
        kModel)
        ->type_name("MAP");
  }

  void results() {
    constexpr const char* kGroup = "Results";
    option("-o,--output", o_.output, "Write the rows here instead of standard output", kGroup)
        ->type_name("FILE");
    option("--format", o_.format,
           "csv, tsv, jsonl, plain (path score), bare (score), pickle (the original's quality-scores.pkl); "
           "else by "
           "the extension of -o, else csv; one image and a terminal: bare",
           kGroup)
        ->type_name("FORMAT");
    option("--missing", o_.missing, "Score of a failed row: NA or a number such as -1 or 255", kGroup)
        ->type_name("TEXT");
    flag("--time,!--no-time", o_.time, "Fill the column ms (without it two runs give the same bytes)",
         kGroup);
    flag("--resume", o_.resume, "Go on with the rows of -o: skip the images it has (csv, tsv, jsonl)",
         kGroup);
    flag("--retry-failed", o_.retry_failed, "With --resume: score the images of failed rows again", kGroup);
  }

  void choosing() {
    constexpr const char* kGroup = "Choosing and ordering rows (failed images are then told on stderr only)";
    option("--min-score", o_.min_score, "Only rows with a score of at least X", kGroup)->type_name("X");
    option("--below", o_.below, "Only rows with a score below X (what --min-score leaves out)", kGroup)
        ->type_name("X");
    flag("--mapped", o_.by_mapped, "X is meant on the scale of 0..100", kGroup);
    option("--top", o_.top, "Only the N best, best first", kGroup)->type_name("N");
    option("--top-per-folder", o_.top_per_folder, "Only the N best of each folder", kGroup)->type_name("N");
    option("--sort", o_.sort, "score (best first), path, or none (order of the inputs)", kGroup)
        ->type_name("BY");
    flag("--reverse", o_.reverse, "Turn the order of --sort round", kGroup);
  }

  void summaries() {
    constexpr const char* kGroup = "Summaries (of all scored images)";
    flag("--percentiles", o_.percentiles, "Print a table of percentiles on stderr", kGroup);
    option("--percentiles-to", o_.percentiles_to, "Write percentiles 0..100 as CSV", kGroup)
        ->type_name("FILE");
    option("--report", o_.report, "Write index.html there: histogram, percentiles, contact sheet, failures",
           kGroup)
        ->type_name("DIR");
    option("--report-images", o_.report_images, "Pictures of the contact sheet at most", kGroup)
        ->type_name("N");
    option("--embeddings", o_.embeddings,
           "Write embeddings [n,d], scores [n] and paths (NUL-ended UTF-8) of the scored images", kGroup)
        ->type_name("FILE.safetensors");
  }

  void images() {
    constexpr const char* kGroup = "Images";
    option("--landmarks", o_.landmarks,
           "Align by 5 points: CSV path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry, JSON, or pickle; in pixels of the "
           "image "
           "as scored (after EXIF orientation). Without it images are resized",
           kGroup)
        ->type_name("FILE");
    flag("--unaligned-ok", o_.unaligned_ok, "Resize images that have no landmarks instead of failing them",
         kGroup);
    flag("--exif,!--no-exif", o_.exif, "Honour EXIF orientation (--no-exif: as the original)", kGroup);
    option("--resize-order", o_.resize_order,
           "Without landmarks: horizontal-first gives the bytes of Pillow up to 12, pillow13 those of later "
           "ones",
           kGroup)
        ->type_name("ORDER");
    option("--max-pixels", o_.max_pixels, "Largest width x height, checked before decoding", kGroup)
        ->type_name("N");
  }

  void running() {
    constexpr const char* kGroup = "Running";
    option("-t,--threads", o_.threads, "Threads; 0: all processors this process may use", kGroup)
        ->type_name("N");
    option("-b,--batch", o_.batch, "Images per call of the network; else 8 on the CPU, 172 on CUDA", kGroup)
        ->type_name("N");
    option("--device", o_.device, "auto (the first CUDA device, else the CPU), cpu or cuda:N", kGroup)
        ->type_name("DEVICE");
    option("--precision", o_.precision,
           "fp32 (exact), or on CUDA tf32, fp16, bf16: tensor cores, fewer digits (the head stays fp32)",
           kGroup)
        ->type_name("P");
    flag("--autotune", o_.autotune, "On CUDA: time cuDNN's engines for every layer at the start", kGroup);
    app_.add_flag_function(
            "--progress,!--no-progress", [this](std::int64_t count) { o_.progress = count > 0; },
            "Progress bar on stderr; else only on a terminal")
        ->group(kGroup);
    flag("-q,--quiet", o_.quiet, "Only errors on stderr", kGroup);
    flag("-v,--verbose", o_.verbose, "The steps of the plan and every failure on stderr", kGroup);
  }

  void actions() {
    flag("--list-devices", o_.list_devices, "Print the devices", kActions);
    flag("--build-info", o_.build_info, "Print compiler, instruction set, decoders, CUDA", kActions);
    flag("--cite", o_.cite, "Print the paper to cite (BibTeX)", kActions);
    flag("--self-test", o_.self_test, "Check known inputs against known results, and the model if given",
         kActions);
    flag("--dump-config", o_.dump_config, "Print the effective options as YAML for -c", kActions);
  }

  ScoreOptions& o_;
  CLI::App app_{"Scores how useful face images are for recognition (AI-KD, arXiv 2404.09555).", "aikd-score"};
  std::string config_;
};

void check_number_options(const ScoreOptions& o) {
  const auto at_least = [](const char* name, std::int64_t value, std::int64_t least) {
    require(value >= least, ErrorKind::kUsage, "The option ", name, " must be at least ", least, "; got ",
            value, ".");
  };
  at_least("--threads", o.threads, 0);
  at_least("--batch", o.batch.value_or(1), 1);
  at_least("--max-pixels", o.max_pixels, 1);
  at_least("--report-images", o.report_images, 0);
  at_least("--top", o.top.value_or(1), 1);
  at_least("--top-per-folder", o.top_per_folder.value_or(1), 1);
  require(o.threads <= 4096 && o.batch.value_or(1) <= 4096, ErrorKind::kUsage,
          "The options --threads and --batch must be at most 4096; got ", o.threads, " and ",
          o.batch.value_or(1), ".");
  require(!std::isnan(o.min_score.value_or(0)) && !std::isnan(o.below.value_or(0)), ErrorKind::kUsage,
          "The options --min-score and --below need a number; got nan.");
  double number = 0;
  require(o.missing == "NA" || (io::parse_number(o.missing, number) && std::isfinite(number)),
          ErrorKind::kUsage, "The option --missing must be NA or a finite number; got ",
          io::in_quotes(o.missing), ".");
}

void check_combinations(const ScoreOptions& o) {
  require(o.format.empty() || row_format_from_name(o.format).has_value(), ErrorKind::kUsage, "The format ",
          io::in_quotes(o.format), " is not known; expected csv, tsv, jsonl, plain, bare or pickle.");
  require(nn::precision_from_name(o.precision).has_value(), ErrorKind::kUsage, "The precision ",
          io::in_quotes(o.precision), " is not known; expected fp32, tf32, fp16 or bf16.");
  require(o.sort.empty() || o.sort == "score" || o.sort == "path" || o.sort == "none", ErrorKind::kUsage,
          "The option --sort must be score, path or none; got ", io::in_quotes(o.sort), ".");
  try {
    ScoreMap::parse(o.score_map);
  } catch (const Error& error) {  // what the user typed, not what a model holds
    throw Error(ErrorKind::kUsage, error.what());
  }
  require(!o.by_mapped || o.min_score || o.below, ErrorKind::kUsage,
          "The option --mapped says on which scale --min-score or --below is meant; neither is given.");
  require(!o.unaligned_ok || !o.landmarks.empty(), ErrorKind::kUsage,
          "The option --unaligned-ok needs --landmarks.");
  require(!o.retry_failed || o.resume, ErrorKind::kUsage, "The option --retry-failed needs --resume.");
  if (!o.resume) return;
  require(!o.output.empty() && o.output != "-", ErrorKind::kUsage,
          "The option --resume needs -o FILE: the rows to go on with.");
  const RowFormat format = o.row_format();
  require(format == RowFormat::kCsv || format == RowFormat::kTsv || format == RowFormat::kJsonl,
          ErrorKind::kUsage, "The option --resume needs the format csv, tsv or jsonl; got ", name_of(format),
          ".");
  require(
      !o.filters() && (o.sort.empty() || o.sort == "none"), ErrorKind::kUsage,
      "The option --resume cannot be used with --min-score, --below, --top, --top-per-folder or --sort: the "
      "rows left out would be scored again. Filter the finished table instead.");
  require(
      o.report.empty() && o.embeddings.empty(), ErrorKind::kUsage,
      "The option --resume cannot be used with --report or --embeddings, which need every image of the run.");
}

}  // namespace

RowFormat ScoreOptions::row_format() const {
  if (!format.empty()) return row_format_from_name(format).value_or(RowFormat::kCsv);
  const std::string extension = std::filesystem::path(output).extension().string();
  if (extension == ".tsv") return RowFormat::kTsv;
  if (extension == ".jsonl" || extension == ".ndjson") return RowFormat::kJsonl;
  if (extension == ".txt") return RowFormat::kPlain;
  if (extension == ".pkl" || extension == ".pickle") return RowFormat::kPickle;
  return RowFormat::kCsv;
}

std::optional<ScoreOptions> parse_options(int argc, char** argv) {
  ScoreOptions options;
  Parser parser(options);
  if (!parse_command_line(parser.app(), argc, argv)) return std::nullopt;
  if (!parser.config().empty()) apply_config(parser.app(), parser.config(), options.notes);
  check_number_options(options);
  check_combinations(options);
  return options;
}

std::string dump_config(const ScoreOptions& o) {
  std::string out = "# aikd-score -c FILE reads this; options of the command line win over it.\n";
  const auto list = [&out](const char* key, const std::vector<std::string>& v) {
    out += io::yaml_line(key, v, true);
  };
  const auto text = [&out](const char* key, const std::string& v) {
    if (!v.empty()) out += io::yaml_line(key, {v}, false);
  };
  const auto flag = [&text](const char* key, bool v) { text(key, v ? "true" : "false"); };
  const auto integer = [&text](const char* key, std::optional<std::int64_t> v) {
    if (v) text(key, std::to_string(*v));
  };
  const auto number = [&text](const char* key, std::optional<double> v) {
    if (v) text(key, io::format_number(*v));
  };
  list("input", o.inputs);
  list("list", o.lists);
  flag("null", o.nul_separated);
  text("model", o.model);
  text("score-map", o.score_map);
  text("output", o.output);
  text("format", std::string(name_of(o.row_format())));
  text("missing", o.missing);
  flag("time", o.time);
  flag("resume", o.resume);
  flag("retry-failed", o.retry_failed);
  number("min-score", o.min_score);
  number("below", o.below);
  flag("mapped", o.by_mapped);
  integer("top", o.top);
  integer("top-per-folder", o.top_per_folder);
  text("sort", o.sort);
  flag("reverse", o.reverse);
  flag("percentiles", o.percentiles);
  text("percentiles-to", o.percentiles_to);
  text("report", o.report);
  integer("report-images", o.report_images);
  text("embeddings", o.embeddings);
  text("landmarks", o.landmarks);
  flag("unaligned-ok", o.unaligned_ok);
  text("resize-order", o.resize_order);
  flag("exif", o.exif);
  integer("max-pixels", o.max_pixels);
  integer("threads", o.threads);
  integer("batch", o.batch);
  text("device", o.device);
  text("precision", o.precision);
  flag("autotune", o.autotune);
  if (o.progress) flag("progress", *o.progress);
  flag("quiet", o.quiet);
  flag("verbose", o.verbose);
  return out;
}

}  // namespace aikd::apps
