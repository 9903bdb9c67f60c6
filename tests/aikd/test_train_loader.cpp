#include "aikd/train_loader.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "aikd/preprocess.h"
#include "aikd/synth.h"
#include "tensor/error.h"
#include "tests/aikd/face_file.h"
#include "tests/aikd/model_fixtures.h"

using namespace aikd;
using aikd::test::contains;
using aikd::test::message_of;
using aikd::test::TempDir;
using aikd::test::write_face;
using aikd::test::write_text;

namespace {

// `n` synthetic faces f00.png, f01.jpg, ... with their landmarks; the label of item i is i.
struct Faces {
  TempDir dir;
  Dataset dataset;

  explicit Faces(int n) {
    std::vector<DatasetItem> items;
    for (int i = 0; i < n; ++i) {
      items.push_back(
          write_face(dir.path(), concat("f", i < 10 ? "0" : "", i, i % 2 == 0 ? ".png" : ".jpg"), i, i));
    }
    dataset = Dataset::make(std::move(items));
  }
  void spoil(std::size_t i) { write_text(dataset.items()[i].path, "not an image"); }
  std::vector<std::size_t> all() const {
    std::vector<std::size_t> indices(dataset.size());
    std::iota(indices.begin(), indices.end(), std::size_t{0});
    return indices;
  }
};

LoaderOptions small(int batch, int workers = 2) {
  LoaderOptions options;
  options.batch = batch;
  options.workers = workers;
  options.prefetch = 2;
  options.seed = 3;
  options.perturbation = {.pixels = 2, .seed = 11};
  return options;
}

// Everything the loader gives from where it was started.
std::vector<TrainBatch> drain(TrainLoader& loader) {
  std::vector<TrainBatch> batches;
  for (TrainBatch batch; loader.next(batch);) batches.push_back(batch);
  return batches;
}

bool same(const TrainBatch& a, const TrainBatch& b) {
  return a.epoch == b.epoch && a.step == b.step && a.n == b.n && a.aligned == b.aligned &&
         a.misaligned == b.misaligned && a.labels == b.labels && a.items == b.items;
}
bool same(const std::vector<TrainBatch>& a, const std::vector<TrainBatch>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const TrainBatch& x, const TrainBatch& y) { return same(x, y); });
}

std::vector<std::size_t> items_of(const std::vector<TrainBatch>& batches) {
  std::vector<std::size_t> items;
  for (const TrainBatch& batch : batches) items.insert(items.end(), batch.items.begin(), batch.items.end());
  return items;
}

}  // namespace

TEST_CASE("loader: the order of an epoch") {
  // Fisher-Yates on Random(splitmix64(splitmix64(3) ^ 4)) by an independent computation in Python.
  CHECK(epoch_order(10, true, 3, 4) == std::vector<std::size_t>{1, 5, 6, 4, 2, 9, 3, 7, 0, 8});
  CHECK(epoch_order(10, true, 3, 5) != epoch_order(10, true, 3, 4));
  CHECK(epoch_order(10, true, 4, 4) != epoch_order(10, true, 3, 4));
  CHECK(epoch_order(4, false, 3, 4) == std::vector<std::size_t>{0, 1, 2, 3});
  CHECK(epoch_order(0, true, 3, 4).empty());
  std::vector<std::size_t> order = epoch_order(1000, true, 1, 1);
  std::sort(order.begin(), order.end());
  CHECK(order == epoch_order(1000, false, 0, 0));
}

