#include "aikd/score_run.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <thread>

#include "tensor/error.h"
#include "tests/support/test.h"

using namespace aikd;

namespace {

io::Image picture(int width, int height, int seed) {
  io::Image image(width, height);
  for (std::size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<std::uint8_t>((i * static_cast<std::size_t>(seed + 3) + i / 97) % 251);
  return image;
}

// A network that sees the crop only: the sum of its bytes.
float sum_of(std::span<const std::uint8_t> crop) {
  double sum = 0;
  for (const std::uint8_t byte : crop) sum += byte;
  return static_cast<float>(sum / 1000);
}

struct FakeNetwork {
  std::vector<std::int64_t> batches;
  std::int64_t fail_at = -1;  // the n-th batch
  std::size_t embedding_size = 2;

  std::vector<Score> operator()(std::span<const std::uint8_t> crops, std::int64_t n,
                                std::span<float> embeddings) {
    if (static_cast<std::int64_t>(batches.size()) == fail_at) fail(ErrorKind::kDevice, "The device is gone.");
    batches.push_back(n);
    std::vector<Score> scores;
    const std::size_t size = crops.size() / static_cast<std::size_t>(n);
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
      const float s = sum_of(crops.subspan(i * size, size));
      scores.push_back({s, 50.0});
      for (std::size_t k = 0; k < embedding_size && !embeddings.empty(); ++k)
        embeddings[i * embedding_size + k] = s + static_cast<float>(k);
    }
    return scores;
  }
};

class ListSource : public ScoreSource {
 public:
  explicit ListSource(std::vector<ScoreInput> inputs) : inputs_(std::move(inputs)) {}
  std::optional<ScoreInput> next() override {
    if (taken_ >= fail_at) throw Error(ErrorKind::kUsage, "The list broke off.");
    if (taken_ >= inputs_.size() || cancelled) return std::nullopt;
    return inputs_[taken_++];
  }
  void cancel() override { cancelled = true; }
  std::size_t taken() const { return taken_; }

  std::atomic<bool> cancelled{false};
  std::size_t fail_at = std::numeric_limits<std::size_t>::max();

 private:
  std::vector<ScoreInput> inputs_;
  std::atomic<std::size_t> taken_{0};
};

class Recorder : public ScoreSink {
 public:
  void row(const ScoredFace& face) override {
    if (static_cast<std::int64_t>(rows.size()) == fail_at)
      throw Error(ErrorKind::kOutput, "The disk is full.");
    rows.push_back(face.row);
    embeddings.emplace_back(face.embedding.begin(), face.embedding.end());
    if (on_row) on_row();
  }
  void flush() override { flushed = rows.size(); }
  void passed_over(const std::string& path) override { passed.push_back(path); }

  std::vector<ScoreRow> rows;
  std::vector<std::vector<float>> embeddings;
  std::vector<std::string> passed;
  std::size_t flushed = 0;
  std::int64_t fail_at = -1;
  std::function<void()> on_row;
};

struct Folder {
  test::TempDir dir;
  std::vector<ScoreInput> inputs;

  explicit Folder(int count, int bad_every = 0) {
    for (int i = 0; i < count; ++i) {
      const std::filesystem::path path = dir / (std::to_string(i) + ".png");
      if (bad_every > 0 && i % bad_every == 1) {
        test::write_text(path, "this is no picture");
      } else {
        io::write_image(path, picture(30 + i % 5 * 20, 40 + i % 3 * 30, i));
      }
      inputs.push_back({path.string(), false});
    }
  }
};

bool same(const ScoreRow& a, const ScoreRow& b) {
  return a.path == b.path && a.status == b.status && a.error == b.error && a.width == b.width &&
         a.height == b.height && a.aligned == b.aligned &&
         (a.ok() ? a.score == b.score : std::isnan(a.score));
}

}  // namespace

