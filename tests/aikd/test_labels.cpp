#include "aikd/labels.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "aikd/label_run.h"
#include "aikd/preprocess.h"
#include "tensor/error.h"
#include "tests/aikd/model_fixtures.h"
#include "tests/nn/golden_net.h"

using namespace aikd;
using aikd::test::contains;
using aikd::test::GoldenNet;
using aikd::test::message_of;

namespace {

const double kNan = std::numeric_limits<double>::quiet_NaN();

struct Labelled {
  std::vector<double> labels, parts;
};

Labelled label(const std::string& name, LabelSetup setup, std::span<const std::uint8_t> crops,
               std::int64_t n) {
  const LabelMethod& method = find_label_method(name);
  Labelled out{std::vector<double>(static_cast<std::size_t>(n), kNan),
               std::vector<double>(static_cast<std::size_t>(n) * method.parts.size(), kNan)};
  make_label_generator(method, std::move(setup))->label(crops, n, out.labels, out.parts);
  return out;
}

LabelSetup setup_for(const GoldenNet& net, Context& context, const Preprocessing& input = {}) {
  LabelSetup setup;
  setup.backbone = net.backbone.get();
  setup.input = input.table();
  setup.context = &context;
  return setup;
}

std::vector<std::uint8_t> hash_images(int n) {
  std::vector<std::uint8_t> out;
  for (int i = 1; i <= n; ++i) {
    const std::vector<std::uint8_t> one = aikd::test::hash_image(static_cast<std::uint64_t>(i));
    out.insert(out.end(), one.begin(), one.end());
  }
  return out;
}

}  // namespace

TEST_CASE("labels: norm and froq agree with PyTorch in float64") {
  const GoldenNet net("mobilefacenet");
  std::ifstream in(aikd::test::golden_dir() / "labels" / "labels.json");
  const nlohmann::json golden = nlohmann::json::parse(in);
  REQUIRE(golden["image_seeds"] == nlohmann::json{1, 2, 3});
  const std::vector<std::uint8_t> images = hash_images(3);
  Context context(Device::cpu(), 2);
  REQUIRE(golden["cases"].size() == 2);
  for (const nlohmann::json& test : golden["cases"]) {
    Preprocessing input;
    input.bgr = test["bgr"];
    for (std::size_t c = 0; c < 3; ++c) {
      input.mean[c] = test["mean"][c].get<float>();
      input.std[c] = test["std"][c].get<float>();
    }
    const Labelled norm = label("norm", setup_for(net, context, input), images, 3);
    LabelSetup setup = setup_for(net, context, input);
    for (const char* option : {"noise", "masks", "grid", "seed"}) setup.options[option] = test[option];
    const Labelled froq = label("froq", setup, images, 3);
    double worst = 0;
    // Relative to the size of the numbers: of a cosine it is 1, for the two embeddings each carry an error.
    const auto compare = [&worst](double got, const nlohmann::json& expected, bool cosine) {
      const double want = expected.get<double>();
      const double error = std::abs(got - want) / (cosine ? 1 : std::abs(want));
      CHECK_MESSAGE(error <= 3e-6, got, " instead of ", want);
      worst = std::max(worst, error);
    };
    for (std::size_t i = 0; i < 3; ++i) {
      const nlohmann::json& expected = test["images"][i];
      compare(norm.labels[i], expected["norm"], false);
      compare(froq.labels[i], expected["label"], false);
      compare(froq.parts[3 * i], expected["flip"], true);
      compare(froq.parts[3 * i + 1], expected["noise"], true);
      compare(froq.parts[3 * i + 2], expected["occlusion"], true);
      // A cosine near 1 hides an error of the noise: its distance from 1 must agree as well.
      const double got = 1 - froq.parts[3 * i + 1], want = 1 - expected["noise"].get<double>();
      CHECK_MESSAGE(std::abs(got / want - 1) <= 0.005, got, " instead of ", want);
    }
    MESSAGE("largest error ", worst);
  }
}

