#include "aikd/score_run.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

#include "tensor/error.h"

namespace aikd {
namespace {

struct Slot {
  ScoreInput input;
  PreparedFace face;
  bool ready = false;
};
using SlotRef = std::shared_ptr<Slot>;

// The inputs being prepared, in order. Workers append at the back and fill in any order; the network's thread
// takes from the front.
class Window {
 public:
  Window(ScoreSource& source, const ScoreRunOptions& options)
      : source_(source),
        options_(options),
        capacity_(static_cast<std::size_t>(options.batch) + static_cast<std::size_t>(options.workers)) {
    threads_.reserve(static_cast<std::size_t>(options.workers));
    try {
      for (int i = 0; i < options.workers; ++i) threads_.emplace_back([this] { work(); });
    } catch (...) {
      abandon();
      throw;
    }
  }
  ~Window() { abandon(); }
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

  enum class Took { kSlot, kNothingYet, kEnd };
  // The next prepared input; waits for at most `patience` when given, else until there is one or the end.
  // Rethrows what the source threw once the inputs before are taken.
  Took take(SlotRef& slot, std::optional<std::chrono::milliseconds> patience) {
    if (options_.workers == 0) return take_inline(slot);
    std::unique_lock lock(mutex_);
    const auto something = [this] { return window_.empty() ? ended_ : window_.front()->ready; };
    if (!patience.has_value()) {
      ready_.wait(lock, something);
    } else if (!ready_.wait_for(lock, *patience, something)) {
      return Took::kNothingYet;
    }
    if (window_.empty()) {
      if (error_ != nullptr) std::rethrow_exception(error_);
      return Took::kEnd;
    }
    slot = std::move(window_.front());
    window_.pop_front();
    lock.unlock();
    space_.notify_one();
    return Took::kSlot;
  }

 private:
  Took take_inline(SlotRef& slot) {
    if (options_.stop()) return Took::kEnd;
    std::optional<ScoreInput> input = source_.next();
    if (!input.has_value()) return Took::kEnd;
    slot = std::make_shared<Slot>();
    slot->input = std::move(*input);
    slot->face = prepare_face(slot->input.path, options_.prepare);
    return Took::kSlot;
  }

  // Takes the next input and its place in the window, both under source_mutex_, so that places follow inputs.
  SlotRef claim() {
    const std::lock_guard one_at_a_time(source_mutex_);
    {
      std::unique_lock lock(mutex_);
      space_.wait(lock, [this] { return window_.size() < capacity_ || ended_; });
      if (ended_) return nullptr;
    }
    auto slot = std::make_shared<Slot>();
    std::exception_ptr error;
    bool got = false;
    if (!options_.stop()) {
      try {
        if (std::optional<ScoreInput> input = source_.next(); input.has_value()) {
          slot->input = std::move(*input);
          got = true;
        }
      } catch (...) {
        error = std::current_exception();
      }
    }
    const std::lock_guard lock(mutex_);
    if (got && !ended_) {
      window_.push_back(slot);
      return slot;
    }
    if (error != nullptr) error_ = error;
    end();
    return nullptr;
  }

  void work() {
    while (const SlotRef slot = claim()) {
      PreparedFace face;
      try {
        face = prepare_face(slot->input.path, options_.prepare);
      } catch (...) {  // no memory even for the row's sentence
        face.row.path.swap(slot->input.path);
      }
      {
        const std::lock_guard lock(mutex_);
        slot->face = std::move(face);
        slot->ready = true;
      }
      ready_.notify_one();
    }
  }

  void end() {  // mutex_ is held
    ended_ = true;
    space_.notify_all();
    ready_.notify_all();
  }

  void abandon() {
    {
      const std::lock_guard lock(mutex_);
      end();
    }
    if (!threads_.empty()) source_.cancel();
    for (std::thread& thread : threads_)
      if (thread.joinable()) thread.join();
  }

  ScoreSource& source_;
  const ScoreRunOptions& options_;
  const std::size_t capacity_;
  std::mutex source_mutex_, mutex_;
  std::condition_variable space_, ready_;
  std::deque<SlotRef> window_;
  bool ended_ = false;
  std::exception_ptr error_;
  std::vector<std::thread> threads_;
};

class Run {
 public:
  Run(const ScoreBatch& score_batch, ScoreSink& sink, const ScoreRunOptions& options)
      : score_batch_(score_batch), sink_(sink), options_(options) {}

