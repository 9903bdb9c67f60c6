// The table of the training options: name, place in --help, how it is read and printed.
#include <cmath>
#include <limits>
#include <utility>

#include "aikd/train_config.h"
#include "io/table.h"
#include "io/text.h"
#include "tensor/error.h"

namespace aikd {
namespace {

using Kind = TrainOption::Kind;
using Resume = TrainOption::Resume;
using Values = std::vector<std::string>;

template <class E>
using Names = std::vector<std::pair<std::string, E>>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t kMany = std::int64_t{1} << 40;

const std::string& only(const std::string& name, const Values& values) {
  require(values.size() == 1, ErrorKind::kUsage, "the option ", name, " takes one value; got ", values.size(),
          ".");
  return values.front();
}

bool parse_flag(const std::string& name, const Values& values) {
  const std::string& text = only(name, values);
  for (const char* yes : {"true", "1", "yes", "on"})
    if (text == yes) return true;
  for (const char* no : {"false", "0", "no", "off"})
    if (text == no) return false;
  fail(ErrorKind::kUsage, "the option ", name, " is true or false; got ", io::in_quotes(text), ".");
}

struct Range {
  double lo = 0, hi = kInfinity;
  bool above = false;  // lo itself is not in it
  bool below = false;  // hi itself is not in it
  bool holds(double x) const { return (above ? x > lo : x >= lo) && (below ? x < hi : x <= hi); }
  std::string to_string() const {
    std::string text = concat(above ? "above " : "at least ", io::format_number(lo));
    if (hi < kInfinity) text += concat(below ? " and below " : " and at most ", io::format_number(hi));
    return text;
  }
};
constexpr Range kPositive{0, 1e300, true, false}, kNotNegative{0, 1e300, false, false},
    kShare{0, 1, false, false}, kBelowOne{0, 1, false, true};

double parse_double(const std::string& name, const Values& values, const Range& range) {
  const std::string& text = only(name, values);
  double value = 0;
  require(io::parse_number(text, value) && range.holds(value), ErrorKind::kUsage, "the option ", name,
          " must be a number ", range.to_string(), "; got ", io::in_quotes(text), ".");
  return value;
}

std::int64_t parse_integer(const std::string& name, const Values& values, std::int64_t lo, std::int64_t hi) {
  const std::string& text = only(name, values);
  double value = 0;
  const bool ok = io::parse_number(text, value) && value == std::floor(value) &&
                  value >= static_cast<double>(lo) && value <= static_cast<double>(hi);
  require(ok, ErrorKind::kUsage, "the option ", name, " must be a whole number between ", lo, " and ", hi,
          "; got ", io::in_quotes(text), ".");
  return static_cast<std::int64_t>(value);
}

class Table {
 public:
  std::vector<TrainOption> take() { return std::move(options_); }
  void group(std::string name) { group_ = std::move(name); }

