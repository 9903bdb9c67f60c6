#include "aikd/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "aikd/checkpoint.h"
#include "aikd/model_builder.h"
#include "aikd/process_memory.h"
#include "aikd/train_closing.h"
#include "aikd/train_data.h"
#include "aikd/train_progress.h"
#include "aikd/train_step.h"
#include "aikd/validation.h"
#include "io/table.h"
#include "io/text.h"

namespace aikd {
namespace {

using nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr const char* kBadImages = "run.bad_images";  // of a checkpoint

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double wall_time() {
  return static_cast<double>(std::time(nullptr));
}

class Run {
 public:
  Run(const TrainConfig& config, bool overwrite, Context& context, const TrainCallbacks& callbacks)
      : config_(config), context_(context), callbacks_(callbacks) {
    require(!config.run.empty(), ErrorKind::kUsage,
            "No directory was named for the run: give one with --run DIR.");
    load_models();
    data_ = read_train_data(config_);
    const std::string missing = data_.dataset.report().to_text();
    if (!missing.empty()) note(missing.substr(0, missing.size() - 1));
    make_loaders();
    phases_ = train_phases(config_, training_->steps_per_epoch());
    schedule_ = train_schedule(config_, phases_);
    step_ = std::make_unique<TrainStep>(teacher_.get(), *student_, context_, config_, phases_.pretrain_end);
    validator_ = std::make_unique<Validator>(step_->teacher_plan(), context_, config_);
    open(overwrite);
  }

  TrainOutcome go() {
    describe();
    if (!outcome_.resumed && phases_.validates(0)) validate();
    TrainBatch batch;
    const std::int64_t per_epoch = training_->steps_per_epoch();
    const auto last_epoch = static_cast<std::uint64_t>((phases_.total_steps + per_epoch - 1) / per_epoch);
    training_->start(static_cast<std::uint64_t>(outcome_.step / per_epoch), outcome_.step % per_epoch,
                     last_epoch);
    last_checkpoint_ = window_start_ = Clock::now();
    while (outcome_.step < phases_.total_steps) {
      if (asked_to_stop()) return stop();
      require(training_->next(batch), ErrorKind::kInternal, "The loader ended before the run.");
      if (!take_step(batch)) return diverged();
      if (phases_.validates(outcome_.step)) validate();
      if (checkpoint_due()) save_checkpoint();
    }
    finish();
    return outcome_;
  }

 private:
  void note(const std::string& sentence) const {
    if (callbacks_.note) callbacks_.note(sentence);
  }
  void warn(const std::string& sentence) const {
    if (callbacks_.warn) callbacks_.warn(sentence);
  }
  bool asked_to_stop() const { return callbacks_.stop && callbacks_.stop(); }

  void load_models() {
    const bool aikd = config_.method == TrainMethod::kAikd;
    require(!aikd || !config_.teacher.empty() || config_.cosine_weight == 0, ErrorKind::kUsage,
            "No teacher was named: give a recognition model with --teacher FILE (aikd-convert makes one of a "
            ".pth file).");
    require(!config_.teacher.empty() || !config_.student.empty(), ErrorKind::kUsage,
            "There is no model to begin with: name one with --student FILE or --teacher FILE.");
    if (!config_.teacher.empty()) teacher_ = Model::load(config_.teacher);
    start_ = config_.student.empty() ? teacher_ : std::shared_ptr<const Model>(Model::load(config_.student));
    student_ = make_student(*start_, config_);
    result_ = make_student(*start_, config_);
    if (teacher_ != nullptr)
      require(teacher_->preprocessing().width == student_->preprocessing().width &&
                  teacher_->preprocessing().height == student_->preprocessing().height,
              ErrorKind::kUsage, "The teacher and the student take crops of different sizes.");
    for (const Model* model : {teacher_.get(), start_.get()})
      if (model != nullptr && model->metadata().contains("aikd.untrained")) {
        warn("This model's weights were never trained: what is distilled from it says nothing about faces.");
        break;
      }
  }