TEST_CASE("rows and embeddings are the same in input order whatever the threads and batches") {
  const Folder folder(23, 5);
  std::vector<ScoreRow> expected;
  for (const int workers : {0, 1, 2, 4}) {
    for (const int batch : {1, 3, 8}) {
      CAPTURE(workers);
      CAPTURE(batch);
      ListSource source(folder.inputs);
      FakeNetwork network;
      Recorder sink;
      ScoreRunOptions options;
      options.workers = workers;
      options.batch = batch;
      options.embedding_size = 2;
      options.patience = std::chrono::seconds(60);
      const ScoreRunCounts counts = run_scores(source, std::ref(network), sink, options);
      CHECK(counts.scored == 18);
      CHECK(counts.failed == 5);
      REQUIRE(sink.rows.size() == 23);
      CHECK(sink.flushed == 23);
      if (expected.empty()) expected = sink.rows;
      for (std::size_t i = 0; i < sink.rows.size(); ++i) {
        CHECK(sink.rows[i].path == folder.inputs[i].path);
        CHECK(same(sink.rows[i], expected[i]));
        if (sink.rows[i].ok()) {
          CHECK(sink.embeddings[i] == std::vector<float>{sink.rows[i].score, sink.rows[i].score + 1});
        } else {
          CHECK(sink.embeddings[i].empty());
        }
      }
      // Full batches, then the rest.
      for (std::size_t i = 0; i + 1 < network.batches.size(); ++i) CHECK(network.batches[i] == batch);
      CHECK(network.batches.back() == (18 % batch == 0 ? batch : 18 % batch));
    }
  }
}

TEST_CASE("no more images are prepared ahead than promised") {
  const Folder folder(60);
  ListSource source(folder.inputs);
  FakeNetwork network;
  Recorder sink;
  std::size_t most = 0;
  sink.on_row = [&] { most = std::max(most, source.taken() - sink.rows.size()); };
  ScoreRunOptions options;
  options.workers = 3;
  options.batch = 4;
  run_scores(source, std::ref(network), sink, options);
  CHECK(sink.rows.size() == 60);
  CHECK(most <= 2 * 4 + 3);
}

TEST_CASE("each way an image can fail is a status with a sentence") {
  const Folder folder(1);
  const test::TempDir& dir = folder.dir;
  const std::string good = test::read_text(dir / "0.png");
  io::write_image(dir / "0.jpg", picture(64, 64, 1));
  const std::string jpeg = test::read_text(dir / "0.jpg");
  test::write_text(dir / "cut.png", good.substr(0, good.size() / 2));
  test::write_text(dir / "cut.jpg", jpeg.substr(0, jpeg.size() / 2));
  test::write_text(dir / "empty.png", "");
  test::write_text(dir / "text.png", "hello, I am a text");
  std::string broken = good;
  broken[30] = static_cast<char>(broken[30] + 1);  // the header's checksum no longer fits
  test::write_text(dir / "broken.png", broken);
  io::write_image(dir / "big.png", picture(200, 101, 1));
  std::filesystem::create_directory(dir / "folder.png");

  PrepareOptions options;
  options.decode.limits.max_pixels = 20000;
  const auto status = [&](const std::string& name) {
    const PreparedFace face = prepare_face((dir / name).string(), options);
    CAPTURE(name);
    CHECK(face.row.path == (dir / name).string());
    CHECK(face.row.ok() == face.row.error.empty());
    CHECK(face.row.ok() == !face.crop.pixels.empty());
    if (!face.row.ok()) {
      CHECK(face.row.error.ends_with("."));
      CHECK(face.row.error.find(dir.path().string()) ==
            std::string::npos);  // the path has a column of its own
    }
    return std::string(name_of(face.row.status));
  };
  CHECK(status("0.png") == "ok");
  CHECK(status("none.png") == "unreadable");
  CHECK(status("folder.png") == "unreadable");
  CHECK(status("text.png") == "unsupported");
  CHECK(status("empty.png") == "truncated");
  CHECK(status("cut.png") == "truncated");
  CHECK(status("cut.jpg") == "truncated");
  CHECK(status("broken.png") == "corrupt");
  CHECK(status("big.png") == "too-large");
  options.decode.limits.max_pixels = 1'000'000;
  CHECK(status("big.png") == "ok");
  options.decode.limits.max_bytes = 100;
  CHECK(status("big.png") == "too-large");
}