TEST_CASE("loader: crops are those of align_face, from true and from moved landmarks") {
  const Faces faces(7);
  LoaderOptions options = small(3);
  options.drop_last = false;
  options.label_map = LabelMap::parse("linear:0,10");
  TrainLoader loader(faces.dataset, faces.all(), options);
  CHECK(loader.steps_per_epoch() == 3);
  loader.start(5);
  const std::vector<TrainBatch> batches = drain(loader);
  REQUIRE(batches.size() == 3);
  const std::vector<std::size_t> order = epoch_order(7, true, 3, 5);
  CHECK(items_of(batches) == order);
  constexpr std::size_t kBytes = 112 * 112 * 3;
  for (std::size_t step = 0; step < 3; ++step) {
    const TrainBatch& batch = batches[step];
    CHECK(batch.epoch == 5);
    CHECK(batch.step == static_cast<std::int64_t>(step));
    CHECK(batch.n == (step == 2 ? 1 : 3));
    REQUIRE(batch.aligned.size() == static_cast<std::size_t>(batch.n) * kBytes);
    REQUIRE(batch.misaligned.size() == batch.aligned.size());
    REQUIRE(batch.labels.size() == static_cast<std::size_t>(batch.n));
    for (std::size_t i = 0; i < static_cast<std::size_t>(batch.n); ++i) {
      const DatasetItem& item = faces.dataset.items()[batch.items[i]];
      const io::Image image = io::read_image(item.path).image;
      const auto crop = [&](const std::vector<std::uint8_t>& crops) {
        const auto begin = crops.begin() + static_cast<std::ptrdiff_t>(i * kBytes);
        return std::vector<std::uint8_t>(begin, begin + kBytes);
      };
      CHECK(crop(batch.aligned) == align_face(image, item.landmarks).pixels);
      const Landmarks moved = perturb(item.landmarks, options.perturbation, 5, batch.items[i]);
      CHECK(crop(batch.misaligned) == align_face(image, moved).pixels);
      CHECK(crop(batch.misaligned) != crop(batch.aligned));
      CHECK(batch.labels[i] == static_cast<float>(item.label / 10));
    }
  }
  const LoaderStatistics statistics = loader.statistics();
  CHECK(statistics.batches == 3);
  CHECK(statistics.images == 7);
  CHECK(statistics.bad_images == 0);
  CHECK(statistics.decode_seconds > 0);
  CHECK(statistics.warp_seconds > 0);
  CHECK(statistics.first_wait_seconds > 0);
  CHECK(statistics.running_seconds >= statistics.wait_seconds);
  CHECK(statistics.wait_share() <= 1);
}

TEST_CASE("loader: without perturbation both crops are the same") {
  const Faces faces(4);
  LoaderOptions options = small(4);
  options.perturbation.pixels = 0;
  TrainLoader loader(faces.dataset, faces.all(), options);
  loader.start(0);
  TrainBatch batch;
  REQUIRE(loader.next(batch));
  CHECK(batch.aligned == batch.misaligned);
}

TEST_CASE("loader: the same batches for any number of workers and any prefetch, over several epochs") {
  const Faces faces(11);
  std::vector<TrainBatch> expected;
  for (const int workers : {1, 2, 3, 7}) {
    for (const int prefetch : {1, 2, 9}) {
      LoaderOptions options = small(3, workers);
      options.prefetch = prefetch;
      TrainLoader loader(faces.dataset, faces.all(), options);
      CHECK(loader.steps_per_epoch() == 3);
      loader.start(2, 0, 5);
      const std::vector<TrainBatch> got = drain(loader);
      CHECK(got.size() == 9);
      if (expected.empty()) expected = got;
      CHECK(same(got, expected));
      TrainBatch more;
      CHECK(!loader.next(more));  // stays at the end
    }
  }
  // Every epoch has its own order and its own perturbation, and leaves two of the eleven out.
  std::map<std::uint64_t, std::set<std::size_t>> by_epoch;
  for (const TrainBatch& batch : expected)
    by_epoch[batch.epoch].insert(batch.items.begin(), batch.items.end());
  CHECK(by_epoch.size() == 3);
  for (const auto& [epoch, items] : by_epoch) CHECK(items.size() == 9);
  CHECK(expected[0].items != expected[3].items);
}

TEST_CASE("loader: starts at any step, also while it runs") {
  const Faces faces(10);
  const LoaderOptions options = small(2, 3);
  TrainLoader loader(faces.dataset, faces.all(), options);
  loader.start(0, 0, 2);
  const std::vector<TrainBatch> whole = drain(loader);
  REQUIRE(whole.size() == 10);
  for (const std::int64_t step : {0, 1, 4, 5}) {
    TrainLoader resumed(faces.dataset, faces.all(), options);
    resumed.start(0, step, 2);
    CHECK(same(drain(resumed), {whole.begin() + step, whole.end()}));
  }
  TrainBatch batch;
  loader.start(0, 0, 2);
  REQUIRE(loader.next(batch));
  loader.start(1, 2, 2);  // what was prefetched is forgotten
  CHECK(same(drain(loader), {whole.begin() + 7, whole.end()}));
  CHECK_CONTAINS(message_of([&] { loader.start(0, 6, 1); }),
                 "The loader cannot start at step 6 of an epoch of 5 steps.");
  CHECK_CONTAINS(message_of([&] { loader.start(0, -1, 1); }), "cannot start at step -1");
}