  void add(SlotRef slot) {
    if (slot->face.row.ok()) ++to_score_;
    group_.push_back(std::move(slot));
    // Rows that need no network do not wait for it; nor do ever more failures pile up behind one image.
    const bool long_enough = group_.size() >= 4 * static_cast<std::size_t>(options_.batch) + 16;
    if (to_score_ == 0 || to_score_ == options_.batch || long_enough) finish_group();
  }
  bool waiting() const { return !group_.empty(); }

  void finish_group() {
    if (group_.empty()) return;
    std::vector<Score> scores;
    try {
      scores = score_group();
    } catch (...) {
      give_rows_before_network();
      throw;
    }
    std::size_t next = 0;
    const auto size = static_cast<std::size_t>(options_.embedding_size);
    for (const SlotRef& slot : group_) {
      std::span<const float> embedding;
      if (slot->face.row.ok()) {
        set_score(slot->face.row, scores[next]);
        if (size > 0 && slot->face.row.ok()) embedding = std::span(embeddings_).subspan(next * size, size);
        ++next;
      }
      give(*slot, embedding);
    }
    sink_.flush();
    group_.clear();
    to_score_ = 0;
  }

  const ScoreRunCounts& counts() const { return counts_; }

 private:
  std::vector<Score> score_group() {
    if (to_score_ == 0) return {};
    const auto start = std::chrono::steady_clock::now();
    crops_.clear();
    for (const SlotRef& slot : group_)
      if (slot->face.row.ok())
        crops_.insert(crops_.end(), slot->face.crop.pixels.begin(), slot->face.crop.pixels.end());
    embeddings_.resize(static_cast<std::size_t>(to_score_ * options_.embedding_size));
    std::vector<Score> scores = score_batch_(crops_, to_score_, embeddings_);
    require(static_cast<std::int64_t>(scores.size()) == to_score_, ErrorKind::kInternal, "A batch of ",
            to_score_, " images got ", scores.size(), " scores.");
    const double ms =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    for (const SlotRef& slot : group_)
      if (slot->face.row.ok()) slot->face.row.ms += ms / static_cast<double>(to_score_);
    return scores;
  }

  static void set_score(ScoreRow& row, const Score& score) {
    if (std::isfinite(score.raw)) {
      row.score = score.raw;
      row.mapped = score.mapped;
      return;
    }
    row.status = ScoreStatus::kNonFinite;
    row.error = concat("The network's output for this image is ", std::isnan(score.raw) ? "NaN" : "infinite",
                       ", not a finite number.");
  }

  // When the network fails, failed rows that stand before the first image it should have scored are not lost.
  void give_rows_before_network() {
    for (const SlotRef& slot : group_) {
      if (slot->face.row.ok()) break;
      give(*slot, {});
    }
    sink_.flush();
  }

  void give(const Slot& slot, std::span<const float> embedding) {
    const ScoreRow& row = slot.face.row;
    if (slot.input.from_folder && slot.face.not_an_image && !has_image_extension(row.path)) {
      ++counts_.passed_over;
      sink_.passed_over(row.path);
      return;
    }
    ++(row.ok() ? counts_.scored : counts_.failed);
    sink_.row({row, slot.face.crop, embedding});
  }

  const ScoreBatch& score_batch_;
  ScoreSink& sink_;
  const ScoreRunOptions& options_;
  std::vector<SlotRef> group_;  // consecutive inputs; to_score_ of them are for the network
  std::int64_t to_score_ = 0;
  std::vector<std::uint8_t> crops_;
  std::vector<float> embeddings_;
  ScoreRunCounts counts_;
};

}  // namespace

ScoreRunCounts run_scores(ScoreSource& source, const ScoreBatch& score_batch, ScoreSink& sink,
                          const ScoreRunOptions& options) {
  require(options.batch >= 1 && options.workers >= 0, ErrorKind::kUsage,
          "A run needs a batch of at least 1 and no negative number of workers; got ", options.batch, " and ",
          options.workers, ".");
  Run run(score_batch, sink, options);
  Window window(source, options);
  std::exception_ptr source_error;
  for (;;) {
    SlotRef slot;
    Window::Took took = Window::Took::kEnd;
    try {
      took = window.take(slot, run.waiting() ? std::optional(options.patience) : std::nullopt);
    } catch (...) {
      source_error = std::current_exception();
    }
    if (took == Window::Took::kSlot) {
      run.add(std::move(slot));
      continue;
    }
    run.finish_group();
    if (source_error != nullptr) std::rethrow_exception(source_error);
    if (took == Window::Took::kEnd) return run.counts();
  }
}

}  // namespace aikd