  void make_loaders() {
    const auto bad = [this](const DatasetItem& item, const std::string& why) {
      bad_images_.insert(&item - data_.dataset.items().data());
      outcome_.bad_images = static_cast<std::int64_t>(bad_images_.size());
      warn(why + " It is left out.");
    };
    const LoaderOptions options =
        loader_options(config_, data_, student_->preprocessing(), context_.threads());
    training_ = training_loader(data_, options, bad);
    validation_ = validation_loader(config_, data_, options, bad);
  }

  void open(bool overwrite) {
    fingerprints_["data"] = data_fingerprint(data_.dataset, data_.split);
    if (teacher_ != nullptr) fingerprints_["teacher"] = teacher_->sha256();
    fingerprints_["student"] = start_->sha256();
    directory_.emplace(config_.run, overwrite);
    store_.emplace(directory_->path());
    std::optional<CheckpointStore::Loaded> loaded = store_->load();
    std::int64_t step = -1;
    if (loaded) {
      if (!loaded->note.empty()) warn(loaded->note);
      const ordered_json& state = loaded->checkpoint.state;
      require(state.contains("run") && state.contains("step") && state["step"].is_number_integer() &&
                  state.contains("progress"),
              ErrorKind::kModel, "The checkpoint ", io::in_quotes(loaded->path.string(), 1000),
              " does not say what run it belongs to.");
      for (const std::string& change : check_resume(state["run"], config_, fingerprints_)) note(change);
      step = state["step"].get<std::int64_t>();
      require(step >= 0, ErrorKind::kModel, "The checkpoint's step is ", step, ".");
      step_->restore(loaded->checkpoint);
      progress_.restore(state["progress"]);
      restore_bad_images(loaded->checkpoint);
      outcome_.step = step;
      outcome_.resumed = true;
      note(concat("Going on at step ", step, " of ", phases_.total_steps, " in ",
                  io::in_quotes(config_.run, 1000), "."));
    } else if (directory_->existed()) {
      note("The run in " + io::in_quotes(config_.run, 1000) + " has no checkpoint yet: it begins at step 0.");
    }
    for (const std::string& damaged : directory_->open_logs(step, config_.tensorboard, wall_time()))
      warn(damaged);
    directory_->save_config(dump_train_config(config_));
  }

  void describe() const {
    const nn::TrainableNetwork& network = step_->network();
    std::int64_t trained = 0;
    for (const auto* tensors : {&network.trained_head(), &network.trained_backbone()})
      for (const nn::StateTensor& tensor : *tensors) trained += tensor.tensor.numel();
    note(concat(data_.split.training.size(), " training and ", data_.split.validation.size(),
                " validation images; ", training_->steps_per_epoch(), " steps per epoch, ",
                phases_.total_steps, " in all."));
    note(concat(student_->architecture(), ": ", trained, " parameters in ",
                network.trained_backbone().size() + network.trained_head().size(), " tensors are trained; ",
                network.frozen().steps().size(), " frozen steps run on the compiled plan, ",
                network.tape_nodes(), " ops on the tape."));
  }

  // False: the run must end (outcome_.sentence says why).
  bool take_step(const TrainBatch& batch) {
    const StepResult result = step_->run(batch, nn::learning_rate_factor(schedule_, step_->steps_taken()));
    ++outcome_.step;
    progress_.add(result);
    ++window_.window_steps;
    window_.window_images += batch.n;
    window_.window_seconds = seconds_since(window_start_);
    window_.step = outcome_.step;
    window_.total_steps = phases_.total_steps;
    if (config_.check_nan && result.skipped &&
        (config_.precision != Precision::kFp16 || !std::isfinite(result.loss))) {
      outcome_.sentence =
          concat("In step ", outcome_.step, " ", result.not_finite, " is not finite (check-nan).");
      return false;
    }
    if (callbacks_.progress) callbacks_.progress(window_, result.loss);
    if (outcome_.step % config_.log_every == 0 || outcome_.step == phases_.total_steps) {
      outcome_.sentence = log_metrics();
      if (!outcome_.sentence.empty()) return false;
    }
    return true;
  }

