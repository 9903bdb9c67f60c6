#include "aikd/train_loader.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <numeric>
#include <utility>

#include "aikd/preprocess.h"
#include "io/text.h"
#include "tensor/error.h"
#include "tensor/random.h"

namespace aikd {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void check(const LoaderOptions& o, std::size_t images) {
  require(images > 0, ErrorKind::kUsage, "There are no images to load.");
  require(o.batch >= 1, ErrorKind::kUsage, "A batch must hold at least 1 image, got ", o.batch, ".");
  require(o.workers >= 1, ErrorKind::kUsage, "The loader needs at least 1 worker, got ", o.workers, ".");
  require(o.prefetch >= 1, ErrorKind::kUsage, "The loader must prepare at least 1 batch ahead, got ",
          o.prefetch, ".");
  require(o.width >= 1 && o.height >= 1, ErrorKind::kUsage, "Crops of ", o.width, " x ", o.height,
          " pixels are empty.");
  require(!o.drop_last || images >= static_cast<std::size_t>(o.batch), ErrorKind::kUsage, "There are ",
          images, " images, fewer than the one full batch of ", o.batch,
          " that is needed when the last, smaller batch is dropped.");
  check_perturbation(o.perturbation);
}

}  // namespace

LoaderOptions LoaderOptions::for_validation() const {
  LoaderOptions options = *this;
  options.shuffle = options.drop_last = options.replace_bad = false;
  options.fixed_perturbation = true;
  return options;
}

std::vector<std::size_t> epoch_order(std::size_t n, bool shuffle, std::uint64_t seed, std::uint64_t epoch) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (!shuffle) return order;
  Random random(splitmix64(splitmix64(seed) ^ epoch));
  for (std::size_t i = n; i-- > 1;) std::swap(order[i], order[static_cast<std::size_t>(random.below(i + 1))]);
  return order;
}

TrainLoader::TrainLoader(const Dataset& dataset, std::vector<std::size_t> indices,
                         const LoaderOptions& options, OnBad on_bad)
    : dataset_(dataset), indices_(std::move(indices)), options_(options), on_bad_(std::move(on_bad)) {
  check(options_, indices_.size());
  for (const std::size_t i : indices_)
    require(i < dataset_.size(), ErrorKind::kInternal, "The loader was given the item ", i, " of ",
            dataset_.size(), ".");
  const auto images = static_cast<std::int64_t>(indices_.size());
  steps_ = (images + (options_.drop_last ? 0 : options_.batch - 1)) / options_.batch;
  image_bytes_ = static_cast<std::size_t>(options_.width) * static_cast<std::size_t>(options_.height) * 3;
  threads_.reserve(static_cast<std::size_t>(options_.workers));
  try {
    for (int i = 0; i < options_.workers; ++i) threads_.emplace_back([this] { work(); });
  } catch (...) {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    work_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    throw;
  }
}

TrainLoader::~TrainLoader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    window_.clear();
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void TrainLoader::start(std::uint64_t epoch, std::int64_t step, std::uint64_t end_epoch) {
  require(step >= 0 && step <= steps_, ErrorKind::kUsage, "The loader cannot start at step ", step,
          " of an epoch of ", steps_, " steps.");
  {
    const std::lock_guard lock(mutex_);
    window_.clear();  // workers finish what they hold of it, and nobody looks
    epoch_ = step == steps_ ? epoch + 1 : epoch;
    step_ = step == steps_ ? 0 : step;
    end_epoch_ = end_epoch;
    error_ = nullptr;
  }
  running_before_ = statistics().running_seconds;
  first_ = true;
  delivered_ = 0;
  work_.notify_all();
}