  TrainOption& flag(std::string name, bool TrainConfig::*field, std::string help) {
    TrainOption& o = add(std::move(name), "", std::move(help), Kind::kFlag);
    o.set = [field, n = o.name](TrainConfig& c, const Values& v) { c.*field = parse_flag(n, v); };
    o.get = [field](const TrainConfig& c) { return Values{c.*field ? "true" : "false"}; };
    return o;
  }
  TrainOption& text(std::string name, std::string TrainConfig::*field, std::string type, std::string help) {
    TrainOption& o = add(std::move(name), std::move(type), std::move(help));
    o.set = [field, n = o.name](TrainConfig& c, const Values& v) { c.*field = only(n, v); };
    o.get = [field](const TrainConfig& c) { return Values{c.*field}; };
    return o;
  }
  TrainOption& list(std::string name, Values TrainConfig::*field, std::string type, std::string help) {
    TrainOption& o = add(std::move(name), std::move(type), std::move(help), Kind::kList);
    o.set = [field](TrainConfig& c, const Values& v) { c.*field = v; };
    o.get = [field](const TrainConfig& c) { return c.*field; };
    return o;
  }
  TrainOption& number(std::string name, double TrainConfig::*field, Range range, std::string help) {
    TrainOption& o = add(std::move(name), "X", std::move(help));
    o.set = [=, n = o.name](TrainConfig& c, const Values& v) { c.*field = parse_double(n, v, range); };
    o.get = [field](const TrainConfig& c) { return Values{io::format_number(c.*field)}; };
    return o;
  }
  TrainOption& integer(std::string name, std::int64_t TrainConfig::*field, std::int64_t lo, std::int64_t hi,
                       std::string help) {
    TrainOption& o = add(std::move(name), "N", std::move(help));
    o.set = [=, n = o.name](TrainConfig& c, const Values& v) { c.*field = parse_integer(n, v, lo, hi); };
    o.get = [field](const TrainConfig& c) { return Values{std::to_string(c.*field)}; };
    return o;
  }
  template <class E>
  TrainOption& choice(std::string name, E TrainConfig::*field, Names<E> names, std::string help) {
    std::string all;
    for (const auto& [word, value] : names) all += concat(all.empty() ? "" : "|", word);
    TrainOption& o = add(std::move(name), all, std::move(help));
    o.set = [=, n = o.name](TrainConfig& c, const Values& v) {
      for (const auto& [word, value] : names) {
        if (only(n, v) != word) continue;
        c.*field = value;
        return;
      }
      fail(ErrorKind::kUsage, "the option ", n, " must be one of ", all, "; got ", io::in_quotes(v.front()),
           ".");
    };
    o.get = [=](const TrainConfig& c) {
      for (const auto& [word, value] : names)
        if (c.*field == value) return Values{word};
      return Values{""};
    };
    return o;
  }
  TrainOption& find(std::string_view name) {
    for (TrainOption& o : options_)
      if (o.name == name) return o;
    fail(ErrorKind::kInternal, "There is no training option ", name, ".");
  }
  // A number that also has a word: "ema: off" is 0, "limit: all" is -1.
  static void with_word(TrainOption& o, const std::string& word, const std::string& stands_for) {
    o.type += "|" + word;
    o.set = [set = o.set, word, stands_for](TrainConfig& c, const Values& v) {
      set(c, v.size() == 1 && v.front() == word ? Values{stands_for} : v);
    };
    o.get = [get = o.get, word, stands_for](const TrainConfig& c) {
      Values values = get(c);
      return values.front() == stands_for ? Values{word} : values;
    };
  }

 private:
  TrainOption& add(std::string name, std::string type, std::string help, Kind kind = Kind::kValue) {
    TrainOption& o = options_.emplace_back();
    o.name = std::move(name);
    o.group = group_;
    o.type = std::move(type);
    o.help = std::move(help);
    o.kind = kind;
    return o;
  }