TEST_CASE("loader: bad images are replaced by the next of the order, each reported once") {
  Faces faces(12);
  const LoaderOptions options = small(4, 1);
  TrainLoader before(faces.dataset, faces.all(), options);
  before.start(0);
  const std::vector<TrainBatch> good = drain(before);
  const std::vector<std::size_t> order = epoch_order(12, true, 3, 0);
  // Two of the first batch and the place behind it; one of the last batch, whose substitutes wrap around to
  // the beginning of the order, where the first two are bad again.
  for (const std::size_t place : {0U, 1U, 4U, 10U}) faces.spoil(order[place]);

  std::vector<TrainBatch> expected;
  for (const int workers : {1, 2, 5}) {
    LoaderOptions more = options;
    more.workers = workers;
    std::vector<std::size_t> reported;
    TrainLoader loader(faces.dataset, faces.all(), more,
                       [&](const DatasetItem& item, const std::string& why) {
                         CHECK_CONTAINS(why, item.path);
                         CHECK_CONTAINS(why, "not an image format");
                         reported.push_back(static_cast<std::size_t>(item.label));
                       });
    loader.start(0);
    const std::vector<TrainBatch> got = drain(loader);
    REQUIRE(got.size() == 3);
    const auto at = [&](std::size_t place) { return order[place]; };
    using Items = std::vector<std::size_t>;
    CHECK(got[0].items == Items{at(5), at(6), at(2), at(3)});
    CHECK(got[1].items == Items{at(8), at(5), at(6), at(7)});
    CHECK(got[2].items == Items{at(8), at(9), at(2), at(11)});
    CHECK(reported == Items{at(0), at(1), at(4), at(10)});
    CHECK(loader.statistics().bad_images == 4);
    CHECK(loader.statistics().substitutes == 4);
    CHECK(loader.statistics().images == 12);
    for (std::size_t i = 0; i < 4; ++i) CHECK(got[0].labels[i] == static_cast<float>(got[0].items[i]));
    if (expected.empty()) expected = got;
    CHECK(same(got, expected));
    // Resuming gives the same, without knowing what was bad before.
    TrainLoader resumed(faces.dataset, faces.all(), more);
    resumed.start(0, 2, 1);
    CHECK(same(drain(resumed), {got.begin() + 2, got.end()}));
    // A second epoch does not report them again.
    loader.start(1);
    drain(loader);
    CHECK(reported.size() == 4);
  }
  // The good places of the batches are as they were.
  constexpr std::size_t kBytes = 112 * 112 * 3;
  CHECK(std::equal(good[0].aligned.begin() + 2 * kBytes, good[0].aligned.end(),
                   expected[0].aligned.begin() + 2 * kBytes));
}

TEST_CASE("loader: landmarks whose moved copy is degenerate make a bad image, not a failure") {
  Faces faces(3);
  std::vector<DatasetItem> items = faces.dataset.items();
  // Moved points coincide with no chance worth waiting for, but their fit can overflow: eyes 10^121 pixels
  // apart and a relative perturbation of 10^40 make variances of 10^322.
  for (Point& p : items[1].landmarks) p = {p.x * 1e120, p.y * 1e120};
  const Dataset dataset = Dataset::make(items);
  LoaderOptions options = small(3, 2);
  options.perturbation.relative = 1e40;
  std::vector<std::string> reported;
  TrainLoader loader(dataset, {0, 1, 2}, options, [&](const DatasetItem& item, const std::string& why) {
    reported.push_back(item.key + why);
  });
  loader.start(0);
  const std::vector<TrainBatch> got = drain(loader);
  REQUIRE(got.size() == 1);
  CHECK(got[0].n == 3);
  REQUIRE(reported.size() == 1);
  CHECK_CONTAINS(reported[0], "f01.jpg'");
}