TEST_CASE("landmarks align and their lack or uselessness is a status") {
  const Folder folder(3);
  const std::string csv =
      "path,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry\n"
      "0.png,8,15,22,15,15,22,10,30,20,30\n"
      "1.png,5,5,5,5,5,5,5,5,5,5\n";
  const LandmarkFile landmarks =
      LandmarkFile::parse({reinterpret_cast<const std::uint8_t*>(csv.data()), csv.size()}, "test.csv");
  PrepareOptions options;
  options.landmarks = &landmarks;
  const auto prepare = [&](int i) {
    return prepare_face(folder.inputs[static_cast<std::size_t>(i)].path, options);
  };
  const PreparedFace aligned = prepare(0);
  CHECK(aligned.row.status == ScoreStatus::kOk);
  CHECK(aligned.row.aligned);
  CHECK(prepare(1).row.status == ScoreStatus::kBadLandmarks);
  CHECK(prepare(2).row.status == ScoreStatus::kNoLandmarks);
  options.resize_without_landmarks = true;
  CHECK(prepare(1).row.status == ScoreStatus::kBadLandmarks);  // there are some, and they are wrong
  const PreparedFace resized = prepare(2);
  CHECK(resized.row.status == ScoreStatus::kOk);
  CHECK_FALSE(resized.row.aligned);
  options.landmarks = nullptr;
  CHECK(prepare(0).crop.pixels != aligned.crop.pixels);
}

TEST_CASE("files of folders that are no images are passed over unless they are named like one") {
  const test::TempDir dir;
  io::write_image(dir / "a.png", picture(20, 20, 1));
  test::write_text(dir / "notes.txt", "notes");
  test::write_text(dir / "empty", "");
  test::write_text(dir / "broken.JPG", "notes");
  std::vector<ScoreInput> inputs;
  for (const char* name : {"a.png", "broken.JPG", "empty", "notes.txt"})
    inputs.push_back({(dir / name).string(), true});
  inputs.push_back({(dir / "notes.txt").string(), false});
  ListSource source(inputs);
  FakeNetwork network;
  Recorder sink;
  const ScoreRunCounts counts = run_scores(source, std::ref(network), sink, {});
  CHECK(counts.scored == 1);
  CHECK(counts.failed == 2);
  CHECK(counts.passed_over == 2);
  REQUIRE(sink.rows.size() == 3);
  CHECK(sink.rows[1].path.ends_with("broken.JPG"));
  CHECK(sink.rows[2].path.ends_with("notes.txt"));
  REQUIRE(sink.passed.size() == 2);
  CHECK(sink.passed[0].ends_with("empty"));
  CHECK(has_image_extension("a/b.TIFF"));
  CHECK_FALSE(has_image_extension("a.png/b"));
  CHECK_FALSE(has_image_extension(".png.txt"));
}

TEST_CASE("an output that is not finite is a failure and not a score") {
  const Folder folder(3);
  ListSource source(folder.inputs);
  int call = 0;
  const ScoreBatch network = [&call](std::span<const std::uint8_t>, std::int64_t, std::span<float>) {
    const float values[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            1.0F};
    return std::vector<Score>{{values[call++], 50.0}};
  };
  Recorder sink;
  ScoreRunOptions options;
  options.batch = 1;
  const ScoreRunCounts counts = run_scores(source, network, sink, options);
  CHECK(counts.failed == 2);
  CHECK(sink.rows[0].status == ScoreStatus::kNonFinite);
  CHECK(std::isnan(sink.rows[0].score));
  CHECK(sink.rows[0].error.find("NaN") != std::string::npos);
  CHECK(sink.rows[1].error.find("infinite") != std::string::npos);
  CHECK(std::isnan(sink.rows[1].score));
  CHECK(sink.rows[2].ok());
}