std::shared_ptr<TrainLoader::Slot> TrainLoader::open_slot() {
  if (order_ == nullptr || order_epoch_ != epoch_) {
    order_ =
        std::make_shared<const Order>(epoch_order(indices_.size(), options_.shuffle, options_.seed, epoch_));
    order_epoch_ = epoch_;
  }
  auto slot = std::make_shared<Slot>();
  if (!spare_.empty()) {
    slot->batch = std::move(spare_.back());
    spare_.pop_back();
  }
  slot->order = order_;
  const auto batch = static_cast<std::size_t>(options_.batch);
  const std::size_t n = std::min(batch, indices_.size() - static_cast<std::size_t>(step_) * batch);
  slot->batch.epoch = epoch_;
  slot->batch.step = step_;
  slot->batch.n = static_cast<std::int64_t>(n);
  slot->batch.aligned.resize(n * image_bytes_);
  slot->batch.misaligned.resize(n * image_bytes_);
  slot->batch.labels.resize(n);
  slot->batch.items.resize(n);
  slot->why.resize(n);
  window_.push_back(slot);
  if (++step_ == steps_) {
    step_ = 0;
    ++epoch_;
  }
  return slot;
}

// The next place that nobody works on: of the oldest batch that has one, or of a new batch where there is
// room.
std::shared_ptr<TrainLoader::Slot> TrainLoader::claim(std::size_t& place) {
  std::shared_ptr<Slot> slot;
  for (const auto& candidate : window_) {
    if (candidate->claimed < candidate->why.size()) {
      slot = candidate;
      break;
    }
  }
  if (slot == nullptr && window_.size() < static_cast<std::size_t>(options_.prefetch) && !at_end())
    slot = open_slot();
  if (slot != nullptr) place = slot->claimed++;
  return slot;
}

void TrainLoader::work() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    std::size_t place = 0;
    std::shared_ptr<Slot> slot;
    try {
      if (error_ == nullptr) slot = claim(place);
    } catch (...) {  // no memory for another batch
      error_ = std::current_exception();
      ready_.notify_all();
    }
    if (slot == nullptr) {
      const auto start = Clock::now();
      const bool ahead = !at_end() && error_ == nullptr;
      work_.wait(lock);
      if (ahead) statistics_.idle_seconds += seconds_since(start);
      continue;
    }
    lock.unlock();
    Times times;
    const std::size_t position = static_cast<std::size_t>(slot->batch.step * options_.batch) + place;
    std::string why = prepare(*slot, place, indices_[(*slot->order)[position]], times);
    lock.lock();
    slot->why[place] = std::move(why);
    if (++slot->done == slot->why.size()) {
      lock.unlock();  // nobody else touches this batch any more
      finish(*slot, times);
      lock.lock();
      slot->ready = true;
      ready_.notify_all();
    }
    statistics_.decode_seconds += times.decode;
    statistics_.warp_seconds += times.warp;
  }
}

// Decodes `item` once and warps its two crops into `place` of the batch. What is wrong with it, or "".
std::string TrainLoader::prepare(Slot& slot, std::size_t place, std::size_t item, Times& times) const {
  const DatasetItem& entry = dataset_.items()[item];
  const auto named = [&entry](const std::string& sentence) {
    const std::string name = io::in_quotes(entry.path, 1000);
    return sentence.starts_with(name) ? sentence : name + ": " + sentence;
  };
  slot.batch.items[place] = item;
  slot.batch.labels[place] = static_cast<float>(options_.label_map.map(entry.label));
  try {
    auto start = Clock::now();
    const io::DecodedImage decoded = io::read_image(entry.path, options_.decode);
    times.decode += seconds_since(start);
    start = Clock::now();
    const std::uint64_t epoch = options_.fixed_perturbation ? kValidationEpoch : slot.batch.epoch;
    const auto warp = [&](const Landmarks& points, std::vector<std::uint8_t>& crops) {
      const io::Image crop = align_face(decoded.image, points, options_.width, options_.height);
      std::memcpy(crops.data() + place * image_bytes_, crop.pixels.data(), image_bytes_);
    };
    warp(entry.landmarks, slot.batch.aligned);
    warp(perturb(entry.landmarks, options_.perturbation, epoch, item), slot.batch.misaligned);
    times.warp += seconds_since(start);
    return "";
  } catch (const Error& error) {
    return named(error.what());
  } catch (const std::bad_alloc&) {
    return named("There is not enough memory for this image.");
  } catch (const std::exception& error) {
    return named(concat("Unexpected: ", error.what(), "."));
  }
}