  std::string log_metrics() {
    const ProgressFacts facts = progress_facts(window_);
    ordered_json row;
    row["step"] = outcome_.step;
    row["epoch"] = static_cast<double>(outcome_.step) / static_cast<double>(training_->steps_per_epoch());
    const std::string problem = progress_.close_interval(row, config_.divergence_limit);
    row["lr_head"] = step_->head_rate();
    row["lr_backbone"] = step_->backbone_rate();
    row["loss_scale"] = step_->loss_scale();
    row["images_per_second"] = facts.images_per_second;
    row["loader_wait_share"] = training_->statistics().wait_share();
    row["bad_images"] = outcome_.bad_images;
    row["memory_mb"] = peak_memory_mib();
    row["eta_seconds"] = facts.seconds_left;
    directory_->log_metrics(row, wall_time());
    if (window_.window_seconds > 60) start_window();  // the estimate follows the machine
    return problem;
  }

  void start_window() {
    window_ = Progress{.step = outcome_.step, .total_steps = phases_.total_steps};
    window_start_ = Clock::now();
  }

  void validate() {
    const auto start = Clock::now();
    step_->copy_result(*result_);
    const ValidationResult v = validator_->run(*result_, *validation_);
    const double value = v.value(config_.keep_best);
    const bool best = progress_.is_best(value, outcome_.step);
    ordered_json row;
    row["step"] = outcome_.step;
    row["loss_aligned"] = v.loss_aligned;
    row["loss_misaligned"] = v.loss_misaligned;
    row["quality_aligned"] = v.quality_aligned;
    row["quality_misaligned"] = v.quality_misaligned;
    row["cosine_aligned"] = v.cosine_aligned;
    row["cosine_misaligned"] = v.cosine_misaligned;
    row["spearman_aligned"] = v.spearman_aligned;
    row["spearman_misaligned"] = v.spearman_misaligned;
    row["spearman_invariance"] = v.spearman_invariance;
    row["embedding_cosine"] = v.embedding_cosine;
    row["images"] = v.images;
    row["best"] = best;
    directory_->log_validation(row, wall_time());
    note(concat("step ", outcome_.step, ": loss ", io::format_fixed(v.loss_misaligned, 4), " misaligned, ",
                io::format_fixed(v.loss_aligned, 4), " aligned; scores of both crops: Spearman ",
                io::format_fixed(v.spearman_invariance, 4), best ? " (best so far)" : ""));
    if (best) save_result(RunDirectory::kBest);
    // Neither rate nor estimate is to count the time of a validation.
    window_start_ += std::chrono::duration_cast<Clock::duration>(Clock::now() - start);
  }

  void save_result(const char* name) {
    const auto set = [this](const char* key, const std::string& value) {
      ModelBuilder::set_metadata(*result_, key, value);
    };
    set("aikd.score_map", data_.label_map.to_string() == "none" ? "none" : "linear:0,1");
    set("aikd.label_map", data_.label_map.to_string());
    set("aikd.train_step", std::to_string(outcome_.step));
    set("aikd.train_config", dump_train_config(config_));
    if (teacher_ != nullptr) set("aikd.teacher_sha256", teacher_->sha256());
    set("aikd.train_data_sha256", fingerprints_.at("data"));
    save_model(*result_, directory_->file(name));
  }

  bool checkpoint_due() const {
    if (outcome_.step == phases_.total_steps || phases_.validates(outcome_.step)) return true;
    if (config_.checkpoint_every > 0 && outcome_.step % config_.checkpoint_every == 0) return true;
    return config_.checkpoint_minutes > 0 &&
           seconds_since(last_checkpoint_) > 60 * config_.checkpoint_minutes;
  }