TEST_CASE("when the network the source or the sink fails the rows before are kept and the error comes out") {
  const Folder folder(20, 7);
  for (const int workers : {0, 3}) {
    CAPTURE(workers);
    ScoreRunOptions options;
    options.workers = workers;
    options.batch = 4;
    options.patience = std::chrono::seconds(60);
    {
      ListSource source(folder.inputs);
      FakeNetwork network;
      network.fail_at = 2;
      Recorder sink;
      CHECK_THROWS_WITH_AS(run_scores(source, std::ref(network), sink, options), "The device is gone.",
                           Error);
      CHECK(sink.rows.size() == 10);  // 8 scored and the bad ones 1 and 8, which stand before image 10
      CHECK(sink.flushed == 10);
    }
    {
      ListSource source(folder.inputs);
      source.fail_at = 10;
      FakeNetwork network;
      Recorder sink;
      CHECK_THROWS_WITH_AS(run_scores(source, std::ref(network), sink, options), "The list broke off.",
                           Error);
      CHECK(sink.rows.size() == 10);
    }
    {
      ListSource source(folder.inputs);
      FakeNetwork network;
      Recorder sink;
      sink.fail_at = 6;
      CHECK_THROWS_WITH_AS(run_scores(source, std::ref(network), sink, options), "The disk is full.", Error);
      CHECK(sink.rows.size() == 6);
    }
  }
}

TEST_CASE("a stop takes no more inputs and finishes those begun") {
  const Folder folder(40);
  for (const int workers : {0, 2}) {
    CAPTURE(workers);
    ListSource source(folder.inputs);
    FakeNetwork network;
    Recorder sink;
    std::atomic<bool> stop{false};
    sink.on_row = [&] { stop = stop || sink.rows.size() == 5; };
    ScoreRunOptions options;
    options.workers = workers;
    options.batch = 2;
    options.stop = [&stop] { return stop.load(); };
    const ScoreRunCounts counts = run_scores(source, std::ref(network), sink, options);
    CHECK(counts.scored == static_cast<std::int64_t>(source.taken()));
    CHECK(sink.rows.size() == source.taken());
    CHECK(sink.rows.size() >= 5);
    CHECK(sink.rows.size() <= 5 + 2 * 2 + 2 + 1);
    CHECK(sink.flushed == sink.rows.size());
  }
}

TEST_CASE("rows do not wait for a source that is slow") {
  const Folder folder(3);
  // Gives one image, then nothing until its row has been seen.
  class SlowSource : public ScoreSource {
   public:
    explicit SlowSource(const Folder& folder) : folder_(folder) {}
    std::optional<ScoreInput> next() override {
      std::unique_lock lock(mutex);
      if (given == 3) return std::nullopt;
      if (!came.wait_for(lock, std::chrono::seconds(30), [this] { return rows == given; })) {
        waited_in_vain = true;
        return std::nullopt;
      }
      return folder_.inputs[given++];
    }
    void cancel() override {}
    std::mutex mutex;
    std::condition_variable came;
    std::size_t rows = 0, given = 0;
    bool waited_in_vain = false;

   private:
    const Folder& folder_;
  };
  SlowSource source(folder);
  FakeNetwork network;
  Recorder sink;
  sink.on_row = [&] {
    const std::lock_guard lock(source.mutex);
    ++source.rows;
    source.came.notify_all();
  };
  ScoreRunOptions options;
  options.patience = std::chrono::milliseconds(20);
  run_scores(source, std::ref(network), sink, options);
  CHECK_FALSE(source.waited_in_vain);
  CHECK(sink.rows.size() == 3);
  CHECK(network.batches == std::vector<std::int64_t>{1, 1, 1});
}

TEST_CASE("a run without inputs gives nothing and a wrong batch is refused") {
  ListSource source({});
  FakeNetwork network;
  Recorder sink;
  const ScoreRunCounts counts = run_scores(source, std::ref(network), sink, {});
  CHECK(counts.scored + counts.failed + counts.passed_over == 0);
  ScoreRunOptions options;
  options.batch = 0;
  CHECK_THROWS_WITH_AS(run_scores(source, std::ref(network), sink, options), doctest::Contains("at least 1"),
                       Error);
}