TEST_CASE("loader: a validation pass is in order, complete, and the same every time") {
  Faces faces(9);
  faces.spoil(2);
  for (const std::size_t i : {4U, 5U, 6U, 7U}) faces.spoil(i);  // a whole batch
  const LoaderOptions options = small(4, 2).for_validation();
  TrainLoader loader(faces.dataset, faces.all(), options);
  CHECK(loader.steps_per_epoch() == 3);
  loader.start(0);
  const std::vector<TrainBatch> first = drain(loader);
  REQUIRE(first.size() == 2);
  CHECK(first[0].items == std::vector<std::size_t>{0, 1, 3});
  CHECK(first[0].n == 3);
  CHECK(first[1].items == std::vector<std::size_t>{8});
  CHECK(first[1].step == 2);
  const DatasetItem& third = faces.dataset.items()[3];
  constexpr std::size_t kBytes = 112 * 112 * 3;
  const Landmarks moved = perturb(third.landmarks, options.perturbation, kValidationEpoch, 3);
  const io::Image crop = align_face(io::read_image(third.path).image, moved);
  REQUIRE(first[0].misaligned.size() == 3 * kBytes);
  CHECK(std::equal(crop.pixels.begin(), crop.pixels.end(), first[0].misaligned.begin() + 2 * kBytes));
  loader.start(1);
  std::vector<TrainBatch> second = drain(loader);
  for (TrainBatch& batch : second) batch.epoch = 0;
  CHECK(same(first, second));
}

TEST_CASE("loader: no image at all can be used") {
  Faces faces(5);
  for (std::size_t i = 0; i < 5; ++i) faces.spoil(i);
  std::size_t reported = 0;
  const auto count = [&](const DatasetItem&, const std::string&) { ++reported; };
  TrainLoader loader(faces.dataset, faces.all(), small(2, 2), count);
  loader.start(0);
  TrainBatch batch;
  CHECK_CONTAINS(message_of([&] { loader.next(batch); }),
                 "None of the 5 images can be used. The last one: '");
  CHECK(reported == 5);
  TrainLoader validation(faces.dataset, faces.all(), small(2, 2).for_validation());
  validation.start(0);
  CHECK_CONTAINS(message_of([&] { validation.next(batch); }), "None of the 5 images can be used.");
}

TEST_CASE("loader: destroyed early, or never started") {
  const Faces faces(12);
  for (int taken = 0; taken < 4; ++taken) {
    TrainLoader loader(faces.dataset, faces.all(), small(2, 3));
    loader.start(0, 0, 100);
    TrainBatch batch;
    for (int i = 0; i < taken; ++i) REQUIRE(loader.next(batch));
  }
  TrainLoader idle(faces.dataset, faces.all(), small(2, 3));
  TrainBatch batch;
  CHECK(!idle.next(batch));
}

TEST_CASE("loader: options that are refused") {
  const Faces faces(3);
  const auto why = [&](const LoaderOptions& options, std::vector<std::size_t> indices) {
    return message_of([&] { TrainLoader(faces.dataset, std::move(indices), options); });
  };
  CHECK(why(small(2), {}) == "There are no images to load.");
  CHECK(why(small(0), {0}) == "A batch must hold at least 1 image, got 0.");
  CHECK(why(small(1, 0), {0}) == "The loader needs at least 1 worker, got 0.");
  LoaderOptions options = small(1);
  options.prefetch = 0;
  CHECK(why(options, {0}) == "The loader must prepare at least 1 batch ahead, got 0.");
  options = small(1);
  options.width = 0;
  CHECK(why(options, {0}) == "Crops of 0 x 112 pixels are empty.");
  CHECK_CONTAINS(why(small(4), {0, 1, 2}), "There are 3 images, fewer than the one full batch of 4");
  options = small(1);
  options.perturbation.pixels = -1;
  CHECK_CONTAINS(why(options, {0}), "The perturbation of the landmarks must be");
  CHECK_CONTAINS(why(small(1), {3}), "The loader was given the item 3 of 3.");
}
