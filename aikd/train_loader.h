// Batches for training: workers decode ahead of the network, each image once, and warp two crops from it, by
// its true landmarks and by moved ones. What a batch holds depends on (seed, epoch, step) and the files, and
// not on the number of workers nor on timing.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "aikd/dataset.h"
#include "aikd/label_map.h"
#include "aikd/perturbation.h"
#include "io/image.h"

namespace aikd {

struct LoaderOptions {
  int batch = 64;    // images per batch, >= 1
  int workers = 2;   // threads that decode, >= 1
  int prefetch = 4;  // most batches ready or in the making, >= 1; memory: prefetch * batch * 2 crops
  bool shuffle = true;
  bool drop_last = true;    // a last batch that is not full is left out
  bool replace_bad = true;  // else bad images are left out and their batch is smaller
  std::uint64_t seed = 0;   // of the order
  Perturbation perturbation;
  bool fixed_perturbation = false;  // the one of kValidationEpoch in every epoch
  LabelMap label_map;               // labels of a batch are label_map.map(label)
  io::DecodeOptions decode;
  int width = 112, height = 112;  // of the crops

  // These options for a validation pass: in order, everything once, bad images left out, and one perturbation
  // for all passes.
  LoaderOptions for_validation() const;
};

struct TrainBatch {
  std::uint64_t epoch = 0;
  std::int64_t step = 0;  // within the epoch
  std::int64_t n = 0;
  std::vector<std::uint8_t> aligned, misaligned;  // [n, height, width, 3], RGB
  std::vector<float> labels;                      // [n]
  std::vector<std::size_t> items;                 // [n], indices into the dataset
};

struct LoaderStatistics {
  std::int64_t batches = 0, images = 0;         // delivered
  std::int64_t bad_images = 0;                  // different ones met so far
  std::int64_t substitutes = 0;                 // images delivered in the place of bad ones
  double decode_seconds = 0, warp_seconds = 0;  // of work, over all workers
  double idle_seconds = 0;                      // workers' waiting because enough is ready, over all workers
  double first_wait_seconds = 0;                // next() waiting for the first batch after start()
  double wait_seconds = 0;                      // next() waiting for later batches
  double running_seconds = 0;  // from the first batch to the last, the network's time included
  // The share of the running time that the network waited for data: near 0 where the loader keeps ahead.
  double wait_share() const noexcept { return running_seconds > 0 ? wait_seconds / running_seconds : 0; }
};

// The order of an epoch: positions of `n` items. Without shuffling 0, 1, ..., n - 1; else Fisher-Yates from
// the back, i = n - 1, ..., 1 swapped with j = below(i + 1) of Random(splitmix64(splitmix64(seed) ^ epoch)).
std::vector<std::size_t> epoch_order(std::size_t n, bool shuffle, std::uint64_t seed, std::uint64_t epoch);

// One caller at a time. Batch b of an epoch takes the places [b * batch, (b + 1) * batch) of its order.
//
// Bad images (they cannot be decoded; their moved landmarks are degenerate) are never fatal while there is a
// good one. Each is reported once, on the thread that calls next(), before the first batch that it was meant
// for is delivered. With replace_bad, bad places of a batch, in their order, are filled by the next good
// images from the place behind the batch on, the order being a ring; each substitute is also delivered at its
// own place. So no other batch changes, the number of steps stays, and any step can be started at.
class TrainLoader {
 public:
  using OnBad = std::function<void(const DatasetItem& item, const std::string& why)>;

  // Batches of dataset.items()[i] for i in `indices`; the dataset must outlive the loader. Error(kUsage): no
  // indices, an option outside its range, or drop_last with fewer images than one batch.
  TrainLoader(const Dataset& dataset, std::vector<std::size_t> indices, const LoaderOptions& options,
              OnBad on_bad = nullptr);
  ~TrainLoader();  // at any time; images being decoded are finished first
  TrainLoader(const TrainLoader&) = delete;
  TrainLoader& operator=(const TrainLoader&) = delete;

  std::int64_t steps_per_epoch() const noexcept { return steps_; }
  // Begins (again) at `step` of `epoch`; batches follow through the epochs before `end_epoch`, prefetched
  // across the seam. step = steps_per_epoch() is step 0 of the next epoch. Error(kUsage) for a step beyond.
  void start(std::uint64_t epoch, std::int64_t step, std::uint64_t end_epoch);
  void start(std::uint64_t epoch) { start(epoch, 0, epoch + 1); }
  // Fills `batch` (its memory is reused) and returns true; false at the end. Waits as long as it takes.
  // Error(kInput) when no image at all can be used.
  bool next(TrainBatch& batch);

  LoaderStatistics statistics() const;

 private:
  using Clock = std::chrono::steady_clock;
  using Order = std::vector<std::size_t>;
  struct BadImage {
    std::size_t item;
    std::string why;
  };
  struct Slot {  // a batch in the making
    TrainBatch batch;
    std::shared_ptr<const Order> order;
    std::vector<std::string> why;  // per place; empty: good
    std::vector<BadImage> bad;     // of substitution
    std::size_t claimed = 0, done = 0;
    std::int64_t substitutes = 0;
    bool ready = false;
    std::exception_ptr error;
  };
  struct Times {
    double decode = 0, warp = 0;
  };

  void work();
  std::shared_ptr<Slot> claim(std::size_t& place);  // mutex_ is held
  std::shared_ptr<Slot> open_slot();                // mutex_ is held
  std::string prepare(Slot& slot, std::size_t place, std::size_t item, Times& times) const;
  void finish(Slot& slot, Times& times) const;
  void substitute(Slot& slot, Times& times) const;
  void compact(Slot& slot) const;
  void report_bad(const Slot& slot);
  bool at_end() const { return epoch_ >= end_epoch_; }

  const Dataset& dataset_;
  const Order indices_;
  const LoaderOptions options_;
  const OnBad on_bad_;
  std::size_t image_bytes_ = 0;
  std::int64_t steps_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable work_, ready_;
  std::deque<std::shared_ptr<Slot>> window_;
  std::vector<TrainBatch> spare_;  // memory of delivered batches
  std::uint64_t epoch_ = 0, end_epoch_ = 0;
  std::int64_t step_ = 0;
  std::uint64_t order_epoch_ = 0;
  std::shared_ptr<const Order> order_;
  std::exception_ptr error_;
  bool stop_ = false;
  LoaderStatistics statistics_;

  // Of the calling thread.
  std::unordered_set<std::size_t> reported_;
  bool first_ = true;
  std::int64_t delivered_ = 0;  // images since start()
  Clock::time_point running_since_;
  double running_before_ = 0;
  std::string last_why_;

  std::vector<std::thread> threads_;
};

}  // namespace aikd