TEST_CASE("labels: an image's label depends on nothing but the image") {
  const GoldenNet net("mobilefacenet");
  Context one(Device::cpu(), 1), three(Device::cpu(), 3);
  const std::vector<std::uint8_t> images = hash_images(2);
  const std::span second = std::span(images).subspan(images.size() / 2);
  for (const char* method : {"norm", "froq"}) {
    LabelSetup setup = setup_for(net, one);
    if (std::string(method) == "froq") setup.options = {{"masks", 2}, {"grid", 2}};
    const Labelled both = label(method, setup, images, 2);
    setup.context = &three;
    setup.max_batch = 3;
    const Labelled alone = label(method, setup, second, 1);
    CHECK(alone.labels[0] == both.labels[1]);
    for (std::size_t p = 0; p < alone.parts.size(); ++p)
      CHECK(alone.parts[p] == both.parts[alone.parts.size() + p]);
    CHECK(both.labels[0] != both.labels[1]);
    CHECK(label(method, setup, {}, 0).labels.empty());
  }
}

TEST_CASE("labels: froq's seed changes the noise alone, no noise is a cosine of 1") {
  const GoldenNet net("mobilefacenet");
  Context context(Device::cpu(), 2);
  LabelSetup setup = setup_for(net, context);
  setup.options = {{"masks", 1}, {"grid", 1}, {"noise", 0.1}};
  const std::vector<std::uint8_t> image = hash_images(1);
  const Labelled zero = label("froq", setup, image, 1);
  setup.options["seed"] = 1;
  const Labelled other = label("froq", setup, image, 1);
  CHECK(other.parts[0] == zero.parts[0]);
  CHECK(other.parts[1] != zero.parts[1]);
  CHECK(other.parts[2] == zero.parts[2]);
  setup.options["noise"] = 0;
  CHECK(label("froq", setup, image, 1).parts[1] == doctest::Approx(1).epsilon(1e-15));
}

TEST_CASE("labels: the registry, and options that are refused") {
  CHECK(label_methods().size() >= 2);
  for (const LabelMethod& method : label_methods()) {
    CHECK(&find_label_method(method.name) == &method);
    CHECK(!method.description.empty());
    CHECK(!method.needs_gradient);
    for (const LabelOption& option : method.options) {
      CHECK(option.value >= option.lo);
      CHECK(option.value <= option.hi);
      CHECK(!option.help.empty());
    }
  }
  CHECK(message_of([] { find_label_method("frog"); }) ==
        "The label method 'frog' is not known; expected one of norm, froq.");
  const GoldenNet net("mobilefacenet");
  Context context(Device::cpu(), 1);
  const auto why = [&](const std::string& method, const std::map<std::string, double>& options) {
    LabelSetup setup = setup_for(net, context);
    setup.options = options;
    return message_of([&] { make_label_generator(find_label_method(method), setup); });
  };
  CHECK(why("norm", {{"noise", 0.1}}) == "The label method norm has no option 'noise'.");
  CHECK(why("froq", {{"noise", 1.5}}) ==
        "The option noise of the label method froq must be a number from 0 to 1, got 1.5.");
  CHECK(why("froq", {{"masks", 2.5}}) ==
        "The option masks of the label method froq must be an integer from 1 to 1000, got 2.5.");
  CHECK_CONTAINS(why("froq", {{"noise", kNan}}), "must be a number from 0 to 1, got nan");
  CHECK(why("froq", {{"grid", 5}}) ==
        "A grid of 5 x 5 cells does not divide crops of 112 x 112 pixels evenly.");
  CHECK_CONTAINS(message_of([] { make_label_generator(find_label_method("norm"), {}); }),
                 "A label generator needs a backbone");
}

