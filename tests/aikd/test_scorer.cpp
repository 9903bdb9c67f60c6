#include "aikd/scorer.h"

#include <cmath>

#include "aikd/untrained.h"
#include "tensor/error.h"
#include "tests/support/test.h"

using namespace aikd;

namespace {

std::shared_ptr<const Model> tiny(const std::string& head, Context& context) {
  UntrainedOptions options;
  options.architecture = "mobilefacenet";
  options.embedding_size = 8;
  options.hidden_size = 4;
  options.head = head;
  options.seed = 3;
  return make_untrained(options, calibration_faces(1, 3), context);
}

std::vector<std::uint8_t> crops(std::size_t n) {
  std::vector<std::uint8_t> pixels(n * 112 * 112 * 3);
  for (std::size_t i = 0; i < pixels.size(); ++i)
    pixels[i] = static_cast<std::uint8_t>((i / 3 % 112 + i / 336) * (i / 37632 + 2) % 256);
  return pixels;
}

}  // namespace

TEST_CASE("a score is the head's output and does not depend on the batch") {
  Context context(Device::cpu(), 2);
  const auto model = tiny("mlp", context);
  Scorer scorer(model, context, {.max_batch = 2});
  const std::vector<std::uint8_t> images = crops(5);
  std::vector<float> embeddings(5 * 8), head(5), plan_embeddings(5 * 8);
  const std::vector<Score> scores = scorer.score(images, 5, embeddings);
  nn::Plan::compile(model->backbone(), model->head(), model->preprocessing().table(), context)
      ->run(images, 5, plan_embeddings, head);
  REQUIRE(scores.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(std::isfinite(scores[i].raw));
    CHECK(scores[i].raw == head[i]);
    CHECK(std::isnan(scores[i].mapped));  // this model has no mapping
    const auto alone = scorer.score(std::span(images).subspan(i * 37632, 37632), 1);
    CHECK(alone[0].raw == scores[i].raw);
  }
  CHECK(embeddings == plan_embeddings);
  CHECK(scores[0].raw != scores[1].raw);
  CHECK(scorer.score({}, 0).empty());
}

TEST_CASE("without a head the score is the norm of the embedding") {
  Context context(Device::cpu(), 1);
  const auto model = tiny("none", context);
  Scorer scorer(model, context);
  const std::vector<std::uint8_t> images = crops(3);
  std::vector<float> embeddings(3 * 8);
  const std::vector<Score> with = scorer.score(images, 3, embeddings), without = scorer.score(images, 3);
  for (std::size_t i = 0; i < 3; ++i) {
    double squares = 0;
    for (std::size_t k = 0; k < 8; ++k) squares += std::pow(static_cast<double>(embeddings[i * 8 + k]), 2);
    CHECK(!(std::abs(static_cast<double>(with[i].raw) - std::sqrt(squares)) > 1e-6 * std::sqrt(squares)));
    CHECK(with[i].raw == without[i].raw);
    CHECK(with[i].raw > 0);
  }
}

TEST_CASE("a scorer refuses buffers of the wrong size") {
  Context context(Device::cpu(), 1);
  Scorer scorer(tiny("mlp", context), context);
  const std::vector<std::uint8_t> images = crops(2);
  std::vector<float> embeddings(8);
  CHECK_THROWS_WITH_AS(scorer.score(images, 3), doctest::Contains("need 112896 bytes, got 75264"), Error);
  CHECK_THROWS_WITH_AS(scorer.score(images, 2, embeddings), doctest::Contains("need room for 16, got 8"),
                       Error);
  CHECK_THROWS_WITH_AS(scorer.score(images, -1), doctest::Contains("-1 images"), Error);
  CHECK_THROWS_WITH_AS(Scorer(nullptr, context), doctest::Contains("needs a model"), Error);
}
