#include "aikd/linear_probe.h"

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "aikd/model_builder.h"
#include "aikd/scorer.h"
#include "aikd/untrained.h"
#include "tensor/error.h"
#include "tensor/random.h"
#include "tests/support/test.h"

namespace {

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const aikd::Error& error) {
    CHECK(error.kind() == aikd::ErrorKind::kInput);
    return error.what();
  }
  return "nothing was thrown";
}

bool near(double a, double b, double tolerance) {
  return std::abs(a - b) <= tolerance * (1 + std::abs(b));
}

}  // namespace

TEST_CASE("linear probe: agrees with numpy's ridge regression refitted without each row") {
  const auto golden =
      nlohmann::json::parse(aikd::test::read_text(aikd::test::golden_dir() / "probe/probe.json"));
  std::vector<float> x;
  for (const auto& row : golden["x"]) {
    for (const auto& v : row) x.push_back(v.get<float>());
  }
  const auto y = golden["y"].get<std::vector<double>>();
  const auto weight = golden["weight"].get<std::vector<double>>();
  const aikd::LinearProbe probe = aikd::fit_linear_probe(x, weight.size(), y);
  CHECK(near(probe.lambda, golden["lambda"].get<double>(), 1e-12));
  CHECK(near(probe.loo_error, golden["loo"].get<double>(), 1e-10));
  CHECK(near(probe.bias, golden["bias"].get<double>(), 1e-10));
  REQUIRE(probe.weight.size() == weight.size());
  for (std::size_t j = 0; j < weight.size(); ++j) CHECK(near(probe.weight[j], weight[j], 1e-10));
  CHECK(probe.weight[4] == 0.0);  // the feature that does not vary
}

TEST_CASE("linear probe: finds an exact linear rule from more rows than features and from fewer") {
  for (const std::size_t n : {std::size_t{60}, std::size_t{8}}) {
    const std::size_t d = 12;
    aikd::Random random(n);
    std::vector<float> x(n * d);
    std::vector<double> y(n), fitted(n);
    for (float& v : x) v = static_cast<float>(random.uniform(-1, 1));
    for (std::size_t i = 0; i < n; ++i)
      y[i] = 3.0 + 2.0 * static_cast<double>(x[i * d + 3]) - static_cast<double>(x[i * d + 7]);
    const aikd::LinearProbe probe = aikd::fit_linear_probe(x, d, y);
    for (std::size_t i = 0; i < n; ++i) fitted[i] = probe.predict(std::span(x).subspan(i * d, d));
    if (n > d) {
      CHECK(near(probe.weight[3], 2.0, 1e-3));
      CHECK(near(probe.weight[7], -1.0, 1e-3));
      CHECK(near(probe.bias, 3.0, 1e-3));
      CHECK(aikd::r_squared(y, fitted) > 0.999999);
    } else {
      CHECK(aikd::r_squared(y, fitted) > 0.1);
      CHECK(std::isfinite(probe.loo_error));
    }
  }
}

TEST_CASE("linear probe: R squared and rank correlation agree with numpy") {
  const auto golden =
      nlohmann::json::parse(aikd::test::read_text(aikd::test::golden_dir() / "probe/probe.json"));
  const auto a = golden["a"].get<std::vector<double>>(), b = golden["b"].get<std::vector<double>>();
  CHECK(near(aikd::spearman(a, b), golden["spearman"].get<double>(), 1e-12));
  CHECK(near(aikd::r_squared(b, golden["prediction"].get<std::vector<double>>()),
             golden["r_squared"].get<double>(), 1e-12));
  const std::vector<double> up{1, 2, 3, 10}, down{5, 4, 3, -7}, flat{2, 2, 2, 2};
  CHECK(near(aikd::spearman(up, down), -1.0, 1e-15));
  CHECK(std::isnan(aikd::spearman(up, flat)));
  CHECK(std::isnan(aikd::r_squared(flat, up)));
}

TEST_CASE("linear probe: input that cannot be fitted is told") {
  const std::vector<double> y{1, 2, 3};
  const std::vector<float> x{1, 2, 4};
  const auto fit = [](const std::vector<float>& f, const std::vector<double>& labels) {
    return message_of([&] { aikd::fit_linear_probe(f, f.size() / labels.size(), labels); });
  };
  CHECK(fit({1, 2}, {1, 2}) == "A linear probe needs at least 3 labelled rows, got 2.");
  CHECK(fit(x, {4, 4, 4}) == "All labels of a linear probe are 4; they must vary.");
  CHECK(fit({7, 7, 7}, y) == "No feature of the 3 rows of a linear probe varies.");
  CHECK(fit({1, 2, std::numeric_limits<float>::infinity()}, y) ==
        "Feature 1 of row 3 of a linear probe is inf; a finite number is needed.");
  CHECK(fit(x, {1, std::numeric_limits<double>::quiet_NaN(), 3}) ==
        "The label of row 2 of a linear probe is nan; a finite number is needed.");
}

TEST_CASE("linear probe: a model with its head gives the probe's prediction and survives its file") {
  aikd::Context context;
  aikd::UntrainedOptions options;
  options.architecture = "mobilefacenet";
  options.head = "none";
  const auto images = aikd::calibration_faces(5, 4);
  const std::shared_ptr<const aikd::Model> backbone = aikd::make_untrained(options, images, context);
  aikd::LinearProbe probe;
  aikd::Random random(1);
  for (std::int64_t i = 0; i < backbone->embedding_size(); ++i)
    probe.weight.push_back(random.uniform(-0.1, 0.1));
  probe.bias = 0.75;
  const aikd::test::TempDir dir;
  aikd::save_model(
      *aikd::with_linear_head(*backbone, probe, aikd::ScoreMap::parse("linear:-1,3"), {{"aikd.probe", "{}"}}),
      dir / "m.safetensors");
  const std::shared_ptr<const aikd::Model> model = aikd::Model::load(dir / "m.safetensors");
  CHECK(model->family() == "diffiqa-r");
  CHECK(model->metadata().at("aikd.head") == "linear");
  CHECK(model->metadata().at("aikd.score") == "head");
  CHECK(model->metadata().at("aikd.probe") == "{}");
  CHECK(model->metadata().at("aikd.untrained") == "1");
  aikd::Scorer scorer(model, context);
  const auto d = static_cast<std::size_t>(model->embedding_size());
  std::vector<std::uint8_t> pixels;
  for (const auto& image : images) pixels.insert(pixels.end(), image.pixels.begin(), image.pixels.end());
  std::vector<float> embeddings(images.size() * d);
  const auto scores = scorer.score(pixels, static_cast<std::int64_t>(images.size()), embeddings);
  for (std::size_t i = 0; i < images.size(); ++i) {
    const double expected = probe.predict(std::span(embeddings).subspan(i * d, d));
    CHECK(near(static_cast<double>(scores[i].raw), expected, 1e-5));
    CHECK(near(scores[i].mapped, std::min(100.0, std::max(0.0, 25.0 * (expected + 1))), 1e-4));
  }
}