TEST_CASE("plan: run_values gives the bits of run, and refuses wrong sizes") {
  for (const char* name : {"mobilefacenet", "iresnet18_mlp"}) {
    const GoldenNet net(name);
    Context context(Device::cpu(), 3);
    const std::vector<std::uint8_t> images = hash_images(3);
    const auto plan = nn::Plan::compile(*net.backbone, net.head.get(), aikd::test::plain_table(), context,
                                        {.max_batch = 2});
    const auto size = static_cast<std::size_t>(3 * plan->embedding_size());
    const std::size_t heads = net.head == nullptr ? 0 : 3;
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::vector<float> a(size, nan), b(size, nan), head_a(heads, nan), head_b(heads, nan);
    plan->run(images, 3, a, head_a);
    const Tensor values = nn::normalise(context, aikd::test::plain_table(), images, 3);
    plan->run_values(values.values<float>(), 3, b, head_b);
    CHECK(a == b);
    CHECK(head_a == head_b);
    const auto why = [&](std::int64_t n, std::span<float> embeddings) {
      return message_of([&] { plan->run_values(values.values<float>(), n, embeddings, {}); });
    };
    CHECK_CONTAINS(why(2, {}), "Plan::run_values: 2 images of 112x112 pixels are 75264 values, got 112896.");
    CHECK_CONTAINS(why(-1, {}), "must not be negative");
    CHECK_CONTAINS(why(3, std::span(a).first(1)), "need room for");
    plan->run_values({}, 0, {}, {});
  }
}

namespace {

class OneByOne final : public ScoreSource {
 public:
  explicit OneByOne(std::vector<std::string> paths) : paths_(std::move(paths)) {}
  std::optional<ScoreInput> next() override {
    if (at_ == paths_.size()) return std::nullopt;
    return ScoreInput{paths_[at_++], false};
  }
  void cancel() override {}

 private:
  std::vector<std::string> paths_;
  std::size_t at_ = 0;
};

// The first byte of a crop, in doubles that no float holds; 7 gives NaN.
class FirstByte final : public LabelGenerator {
 public:
  void label(std::span<const std::uint8_t> crops, std::int64_t n, std::span<double> labels,
             std::span<double> parts) override {
    const std::size_t size = n > 0 ? crops.size() / static_cast<std::size_t>(n) : 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
      const double first = crops[i * size];
      labels[i] = first == 7 ? kNan : first + 1e-12;
      parts[2 * i] = first + 0.25;
      parts[2 * i + 1] = -first;
    }
  }
};

class Collect final : public LabelSink {
 public:
  void row(const LabelledFace& face) override { text += label_row(face, 2); }
  void flush() override { ++flushes; }
  void passed_over(const std::string&) override {}
  std::string text;
  int flushes = 0;
};

}  // namespace

TEST_CASE("labels: rows come in order with their own labels, failed ones as NA") {
  const aikd::test::TempDir dir;
  std::vector<std::string> paths;
  for (int i = 0; i < 20; ++i) {
    const std::string path = (dir / concat("p", i, ".png")).string();
    paths.push_back(path);
    if (i == 3) {
      aikd::test::write_text(path, "text");
      continue;
    }
    io::Image image(112, 112);
    std::fill(image.pixels.begin(), image.pixels.end(), static_cast<std::uint8_t>(i));
    io::write_image(path, image);
  }
  for (const int workers : {0, 3}) {
    OneByOne source(paths);
    FirstByte generator;
    Collect sink;
    ScoreRunOptions options;
    options.workers = workers;
    options.batch = 4;
    const ScoreRunCounts counts = run_labels(source, generator, 2, sink, options);
    CHECK(counts.scored == 18);
    CHECK(counts.failed == 2);
    std::istringstream lines(sink.text);
    std::string line;
    for (int i = 0; i < 20; ++i) {
      REQUIRE(std::getline(lines, line));
      const std::string path = paths[static_cast<std::size_t>(i)];
      if (i == 3) {
        CHECK_CONTAINS(line, path + ",NA,NA,NA,unsupported,");
      } else if (i == 7) {
        CHECK_CONTAINS(line, path + ",NA,NA,NA,non-finite,");
      } else {
        const std::string label = i == 0 ? "1e-12" : concat(i, ".000000000001");
        CHECK(line == concat(path, ",", label, ",", i, ".25,", i == 0 ? "-0" : concat("-", i), ",ok,"));
      }
    }
    CHECK(!std::getline(lines, line));
  }
  LabelMethod method;
  method.parts = {"a", "b"};
  CHECK(label_header(method) == "path,label,a,b,status,error\n");
}