  std::vector<TrainOption> options_;
  std::string group_;
};

void data_options(Table& t) {
  using C = TrainConfig;
  t.group("Data");
  t.list("images", &C::images, "PATH", "Folders and files").resume = Resume::kByContent;
  t.list("list", &C::lists, "FILE", "Files with one path a line").resume = Resume::kByContent;
  t.text("list-root", &C::list_root, "DIR", "Relative paths of lists lie below it").resume =
      Resume::kByContent;
  t.list("landmarks", &C::landmarks, "FILE", "Five points per image: CSV, JSON or pickle").resume =
      Resume::kByContent;
  t.list("labels", &C::labels, "FILE", "One quality per image: CSV or pickle").resume = Resume::kByContent;
  t.text("label-column", &C::label_column, "NAME", "Column of a CSV; else one of the usual names").resume =
      Resume::kByContent;
  t.text("key-root", &C::key_root, "NAME", "Names are cut behind this folder, as the original's 'vggface2'")
      .resume = Resume::kByContent;
  t.text("label-map", &C::label_map, "minmax|quantile|none", "How labels are brought to 0..1");
  t.flag("drop-degenerate", &C::drop_degenerate, "Leave out images whose landmarks cannot place a face");
  t.flag("exif", &C::exif, "Honour EXIF orientation; the original does not");
  t.integer("max-pixels", &C::max_pixels, 1, kMany, "Larger images are bad images");
  t.flag("misalign", &C::misalign, "Move the student's landmarks at random");
  t.number("perturb", &C::perturb, {0, 1e4}, "p: by up to so many pixels of the source image");
  t.number("perturb-relative", &C::perturb_relative, {0, 10},
           "Instead by up to this share of the distance of the eyes (0: by perturb)");
  t.group("Training and validation parts");
  t.choice(
      "split", &C::split,
      Names<SplitKind>{
          {"stride", SplitKind::kStride}, {"identity", SplitKind::kIdentity}, {"list", SplitKind::kList}},
      "Validate on every Nth image by quality, on some people, or on people of a list");
  t.integer("val-stride", &C::val_stride, 2, kMany, "With split stride: N");
  t.number("val-fraction", &C::val_fraction, {0, 1, true, true}, "With split identity: share of the people");
  t.integer("identity-folder", &C::identity_folder, -1, 64,
            "Which folder of a key names the person, from 1; -1: the one of the image");
  t.text("val-identities", &C::val_identities, "FILE", "With split list: one name a line").resume =
      Resume::kByContent;
}

void model_options(Table& t) {
  using C = TrainConfig;
  t.group("Method and models");
  t.choice("method", &C::method,
           Names<TrainMethod>{{"aikd", TrainMethod::kAikd}, {"diffiqa-r", TrainMethod::kDiffiqaR}},
           "AI-KD, or its sibling DifFIQA(R)");
  t.flag("as-published", &C::as_published, "Begin with the choices of the published script");
  t.text("teacher", &C::teacher, "FILE", "Recognition model that stays as it is").resume = Resume::kByContent;
  t.text("student", &C::student, "FILE", "Model that training begins with; else the teacher").resume =
      Resume::kByContent;
  t.integer("head-width", &C::head_width, 1, 1 << 16, "Hidden units of AI-KD's quality head");
  t.group("Losses");
  t.choice("quality-loss", &C::quality_loss,
           Names<QualityLoss>{{"l1", QualityLoss::kL1}, {"smooth-l1", QualityLoss::kSmoothL1}},
           "The paper's, or the script's");
  t.number("quality-beta", &C::quality_beta, kPositive, "Where smooth-l1 turns from a parabola to a line");
  t.number("quality-weight", &C::quality_weight, kNotNegative, "Weight of the quality loss");
  t.number("cosine-weight", &C::cosine_weight, kNotNegative, "Weight of mean(1 - cos) to the teacher");
}

void optimiser_options(Table& t) {
  using C = TrainConfig;
  t.group("Optimiser");
  t.choice("optimiser", &C::optimiser,
           Names<nn::OptimiserKind>{{"sgd", nn::OptimiserKind::kSgd}, {"adam", nn::OptimiserKind::kAdam}},
           "Momentum is SGD's, the betas Adam's");
  t.number("head-lr", &C::head_lr, kNotNegative, "Learning rate of the head");
  t.number("backbone-lr", &C::backbone_lr, kNotNegative, "Learning rate of the backbone");
  t.number("head-momentum", &C::head_momentum, kBelowOne, "SGD: share of the last step that is kept");
  t.number("backbone-momentum", &C::backbone_momentum, kBelowOne, "The same of the backbone");
  t.number("head-weight-decay", &C::head_weight_decay, kNotNegative,
           "Times the weight, added to its gradient");
  t.number("backbone-weight-decay", &C::backbone_weight_decay, kNotNegative, "The same of the backbone");
  t.number("adam-beta1", &C::adam_beta1, kBelowOne, "Decay of the mean gradient");
  t.number("adam-beta2", &C::adam_beta2, kBelowOne, "Decay of the mean squared gradient");
  t.number("adam-eps", &C::adam_eps, kPositive, "Added to its root");
  Table::with_word(t.integer("limit", &C::limit, C::kAllTensors, kMany,
                             "Only the last N parameter tensors of the backbone are trained"),
                   "all", "-1");
  t.number("clip", &C::clip, kNotNegative, "Largest norm of all gradients together (0: no limit)");
  t.choice("clip-over", &C::clip_over,
           Names<ClipOver>{{"trained", ClipOver::kTrained}, {"all", ClipOver::kAll}},
           "Which gradients that norm counts");
  Table::with_word(
      t.number("ema", &C::ema, kBelowOne, "Decay of the moving average that is validated and saved"), "off",
      "0");
  t.flag("ema-warmup", &C::ema_warmup, "Decay at most (1 + t) / (10 + t) in update t");
}

void schedule_options(Table& t) {
  using C = TrainConfig;
  t.group("Schedule");
  t.number("pretrain", &C::pretrain, kShare, "Share of the first epoch that the warm-up is counted in");
  t.number("warmup", &C::warmup, kShare, "Share of pretrain until the full learning rate");
  t.choice("warmup-shape", &C::warmup_shape,
           Names<nn::WarmUp>{
               {"sin", nn::WarmUp::kSine}, {"linear", nn::WarmUp::kLinear}, {"none", nn::WarmUp::kNone}},
           "Its curve");
  t.flag("warmup-from-zero", &C::warmup_from_zero, "The first step has the learning rate 0 (the script's)");
  t.choice("decay", &C::decay,
           Names<nn::Decay>{{"constant", nn::Decay::kConstant}, {"cosine", nn::Decay::kCosine}},
           "Learning rate behind the warm-up");
  t.number("lr-end", &C::lr_end, kShare, "With decay cosine: the last factor");
  t.group("Numbers");
  t.choice(
      "precision", &C::precision,
      Names<Precision>{{"fp32", Precision::kFp32}, {"bf16", Precision::kBf16}, {"fp16", Precision::kFp16}},
      "Of the multiplications in networks");
  t.number("loss-scale", &C::loss_scale, kPositive, "fp16: first factor of the loss");
  t.number("loss-scale-growth", &C::loss_scale_growth, {1, 1e6}, "Factor after loss-scale-interval steps");
  t.number("loss-scale-backoff", &C::loss_scale_backoff, {0, 1, true, false}, "Factor after an overflow");
  t.integer("loss-scale-interval", &C::loss_scale_interval, 0, kMany,
            "Steps without overflow until it grows (0: the pretrain steps)");
}

void run_options(Table& t) {
  using C = TrainConfig;
  t.group("Run");
  t.text("run", &C::run, "DIR", "Directory of the run; one that is there is gone on with").resume =
      Resume::kFree;
  t.integer("epochs", &C::epochs, 1, 1 << 20, "Times through the training images");
  t.integer("max-steps", &C::max_steps, 0, kMany, "End after so many steps (0: the epochs decide)");
  t.integer("batch", &C::batch, 2, 1 << 16, "Images per step; BatchNorm needs two");
  t.integer("val-batch", &C::val_batch, 1, 1 << 16, "Images per pass of a validation");
  t.integer("seed", &C::seed, 0, std::int64_t{1} << 53, "Of order, perturbation, split and new weights");
  t.number("validate-every", &C::validate_every, {0, 1e6, true, false}, "In epochs");
  t.flag("validate-after-pretrain", &C::validate_after_pretrain, "No validation before (the script's)");
  t.choice("keep-best", &C::keep_best,
           Names<KeepBest>{{"loss", KeepBest::kLoss},
                           {"quality-misaligned", KeepBest::kQualityMisaligned},
                           {"quality-aligned", KeepBest::kQualityAligned}},
           "The validation number by which the best model is kept: the whole loss or the quality loss on "
           "misaligned crops, or the quality loss on aligned ones");
  t.integer("workers", &C::workers, 0, 1024, "Threads that decode (0: as many as processors)");
  t.integer("prefetch", &C::prefetch, 1, 1024, "Batches ready ahead of the network");
  t.integer("threads", &C::threads, 0, 4096, "Threads of the networks (0: as many as processors)");
  t.text("device", &C::device, "auto|cpu|cuda:N", "Where the networks run");
  t.integer("log-every", &C::log_every, 1, kMany, "Steps per row of metrics.jsonl");
  t.integer("checkpoint-every", &C::checkpoint_every, 0, kMany, "Steps per checkpoint (0: not by steps)");
  t.number("checkpoint-minutes", &C::checkpoint_minutes, kNotNegative,
           "Minutes per checkpoint (0: only at validations and at the end)");
  t.flag("check-nan", &C::check_nan, "Look for NaN and infinity in every tensor of every step");
  t.number("divergence-limit", &C::divergence_limit, kNotNegative,
           "Stop when the loss is so many times what it was at first (0: never)");
  t.flag("tensorboard", &C::tensorboard, "Write an event file as well");
  t.flag("report", &C::report, "Write report.html and invariance.csv at the end");
  t.integer("jitter-images", &C::jitter_images, 0, kMany,
            "Validation images that invariance.csv is measured on, eight passes each (0: all)");
  for (const char* name :
       {"workers", "prefetch", "threads", "device", "log-every", "checkpoint-every", "checkpoint-minutes",
        "check-nan", "divergence-limit", "tensorboard", "report", "jitter-images"})
    t.find(name).resume = Resume::kFree;
}

}  // namespace

const std::vector<TrainOption>& train_options() {
  static const std::vector<TrainOption> options = [] {
    Table table;
    model_options(table);
    data_options(table);
    optimiser_options(table);
    schedule_options(table);
    run_options(table);
    return table.take();
  }();
  return options;
}

const TrainOption* find_train_option(std::string_view name) noexcept {
  for (const TrainOption& option : train_options())
    if (option.name == name) return &option;
  return nullptr;
}

}  // namespace aikd