  void save_checkpoint() {
    Checkpoint checkpoint;
    step_->save(checkpoint);
    checkpoint.state["run"] = describe_run(config_, fingerprints_);
    checkpoint.state["step"] = outcome_.step;
    checkpoint.state["progress"] = progress_.state();
    if (!bad_images_.empty()) {
      Tensor indices = Tensor::empty({outcome_.bad_images}, DType::kI64);
      std::ranges::copy(bad_images_, indices.mutable_values<std::int64_t>().begin());
      checkpoint.tensors.emplace_back(kBadImages, indices);
    }
    directory_->sync();  // its rows are on the disk before it
    store_->save(checkpoint);
    last_checkpoint_ = Clock::now();
  }

  void restore_bad_images(const Checkpoint& checkpoint) {
    for (const auto& [name, tensor] : checkpoint.tensors) {
      if (name != kBadImages) continue;
      require(tensor.dtype() == DType::kI64, ErrorKind::kModel, "The checkpoint's ", kBadImages,
              " are no whole numbers.");
      bad_images_.insert(tensor.values<std::int64_t>().begin(), tensor.values<std::int64_t>().end());
    }
    outcome_.bad_images = static_cast<std::int64_t>(bad_images_.size());
  }

  TrainOutcome stop() {
    save_checkpoint();
    step_->copy_result(*result_);
    save_result(RunDirectory::kLast);
    outcome_.end = TrainOutcome::End::kStopped;
    return with_best();
  }

  TrainOutcome diverged() {
    directory_->sync();
    outcome_.end = TrainOutcome::End::kDiverged;
    write_report("The run ended at step " + std::to_string(outcome_.step) + ": " + outcome_.sentence, false);
    return with_best();
  }

  void finish() {
    step_->copy_result(*result_);
    save_result(RunDirectory::kLast);
    write_report("", true);
    with_best();
  }

  TrainOutcome with_best() {
    outcome_.best_step = progress_.best_step();
    outcome_.best_value = progress_.best_value();
    return outcome_;
  }

  void write_report(const std::string& why, bool measure) {
    if (!config_.report) return;
    ClosingReport report;
    report.directory = &*directory_;
    report.config = &config_;
    report.data = &data_;
    report.start = start_.get();
    report.teacher = teacher_.get();
    report.bad_images = outcome_.bad_images;
    report.device = context_.device().to_string();
    if (!why.empty()) report.notes.push_back(why);
    write_closing_report(report, measure, context_);
  }

  const TrainConfig config_;
  Context& context_;
  const TrainCallbacks& callbacks_;
  std::shared_ptr<const Model> teacher_, start_;
  std::unique_ptr<Model> student_, result_;  // result_: what is validated and saved
  TrainData data_;
  std::unique_ptr<TrainLoader> training_, validation_;
  TrainPhases phases_;
  nn::ScheduleOptions schedule_;
  std::unique_ptr<TrainStep> step_;
  std::unique_ptr<Validator> validator_;
  Fingerprints fingerprints_;
  std::optional<RunDirectory> directory_;
  std::optional<CheckpointStore> store_;
  TrainProgress progress_;
  std::set<std::int64_t> bad_images_;  // indices of items; those met before the run was resumed too
  TrainOutcome outcome_;
  Progress window_;
  Clock::time_point last_checkpoint_, window_start_;
};

}  // namespace

TrainOutcome train(const TrainConfig& config, bool overwrite, Context& context,
                   const TrainCallbacks& callbacks) {
  check_train_config(config);
  try {
    Run run(config, overwrite, context, callbacks);
    return run.go();
  } catch (const Error& error) {
    // None of the images can be used: that is about the data as a whole, not about one input of many.
    if (error.kind() == ErrorKind::kInput) throw Error(ErrorKind::kUsage, error.what());
    throw;
  }
}

}  // namespace aikd