void TrainLoader::finish(Slot& slot, Times& times) const {
  try {
    for (std::size_t i = 0; i < slot.why.size(); ++i)
      if (!slot.why[i].empty()) slot.bad.push_back({slot.batch.items[i], slot.why[i]});
    if (slot.bad.empty()) return;
    options_.replace_bad ? substitute(slot, times) : compact(slot);
  } catch (...) {
    slot.error = std::current_exception();
  }
}

void TrainLoader::substitute(Slot& slot, Times& times) const {
  const std::size_t ring = slot.order->size();
  std::size_t at = static_cast<std::size_t>(slot.batch.step * options_.batch) + slot.why.size();
  for (std::size_t place = 0; place < slot.why.size(); ++place) {
    if (slot.why[place].empty()) continue;
    std::string why;
    for (std::size_t tries = 0; tries < ring; ++tries, ++at) {
      const std::size_t item = indices_[(*slot.order)[at % ring]];
      why = prepare(slot, place, item, times);
      if (why.empty()) break;
      slot.bad.push_back({item, why});
    }
    require(why.empty(), ErrorKind::kInput, "None of the ", ring, " images can be used. The last one: ", why);
    ++at;
    ++slot.substitutes;
  }
}

void TrainLoader::compact(Slot& slot) const {
  TrainBatch& batch = slot.batch;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < slot.why.size(); ++i) {
    if (!slot.why[i].empty()) continue;
    if (kept != i) {
      for (std::vector<std::uint8_t>* crops : {&batch.aligned, &batch.misaligned})
        std::memcpy(crops->data() + kept * image_bytes_, crops->data() + i * image_bytes_, image_bytes_);
      batch.labels[kept] = batch.labels[i];
      batch.items[kept] = batch.items[i];
    }
    ++kept;
  }
  batch.n = static_cast<std::int64_t>(kept);
  batch.aligned.resize(kept * image_bytes_);
  batch.misaligned.resize(kept * image_bytes_);
  batch.labels.resize(kept);
  batch.items.resize(kept);
}

void TrainLoader::report_bad(const Slot& slot) {
  std::vector<const BadImage*> fresh;
  for (const BadImage& bad : slot.bad) {
    last_why_ = bad.why;
    if (reported_.insert(bad.item).second) fresh.push_back(&bad);
  }
  if (fresh.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    statistics_.bad_images += static_cast<std::int64_t>(fresh.size());
  }
  if (!on_bad_) return;
  for (const BadImage* bad : fresh) on_bad_(dataset_.items()[bad->item], bad->why);
}

bool TrainLoader::next(TrainBatch& batch) {
  for (;;) {
    const auto asked = Clock::now();
    std::unique_lock lock(mutex_);
    if (window_.empty() && error_ == nullptr && at_end()) {
      lock.unlock();
      // Nothing was asked for, or something came, or everything was bad.
      require(delivered_ > 0 || last_why_.empty() || first_, ErrorKind::kInput, "None of the ",
              indices_.size(), " images can be used. The last one: ", last_why_);
      return false;
    }
    ready_.wait(lock, [this] { return error_ != nullptr || (!window_.empty() && window_.front()->ready); });
    if (window_.empty() || !window_.front()->ready) std::rethrow_exception(error_);
    const std::shared_ptr<Slot> slot = std::move(window_.front());
    window_.pop_front();
    const double waited = seconds_since(asked);
    (first_ ? statistics_.first_wait_seconds : statistics_.wait_seconds) += waited;
    if (first_) running_since_ = Clock::now();
    first_ = false;
    statistics_.running_seconds = running_before_ + seconds_since(running_since_);
    if (slot->error == nullptr && slot->batch.n > 0) {
      ++statistics_.batches;
      statistics_.images += slot->batch.n;
      statistics_.substitutes += slot->substitutes;
    }
    std::swap(batch, slot->batch);
    if (spare_.size() < static_cast<std::size_t>(options_.prefetch)) spare_.push_back(std::move(slot->batch));
    lock.unlock();
    work_.notify_all();
    report_bad(*slot);
    if (slot->error != nullptr) std::rethrow_exception(slot->error);
    delivered_ += batch.n;
    if (batch.n > 0) return true;  // else all of it was bad, and bad images are left out
  }
}

LoaderStatistics TrainLoader::statistics() const {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

}  // namespace aikd
